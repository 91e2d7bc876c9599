/* runtime/fiber/stack.h: where stacks come from; between the files of this layer.
 *
 * Memory order
 *   [stack.region]  store_rel(region_count) in add_region -> load_acq in sc_stack_of_guard:
 *                   a fault handler that counts a region sees its base and size
 *   [stack.own]     store_rel(own[i]) in sc_stack_new -> load_acq in sc_stack_of_guard: the
 *                   handler sees the fiber's fields
 */
#ifndef SC_FIBER_STACK_H
#define SC_FIBER_STACK_H

#include "fiber/fiber.h"

/* The first region is reserved here.  0, -ENOMEM, -EINVAL. */
int sc_stack_init(size_t usable, size_t extra, size_t card, void (*entry)(void *fiber),
		  unsigned flags);
/* Releases every region. */
void sc_stack_fini(void);

/* A fiber in a slot that was never used before; any thread.  NULL: no memory or guards. */
struct sc_fiber *sc_stack_make(void);
uint64_t sc_stack_made(void);

/* A fiber with an own mapping. */
struct sc_fiber *sc_stack_new(size_t usable);
void sc_stack_free(struct sc_fiber *fiber);

struct sc_fiber *sc_stack_of_guard(const void *address);
void sc_stack_each(void (*each)(void *arg, struct sc_fiber *fiber), void *arg);

#endif
