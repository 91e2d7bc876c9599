/* runtime/sync/queue.c: queues of waiting tasks, and the wait for one thing; see queue.h. */
#include "sync/queue.h"
#include "scope/inplace.h"
#include <errno.h>

/* About 0.5 us. */
enum { AWAY_TURNS = SC_BOUND(32, 1) };

/* Workers that go in and out of one thing all the time would pass its cache lines to and fro with
 * each operation.  So who meets another stays away for a while and leaves the lines alone: the
 * other does dozens of operations meanwhile, each in a fraction of the time that the lines take to
 * come over.  Then it only reads until the lock is free. */
void sc_enter_late(struct sc_lock *lock)
{
	uint32_t expected;
	unsigned turn = 0, i;

	do {
		for (i = 0; i < AWAY_TURNS; i++)
			sc_relax(0);
		while (!sc_lock_is_free(lock))
			sc_relax(turn++);
		expected = 0;
	} while (!at_cas_acq(&lock->word, &expected, 1)); /* [lock.hold] */
}

/* ---- the queue ---------------------------------------------------------------------- */

void sc_queue_add(struct sc_queue *queue, struct sc_waiter *waiter)
{
	waiter->next = NULL;
	waiter->prev = queue->last;
	waiter->queue = queue;
	if (queue->last)
		queue->last->next = waiter;
	else
		queue->first = waiter;
	queue->last = waiter;
}

void sc_queue_remove(struct sc_waiter *waiter)
{
	struct sc_queue *queue = waiter->queue;

	if (waiter->prev)
		waiter->prev->next = waiter->next;
	else
		queue->first = waiter->next;
	if (waiter->next)
		waiter->next->prev = waiter->prev;
	else
		queue->last = waiter->prev;
	waiter->queue = NULL;
}

struct sc_waiter *sc_queue_take_first(struct sc_queue *queue, struct sc_strand **woken)
{
	struct sc_waiter *waiter = queue->first;
	struct sc_strand *strand = waiter->strand;
	enum sc_claim claim;

	queue->first = waiter->next;
	if (waiter->next)
		waiter->next->prev = NULL;
	else
		queue->last = NULL;
	waiter->queue = NULL;
	claim = sc_card_try(sc_card(strand), SC_WAIT_EVENT);
	if (claim == SC_CLAIM_LOST)
		return NULL;
	if (claim == SC_CLAIM_WON_PARKED)
		*woken = strand;
	if (SC_UNLIKELY(waiter->select != NULL))
		sc_select_chose(waiter);
	return waiter;
}

void sc_queue_serve_all(struct sc_queue *queue, int result, struct sc_batch *woken)
{
	while (queue->first) {
		struct sc_waiter *waiter = queue->first;

		/* An arm that was too late is not served. */
		waiter->result = result;
		waiter->served = 1;
		sc_queue_claim_first(queue, woken);
	}
}

/* ---- the wait ----------------------------------------------------------------------- */

/* lock */
static void leave_queue(struct sc_await *await)
{
	sc_queue_remove(&await->waiter);
	if (await->gave_up)
		await->gave_up(await);
}

/* On the next stack.  What `take` gets counts even if a cancel has claimed the wait by now: it
 * left the rest to who commits, and completion wins ties (C6). */
static void publish(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_await *await = strand->subject;
	struct sc_lock *lock = await->lock;
	struct sc_batch woken;
	int parked = 0;

	if (!await->shielded && !await->again)
		sc_wait_publish(worker, strand);
	sc_enter(lock);
	if (await->take(await)) {
		at_store_rlx(&sc_card(strand)->wait, SC_WAIT_EVENT);
	} else {
		sc_queue_add(await->queue, &await->waiter);
		parked = await->again
				 ? sc_commit_again(worker, strand, sc_untag(strand->place))
				 : sc_wait_commit(strand);
		if (!parked)
			leave_queue(await);
	}
	/* Once the lock is free a parked strand may be gone. */
	woken = await->woken;
	sc_leave(lock);
	sc_wake(&woken);
	if (!parked)
		sc_ready(strand);
}

/* Something else ended the wait; it may have been given something all the same. */
static void give_up(struct sc_await *await)
{
	sc_enter(await->lock);
	await->woken = (struct sc_batch){NULL, NULL, 0}; /* `publish` may have been reading it */
	if (await->waiter.queue)
		leave_queue(await);
	sc_leave(await->lock);
	sc_wake(&await->woken);
}

/* With one worker nobody else runs before the strand has left its stack.  Who cancels from outside
 * may claim the wait at once; the strand then goes through the inbox, which this worker looks at
 * later. */
SC_INLINE void park_alone(struct sc_waiter *waiter, struct sc_queue *queue,
			  struct sc_worker *worker, struct sc_scope *place, enum sc_reason reason)
{
	sc_queue_add(queue, waiter);
	if (SC_LIKELY(sc_commit_again(worker, waiter->strand, place)))
		sc_park_in_place(worker, reason, NULL);
}

