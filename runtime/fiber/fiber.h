/* runtime/fiber/fiber.h: stacks with a control block at their top, pools, the switch.
 *
 * A fiber is a stack and a place to save its registers.  It knows nothing of tasks: the
 * layers above keep `extra` bytes of their own next to it, in the same page.
 */
#ifndef SC_FIBER_FIBER_H
#define SC_FIBER_FIBER_H

#include "arch/arch.h"
#include "base/base.h"

/* Lives at the top of its stack; const after sc_fiber_take unless said. */
struct sc_fiber {
	struct sc_context context;     /* written by the switch away from it */
	struct sc_fiber *next;         /* whoever holds the fiber: pool, ready list, batch */
	struct sc_root_link *root;     /* written by who starts a task on it */
	char *stack_low;               /* lowest usable byte; the guard lies below */
	char *stack_high;              /* first byte of the control block: the stack's top */
	void *tsan;                    /* ThreadSanitizer's fiber */
	void *asan_fake_stack;         /* AddressSanitizer's, while suspended */
	unsigned valgrind_id;
	uint32_t index;                /* slot in the region, UINT32_MAX: a mapping of its own */
};

/* Per-worker cache of free fibers, LIFO; owner only. */
struct sc_fiber_pool {
	struct sc_fiber *head;
	unsigned count;
};

/* What all stacks of a run share.  `extra` bytes lie directly behind struct sc_fiber.
 * entry(fiber) runs when a fiber is continued for the first time and never returns.
 * flags: SC_FIBER_UNGUARDED allows stacks without a guard page when guards run out.
 * 0, -ENOMEM, -EINVAL (usable < 16 KiB or over 1 GiB). */
enum { SC_FIBER_UNGUARDED = 1 };
int sc_fiber_init(size_t usable, size_t extra, void (*entry)(void *fiber), unsigned flags);
/* Unmaps everything; every fiber has been given back. */
void sc_fiber_fini(void);

/* A fiber from the pool, from the shared free list (half a batch of 64 moves along), or a
 * new one.  The fiber is ready to be continued: at entry if new, else where it was when it
 * was given back.  NULL: no memory, address space or guards. */
struct sc_fiber *sc_fiber_take(struct sc_fiber_pool *pool);
/* Gives back a fiber that is suspended (its context saved) and will run again from there.
 * Keeps at most 128 in the pool, the rest goes to the shared list. */
void sc_fiber_give(struct sc_fiber_pool *pool, struct sc_fiber *fiber);
/* Moves the whole pool to the shared list: at the end of a worker. */
void sc_fiber_drain(struct sc_fiber_pool *pool);

/* A fiber with a stack of its own size (the root task); free it with sc_fiber_free. */
struct sc_fiber *sc_fiber_new(size_t usable);
void sc_fiber_free(struct sc_fiber *fiber);

/* Continues `to`, saving the running flow in `from`; tells the sanitizers.  Either may be
 * the control block of a thread's own stack, set up by sc_fiber_adopt. */
void sc_fiber_switch(struct sc_fiber *from, struct sc_fiber *to);
/* As sc_fiber_switch, with sc_arch_switch_aside. */
void sc_fiber_switch_aside(struct sc_fiber *from, struct sc_aside *area, struct sc_fiber *to);
/* Fills `fiber` for the calling thread's own stack. */
void sc_fiber_adopt(struct sc_fiber *fiber);
void sc_fiber_release(struct sc_fiber *fiber);

/* If `address` lies in a guard page of a live or pooled stack, that fiber, else NULL.
 * Async-signal-safe. */
struct sc_fiber *sc_fiber_of_guard(const void *address);

/* Fibers that are out of the pools now, and the highest number so far (relaxed reads). */
uint64_t sc_fiber_live(void);

#endif
