/* runtime/sched/worker.h: the worker and the strand: who runs, and what is run.
 *
 * A worker is a thread that runs strands.  A strand is a fiber and what the scheduler keeps
 * for it; the layer above runs tasks on it.  A worker's own thread stack is a strand too
 * (`native`): the scheduler's loop lives there.
 */
#ifndef SC_SCHED_WORKER_H
#define SC_SCHED_WORKER_H

#include "deque/deque.h"
#include "deque/ready.h"
#include "fiber/fiber.h"
#include "os/os.h"
#include "sched/wheel.h"

struct sc_worker;
struct sc_strand;

/* What a timer in a worker's wheel does when it is due. */
enum sc_alarm_kind { SC_ALARM_WAKE, SC_ALARM_CALL };

struct sc_alarm {
	struct sc_timer timer; /* lock: that of the wheel */
	uint32_t wheel;        /* index of the worker whose wheel it was put into */
	uint32_t kind;         /* const while armed: WAKE: in a strand; CALL: hooks.expire */
};

/* Outcomes of a wait; see sched/wait.h. */
enum sc_wait {
	SC_WAIT_NONE,
	SC_WAIT_PREPARING,
	SC_WAIT_WAITING,
	SC_WAIT_EVENT,
	SC_WAIT_CANCEL,
	SC_WAIT_TIMEOUT,
	SC_WAIT_SHUTDOWN
};

/* What others touch of a parked strand, in its fiber's card: a cancel or a wheel that goes
 * over a million of them has their cards in the cache and never their stacks. */
struct sc_card {
	SC_WORD(uint32_t) wait;   /* enum sc_wait, see sched/wait.h */
	SC_WORD(uint32_t) waits_softly; /* a soft stop ends the wait; owner writes, before */
	struct sc_strand *strand; /* const while a task runs on it */
	struct sc_alarm alarm;    /* of a timed wait */
};

/* Fields without a mark belong to whoever runs the strand or, while it is suspended, to
 * whoever took it out of a queue or won its wait. */
enum { SC_PACK = 15 };

struct sc_strand {
	struct sc_fiber fiber;
	struct sc_item item;
	uintptr_t place;     /* the worker's `cur` while the strand is suspended */
	uint64_t epoch;      /* cancel epoch that its scopes are up to date with */
	uint8_t cancelled;   /* one of its scopes is cancelled: spawns and checkpoints look */
	uint8_t soft;        /* ... is softly stopped: checkpoints look */
	uint8_t regions;     /* soft regions that the task at its root is in */
	uint32_t reason;     /* enum sc_reason: why it is parked, for reports */
	struct sc_worker *pinned; /* the only worker that may continue it, or NULL */
	/* Set: the scheduler calls this on its own stack instead of continuing the strand. */
	void (*on_resume)(struct sc_worker *worker, struct sc_strand *strand);
	/* Up to here two cache lines, which are all of it that a switch touches. */
	struct sc_slot slot; /* the task at its root */
	int result;          /* of a task whose leaked scopes are being joined */
	uint32_t batch; /* it starts with so many tasks of one scope, above top if not just 1 */
	struct sc_task *task; /* its record if it came by a queue, else NULL */
	struct sc_aside aside;
	uint32_t own_stack;   /* const: not from the pool (the root task) */
	uint32_t left_resets; /* see left_worker */
	struct sc_slot *left_top;
	int64_t ticked; /* `since` when it gave way to a tick last: see requeue_last */
	struct sc_item *pack[SC_PACK]; /* item.packed of them: strands woken together */
	/* From here on one line, with what the layer above has behind it, for who parks. */
	int64_t since;      /* sc_sched.recent when it parked; 0: its task has not */
	const void *object; /* what it waits for, if the reason says so; for reports */
	void *subject;      /* what it waits for, set before it parks; for its post function */
	/* Where its slots ended when it was put aside: on whose deque, at left_top, and in which
	 * round. */
	struct sc_worker *left_worker;
};
_Static_assert(offsetof(struct sc_strand, slot) == 2 * SC_CACHE_LINE &&
		       offsetof(struct sc_strand, since) % SC_CACHE_LINE == 0,
	       "what a switch and a park touch lies in three lines");

SC_INLINE struct sc_card *sc_card(struct sc_strand *strand)
{
	return strand->fiber.card;
}

/* What a strand does.  `object` of the reasons from SC_IN_OFFLOAD on is said there; who adds one
 * gives it a text in scope/dump.c. */
enum sc_reason {
	SC_FREE, /* no task: in a pool, or about to be */
	SC_RUNNING,
	SC_READY,
	SC_IN_CLOSE,
	SC_IN_WAIT,
	SC_IN_SLEEP,
	SC_IN_OFFLOAD, /* the function that a thread runs */
	SC_IN_SPAWN,   /* the full scope */
	SC_IN_NEXT,    /* the scope whose results are waited for */
	SC_IN_EXIT,    /* the scope whose on_exit another task is in */
	SC_IN_SIGNAL,  /* the number of the signal */
	SC_IN_PARK,    /* the parker */
	SC_IN_START,   /* the function that is to start */
	SC_IN_READ,    /* the number of the descriptor, as in the next three */
	SC_IN_WRITE,
	SC_IN_ACCEPT,
	SC_IN_CONNECT,
	SC_IN_MUTEX,   /* the object, as with all that follow */
	SC_IN_RWLOCK,
	SC_IN_COND,
	SC_IN_SEMAPHORE,
	SC_IN_EVENT,
	SC_IN_BARRIER,
	SC_IN_ONCE,
	SC_IN_SEND,
	SC_IN_RECV,
	SC_IN_SELECT,  /* that of the first arm */
	SC_REASONS
};

