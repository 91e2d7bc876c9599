/* runtime/sync/queue.h: tasks that wait for a thing in the order of their coming.
 *
 * A thing (mutex, channel, ...) has a lock and queues of waiters, which lie in the frames of the
 * tasks that wait.  A task first tries to have what it wants; if it can't, it parks:
 *
 *   sc_await   on the next stack, under the lock: tries once more, else enters the queue and
 *              commits the wait
 *   sc_await_keeping, of one that has just tried: keeps the lock from there on; on the next stack
 *              the wait is committed and the lock dropped
 *   who gives  takes the lock, claims the first waiter whose wait nothing else has ended, which
 *              takes it out of the queue, gives, drops the lock and has it continued
 *
 * So whoever is chosen has what it waited for before it runs (X1), and who was cancelled first is
 * passed over (X2).  A wait that something else ended takes the lock and leaves the queue.  As
 * long as a waiter is in a queue, its strand is in that very wait.
 *
 * Since a single wait is committed under the lock, who gives finds it parked, and the strand goes
 * on only when the giver has it continued: what is given needs no lock on the other side.  A
 * select waits in several queues and is committed after; it takes each lock once more when it is
 * over (select.c).
 *
 * With one worker nobody else is inside: the locks are left alone.
 */
#ifndef SC_SYNC_QUEUE_H
#define SC_SYNC_QUEUE_H

#include "scope/tree.h"

struct sc_queue;
struct sc_select;

struct sc_waiter {
	struct sc_waiter *next; /* lock: that of the thing */
	struct sc_waiter *prev; /* lock */
	struct sc_queue *queue; /* lock: where it is in, or NULL */
	struct sc_strand *strand;
	struct sc_select *select; /* const: whose arm it is, or NULL */
	uintptr_t key;          /* const: of the thing's own */
	int result;             /* lock; what the wait returns, if it was given something */
	int served;             /* lock; it was, even if a cancel ended its wait before */
};

/* All zero: empty. */
struct sc_queue {
	struct sc_waiter *first; /* lock: that of the thing */
	struct sc_waiter *last;  /* lock */
};

SC_INLINE int sc_solo(void)
{
	return sc_sched.count == 1;
}

/* Takes a lock that was just found held. */
void sc_enter_late(struct sc_lock *lock);

SC_INLINE void sc_enter(struct sc_lock *lock)
{
	uint32_t expected = 0;

	if (SC_LIKELY(!sc_solo()) &&
	    SC_UNLIKELY(!at_cas_acq(&lock->word, &expected, 1))) /* [lock.hold] */
		sc_enter_late(lock);
}

SC_INLINE void sc_leave(struct sc_lock *lock)
{
	if (SC_LIKELY(!sc_solo()))
		sc_lock_drop(lock);
}

/* select.c: the claimed wait was that of an arm, which fires. */
void sc_select_chose(struct sc_waiter *waiter);

/* All that follow, lock: that of the thing. */
void sc_queue_add(struct sc_queue *queue, struct sc_waiter *waiter);
void sc_queue_remove(struct sc_waiter *waiter);
/* Takes out the first waiter, which is there, and ends its wait.  Then it is to be given what it
 * waits for before the lock is dropped, and *woken, if that was set, then to be passed to sc_ready;
 * NULL: something else had ended it. */
struct sc_waiter *sc_queue_take_first(struct sc_queue *queue, struct sc_strand **woken);
/* The strand will run next, and of many none is in the cache: what of it the claim does not touch.
 * Its last frames are those of the switch, of the wait, and above the waiter its caller's. */
SC_INLINE void sc_prefetch_waiter(struct sc_waiter *waiter)
{
	struct sc_strand *strand = waiter->strand;

	__builtin_prefetch(&strand->item, 1);
	__builtin_prefetch(&strand->since, 1);
	__builtin_prefetch((char *)waiter + SC_CACHE_LINE, 1);
	__builtin_prefetch((char *)waiter + 2 * SC_CACHE_LINE, 1);
	if (SC_LIKELY(!waiter->select)) /* else it may be about to save its context */
		__builtin_prefetch(strand->fiber.context.sp, 1);
}

