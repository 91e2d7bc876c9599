/* runtime/fiber/fiber.h: stacks with a control block at their top, pools, the switch.
 *
 * A fiber is a stack and a place to save its registers.  It knows nothing of tasks: the
 * layers above keep `extra` bytes of their own next to it, in the same page, and a card: what
 * others touch while it is suspended.  Cards lie side by side, so that who goes over a
 * million suspended fibers does not pay for a page of each.
 */
#ifndef SC_FIBER_FIBER_H
#define SC_FIBER_FIBER_H

#include "arch/arch.h"
#include "base/atomic.h"
#include "fiber/sanitizer.h"

/* Least bytes of the guard below each stack: a frame that does not touch its pages in turn
 * must not step over it.  Address space and page table entries, no memory. */
enum { SC_GUARD_SIZE = 128 << 10 };

/* Lives at the top of its stack; const after sc_fiber_take unless said. */
struct sc_fiber {
	struct sc_context context; /* written by the switch away from it */
	SC_PLAIN(struct sc_fiber *) next;  /* whoever holds the fiber: pool, ready list, batch */
	SC_PLAIN(struct sc_fiber *) batch; /* first of a full one; lock: shared list: the next */
	struct sc_root_link *root; /* what it points to is written by who starts a task on it */
	char *stack_low;           /* lowest usable byte; the guard lies below */
	char *stack_high;          /* first byte of the control block: the stack's top */
	void *card;                /* zero at first, then whatever the layers above left */
	void *sanitizer;           /* ThreadSanitizer's fiber, or AddressSanitizer's fake stack
				    * while suspended */
	SC_PLAIN(uint32_t) index;  /* slot in its region, UINT32_MAX: none */
	uint32_t guarded;          /* 1: SC_GUARD_SIZE bytes below stack_low fault */
};

/* Per-worker cache of free fibers, LIFO; zero at first; owner only, but count and spare,
 * which sc_fiber_live reads.  Holds at most two batches of 64. */
struct sc_fiber_pool {
	SC_PLAIN(struct sc_fiber *) head;      /* at most one batch */
	SC_WORD(unsigned) count;               /* fibers from head on */
	unsigned known;                        /* 1: in the list of pools */
	SC_WORD(struct sc_fiber *) spare;      /* NULL or a full batch */
	SC_PLAIN(struct sc_fiber_pool *) next; /* lock: list of pools */
};

/* What all stacks of a run share.  `extra` bytes lie directly behind struct sc_fiber; a card
 * has `card` bytes, a multiple of a cache line.
 * entry(fiber) runs when a fiber is continued for the first time and never returns.
 * flags: SC_FIBER_UNGUARDED allows stacks without a guard when guards run out.
 * 0, -ENOMEM, -EINVAL (usable < 16 KiB or over 1 GiB). */
enum { SC_FIBER_UNGUARDED = 1 };
int sc_fiber_init(size_t usable, size_t extra, size_t card, void (*entry)(void *fiber),
		  unsigned flags);
/* Unmaps everything; every fiber has been given back. */
void sc_fiber_fini(void);

/* A fiber from the pool, from the shared free list (a batch of 64 moves along), or a new
 * one.  The fiber is ready to be continued: at entry if new, else where it was when it
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

/* sc_fiber_switch continues `to`, saving the running flow in `from`; tells the sanitizers.
 * Either may be the control block of a thread's own stack, set up by sc_fiber_adopt.
 * sc_fiber_switch_aside is the same with sc_arch_switch_aside (a sanitized build does write
 * below the stack pointer). */
#if defined(SC_ASAN) || defined(SC_TSAN)
void sc_fiber_switch(struct sc_fiber *from, struct sc_fiber *to);
void sc_fiber_switch_aside(struct sc_fiber *from, struct sc_aside *area, struct sc_fiber *to);
#else
SC_INLINE void sc_fiber_switch(struct sc_fiber *from, struct sc_fiber *to)
{
	sc_arch_switch_here(&from->context, &to->context);
}

SC_IN_FRAME void sc_fiber_switch_aside(struct sc_fiber *from, struct sc_aside *area,
				       struct sc_fiber *to)
{
	sc_arch_switch_aside(&from->context, area, &to->context);
}
#endif
/* Fills `fiber` for the calling thread's own stack. */
void sc_fiber_adopt(struct sc_fiber *fiber);
void sc_fiber_release(struct sc_fiber *fiber);

/* If `address` lies in the guard of a live or pooled stack, that fiber, else NULL.
 * Async-signal-safe.  Of stacks with an own mapping it knows sixteen. */
struct sc_fiber *sc_fiber_of_guard(const void *address);
/* Whether the access to `address` that faulted under stack pointer `sp` was an overflow of the
 * stack that sp belongs to; `running` is the fiber that ought to run.  A frame larger than the
 * guard is recognised by sp, wherever below it faulted.  Async-signal-safe. */
int sc_fiber_overflowed(const struct sc_fiber *running, const void *address, const void *sp);

/* Calls each(arg, fiber) for every stack there is, in use or not, of those with an own mapping for
 * sixteen: without a lock or an order, so that one made meanwhile may be left out, not be set up
 * yet, or be no address at all. */
void sc_fiber_each(void (*each)(void *arg, struct sc_fiber *fiber), void *arg);

/* Fibers that are neither in a pool nor in the shared list; exact while nothing moves. */
uint64_t sc_fiber_live(void);
/* Stacks made in this run: the most that were ever needed at once, pools included. */
uint64_t sc_fiber_made(void);

#endif