/* An unstarted task that does not go through the join deque. */
struct sc_task {
	struct sc_item item;
	struct sc_slot slot;
	struct sc_worker *pinned;
	void (*drop)(void *arg);
	const char *name;
	const struct sc_locals *locals; /* const: bindings that it was given, or NULL */
	uint32_t owns_record; /* freed when the task ended */
	int32_t result;       /* of a task that has ended, where the scope keeps it; of one
			       * in between: nonzero if it was refused a stack */
};

/* The wheel of a worker and its lock. */
struct sc_timers {
	struct sc_lock lock;
	SC_WORD(int64_t) next;   /* no timer is due earlier; written under lock */
	struct sc_alarm *firing; /* lock: a CALL alarm whose call is under way */
	struct sc_wheel wheel;   /* lock */
};

/* About 40 us of ticks: what a wake-up takes. */
enum { SC_SEARCH_TICKS = 100000 };

/* POLLING: asleep, but in the kernel's set of descriptors instead of at the futex. */
enum sc_parker { SC_AWAKE, SC_ASLEEP, SC_POLLING, SC_NOTIFIED };

struct sc_worker {
	/* The hot line: owner, but lim and stack_limit may be overwritten by anyone to call
	 * for attention (lim 0: a thief is hungry; both: look at everything). */
	uintptr_t cur SC_ALIGNED(SC_CACHE_LINE); /* the running task's place; 0: no task */
	struct sc_bottom bottom;
	SC_WORD(uintptr_t) stack_limit; /* lowest sp to inline a child at; max: attention */
	struct sc_strand *strand; /* what runs now */
	void (*post)(struct sc_worker *worker, struct sc_strand *from); /* run after a switch */
	struct sc_strand *post_strand;

	/* owner only */
	struct sc_item *next SC_ALIGNED(SC_CACHE_LINE); /* what it woke last: runs first */
	struct sc_slot *floor; /* slots below are not the running strand's */
	uint32_t inbox_turn; /* picks until the inbox is looked at */
	uint32_t lifo_run; /* times in a row that `next` went first */
	uint32_t index;    /* const after start */
	uint32_t random;
	/* A strand in reserve, which unstarted work needs; the last idle worker looks. */
	SC_WORD(struct sc_strand *) spare;
	struct sc_fiber_pool pool;
	uint64_t clock_ticks; /* when the clock was read last */
	uint64_t late_ticks;  /* when one that computes went first last */
	uint64_t wake_ticks;  /* when this worker last woke another for new slots */
	uint64_t search_ticks; /* how long it searches before it sleeps: see search */
	struct sc_strand native;
	void *signal_stack;   /* const after start */

	/* owner writes, relaxed; anyone reads */
	SC_WORD(uint64_t) started SC_ALIGNED(SC_CACHE_LINE);
	SC_WORD(uint64_t) stolen;
	SC_WORD(uint64_t) parks;
	SC_WORD(uint64_t) cancelled;
	SC_WORD(uint64_t) failed;
	SC_WORD(uint64_t) progress; /* moves when the worker does */

	/* shared */
	struct sc_deque deque SC_ALIGNED(SC_CACHE_LINE);
	SC_WORD(uint32_t) parker SC_ALIGNED(SC_CACHE_LINE); /* futex: enum sc_parker */
	SC_WORD(uint32_t) tick; /* the monitor's call */
	struct sc_inbox pinned; /* work that only this worker may run */
	struct sc_timers timers;
	struct sc_thread thread; /* const once known is set */
	SC_WORD(uint32_t) known;
	struct sc_ring ring SC_ALIGNED(SC_CACHE_LINE);
};

/* ---- the running worker -------------------------------------------------------------- */

/* What a thread that is no worker finds: cur is 0 and lim is 0, so every fast path leaves. */
extern struct sc_worker sc_worker_none;
extern __thread struct sc_worker *sc_self_tls
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The worker of the calling thread.  Volatile, so that no compiler keeps it, or the address
 * of the thread-local, across a call that may switch threads.  To be read again after each. */
#ifdef SC_MODEL
struct sc_worker *sc_self(void);
#else
SC_IN_FRAME struct sc_worker *sc_self(void)
{
#if defined(SC_SIM)
	return *(struct sc_worker *volatile *)&sc_self_tls;
#elif defined(__x86_64__) && defined(SC_PROGRAM)
	/* In code that can only become part of a program the offset is a constant. */
	struct sc_worker *self;
	__asm__ volatile("movq %%fs:sc_self_tls@tpoff, %0" : "=r"(self));
	return self;
#elif defined(__x86_64__)
	struct sc_worker *self;
	__asm__ volatile("movq sc_self_tls@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(self));
	return self;
#else
	struct sc_worker *self;
	__asm__ volatile("mrs x9, tpidr_el0\n\t"
			 "adrp %0, :gottprel:sc_self_tls\n\t"
			 "ldr %0, [%0, :gottprel_lo12:sc_self_tls]\n\t"
			 "add %0, %0, x9\n\t"
			 "ldr %0, [%0]"
			 : "=&r"(self)
			 :
			 : "x9");
	return self;
#endif
}
#endif

/* A cheap counter for rate limits, 0.2 to 1 ns a step; the simulation's clock there. */
SC_INLINE uint64_t sc_ticks(void)
{
#if defined(SC_SIM)
	return (uint64_t)sc_os.now() * 2;
#else
	return sc_arch_ticks();
#endif
}

#endif