/* The same of the first whose wait nothing else had ended; NULL: there is none. */
SC_INLINE struct sc_waiter *sc_queue_take(struct sc_queue *queue, struct sc_strand **woken)
{
	struct sc_waiter *waiter = NULL;

	while (!waiter && queue->first) {
		sc_prefetch_waiter(queue->first);
		waiter = sc_queue_take_first(queue, woken);
	}
	return waiter;
}
/* Both where there may be several: `woken` is to be passed to sc_wake. */
SC_INLINE struct sc_waiter *sc_queue_claim_first(struct sc_queue *queue, struct sc_batch *woken)
{
	struct sc_strand *strand = NULL;
	struct sc_waiter *waiter = sc_queue_take_first(queue, &strand);

	if (strand)
		sc_batch_pack(woken, strand);
	return waiter;
}
SC_INLINE struct sc_waiter *sc_queue_claim(struct sc_queue *queue, struct sc_batch *woken)
{
	struct sc_strand *strand = NULL;
	struct sc_waiter *waiter = sc_queue_take(queue, &strand);

	if (strand)
		sc_batch_pack(woken, strand);
	return waiter;
}
/* Takes all out and gives each that result, those too that a cancel has claimed and that are still
 * about to leave: completion wins ties (C6). */
void sc_queue_serve_all(struct sc_queue *queue, int result, struct sc_batch *woken);

/* No lock.  Has what was claimed continued. */
SC_INLINE void sc_wake(struct sc_batch *woken)
{
	struct sc_item *first = woken->first;

	if (!first)
		return;
	if (woken->count == 1 && first->packed == 0)
		sc_ready(SC_CONTAINER(first, struct sc_strand, item));
	else
		sc_ready_batch(woken);
}

/* A wait for one thing. */
struct sc_await {
	struct sc_waiter waiter; /* caller: key */
	void *thing;             /* const, as what follows; for the functions and for reports */
	struct sc_lock *lock;
	struct sc_queue *queue;
	/* lock.  Whether the waiter has what it wants, with waiter.result set if it is not 0. */
	int (*take)(struct sc_await *await);
	/* lock.  The waiter has left the queue with nothing; may be NULL. */
	void (*gave_up)(struct sc_await *await);
	int64_t deadline_ns;     /* SC_NEVER: none */
	int shielded;            /* neither a cancel nor a soft stop ends it */
	int tried;               /* `take` has just failed */
	int again;               /* sc_await: see sc_wait_again */
	struct sc_batch woken;   /* lock: claimed by `take` or `gave_up`; zero at first */
};

/* Field by field: a structure that is cleared as a whole is cleared by a loop, which costs more
 * than all that is saved elsewhere. */
SC_INLINE void sc_await_init(struct sc_await *await, void *thing, struct sc_lock *lock,
			     struct sc_queue *queue, int (*take)(struct sc_await *await),
			     uintptr_t key)
{
	await->waiter.select = NULL;
	await->waiter.key = key;
	await->waiter.result = 0;
	await->waiter.served = 0;
	await->thing = thing;
	await->lock = lock;
	await->queue = queue;
	await->take = take;
	await->gave_up = NULL;
	await->deadline_ns = SC_NEVER;
	await->shielded = 0;
	await->tried = 0;
	await->woken.first = NULL;
	await->woken.last = NULL;
	await->woken.count = 0;
}

/* Parks until the waiter was given what it wants: the result it was given.  Else it has nothing:
 * -ECANCELED, -ESHUTDOWN, -ETIMEDOUT. */
int sc_await(struct sc_await *await, enum sc_reason reason);
/* Tries once, without parking: whether the waiter has what it wants. */
int sc_await_not(struct sc_await *await);

/* Whether the running task, which has the lock, has just tried and can't have what it wants, may
 * wait for it by one of the two that follow: its waiter is registered from an earlier wait at its
 * place.  It holds nothing: else parking might take back what it waits for. */
SC_INLINE int sc_may_await_lightly(struct sc_worker *worker)
{
	struct sc_strand *strand = worker->strand;

	return sc_wait_again(worker, sc_untag(worker->cur)) && !sc_host(strand)->held;
}

/* sc_await, without a deadline, of a waiter with that key: keeps the lock until the strand has left
 * its stack, so that it need not try again there. */
int sc_await_keeping(void *thing, struct sc_lock *lock, struct sc_queue *queue, uintptr_t key,
		     enum sc_reason reason, int (*take)(struct sc_await *await));
/* The same with one worker: nobody else runs before. */
int sc_await_alone(void *thing, struct sc_queue *queue, uintptr_t key, enum sc_reason reason);

/* One of them. */
SC_INLINE int sc_await_lightly(void *thing, struct sc_lock *lock, struct sc_queue *queue,
			       uintptr_t key, enum sc_reason reason,
			       int (*take)(struct sc_await *await))
{
	return sc_solo() ? sc_await_alone(thing, queue, key, reason)
			 : sc_await_keeping(thing, lock, queue, key, reason, take);
}

#endif