/* The wait is over and the waiter is in no queue. */
static SC_NOINLINE int end(struct sc_waiter *waiter, struct sc_scope *place)
{
	int rc;

	if (waiter->served && sc_wait_outcome(waiter->strand) != SC_WAIT_EVENT) {
		sc_wait_withdraw(place);
		sc_look_again(sc_self());
		return waiter->result;
	}
	rc = sc_wait_end(place);
	return rc == 0 ? waiter->result : rc;
}

struct keeper {
	struct sc_waiter waiter;
	struct sc_lock *lock;
};

/* On the next stack, with the lock that its strand has taken. */
static void publish_kept(struct sc_worker *worker, struct sc_strand *strand)
{
	struct keeper *keeper = strand->subject;
	struct sc_lock *lock = keeper->lock;
	int parked = sc_commit_again(worker, strand, sc_untag(strand->place));

	if (!parked)
		sc_queue_remove(&keeper->waiter);
	sc_lock_drop(lock);
	if (!parked)
		sc_ready(strand);
}

/* Parks with the lock, if there is another to continue at once. */
SC_INLINE int park_keeping(struct keeper *keeper, struct sc_queue *queue, struct sc_worker *worker,
			   struct sc_scope *place, enum sc_reason reason)
{
	if (!sc_suspend_lightly(worker, place))
		return 0;
	sc_queue_add(queue, &keeper->waiter);
	worker->strand->subject = keeper;
	if (SC_LIKELY(sc_park_lightly(worker, reason, publish_kept))) {
		sc_continue_lightly(keeper->waiter.strand, place);
		return 1;
	}
	sc_queue_remove(&keeper->waiter);
	return 0;
}

static SC_NOINLINE int await_after_all(void *thing, struct sc_lock *lock, struct sc_queue *queue,
				       uintptr_t key, enum sc_reason reason,
				       int (*take)(struct sc_await *await))
{
	struct sc_await await;

	sc_lock_drop(lock);
	sc_await_init(&await, thing, lock, queue, take, key);
	return sc_await(&await, reason);
}

SC_INLINE void begin(struct sc_waiter *waiter, struct sc_worker *worker, void *thing, uintptr_t key)
{
	waiter->strand = worker->strand;
	waiter->select = NULL;
	waiter->key = key;
	waiter->result = 0;
	waiter->served = 0;
	worker->strand->object = thing;
}

int sc_await_keeping(void *thing, struct sc_lock *lock, struct sc_queue *queue, uintptr_t key,
		     enum sc_reason reason, int (*take)(struct sc_await *await))
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;
	struct keeper keeper;

	begin(&keeper.waiter, worker, thing, key);
	keeper.lock = lock;
	if (!park_keeping(&keeper, queue, worker, place, reason))
		return await_after_all(thing, lock, queue, key, reason, take);
	if (SC_LIKELY(sc_wait_outcome(strand) == SC_WAIT_EVENT))
		return keeper.waiter.result;
	sc_lock_take(lock);
	if (keeper.waiter.queue)
		sc_queue_remove(&keeper.waiter);
	sc_lock_drop(lock);
	return end(&keeper.waiter, place);
}

int sc_await_alone(void *thing, struct sc_queue *queue, uintptr_t key, enum sc_reason reason)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;
	struct sc_waiter waiter;

	begin(&waiter, worker, thing, key);
	park_alone(&waiter, queue, worker, place, reason);
	if (SC_LIKELY(sc_wait_outcome(strand) == SC_WAIT_EVENT))
		return waiter.result;
	if (waiter.queue)
		sc_queue_remove(&waiter);
	return end(&waiter, place);
}

int sc_await(struct sc_await *await, enum sc_reason reason)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;

	await->waiter.strand = strand;
	strand->subject = await;
	strand->object = await->thing;
	if (await->shielded) {
		await->again = 0;
		sc_wait_forget(worker);
		sc_wait_prepare(strand);
	} else {
		await->again = await->deadline_ns == SC_NEVER && sc_wait_again(worker, place);
		if (!await->again)
			sc_wait_begin(worker, await->deadline_ns);
	}
	if (await->again && await->tried && sc_solo() && !sc_host(strand)->held)
		park_alone(&await->waiter, await->queue, worker, place, reason);
	else
		sc_park_in_place(worker, reason, publish);
	if (await->shielded)
		return await->waiter.result;
	if (await->deadline_ns == SC_NEVER && sc_wait_outcome(strand) == SC_WAIT_EVENT) {
		sc_wait_linger(strand, place);
		return await->waiter.result;
	}
	if (sc_wait_outcome(strand) != SC_WAIT_EVENT)
		give_up(await);
	return end(&await->waiter, place);
}

int sc_await_not(struct sc_await *await)
{
	int taken;

	sc_enter(await->lock);
	taken = await->take(await);
	sc_leave(await->lock);
	await->tried = 1;
	if (taken) {
		sc_wake(&await->woken);
		await->woken = (struct sc_batch){NULL, NULL, 0};
	}
	return taken;
}
