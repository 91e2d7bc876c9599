/* runtime/sync/rwlock.c: the lock for many readers or one writer, in the order of their coming. */
#include "sync/queue.h"
#include <errno.h>
#include <scope_sync.h>

/* A waiter's key is the task that wants to write, or 0: it wants to read.  Whoever is at the
 * front of the queue does not fit with those who are inside. */
struct rwlock {
	struct sc_lock lock;
	uint32_t readers; /* lock: inside */
	SC_WORD(uintptr_t) writer; /* inside, or 0; written under lock */
	struct sc_queue queue;
};
_Static_assert(sizeof(struct rwlock) <= sizeof(struct scope_rwlock), "a rwlock fits");

static struct rwlock *view(struct scope_rwlock *rwlock)
{
	return (struct rwlock *)rwlock;
}

/* lock */
static int fits(struct rwlock *rwlock, uintptr_t key)
{
	return !at_load_rlx(&rwlock->writer) && (key == 0 || rwlock->readers == 0);
}

/* lock */
static void enter(struct rwlock *rwlock, uintptr_t key)
{
	if (key)
		at_store_rlx(&rwlock->writer, key);
	else
		rwlock->readers++;
}

/* lock */
static int take(struct sc_await *await)
{
	struct rwlock *rwlock = await->thing;

	if (rwlock->queue.first || !fits(rwlock, await->waiter.key))
		return 0;
	enter(rwlock, await->waiter.key);
	return 1;
}

/* lock.  Those at the front who fit now. */
static void admit(struct rwlock *rwlock, struct sc_batch *woken)
{
	while (rwlock->queue.first && fits(rwlock, rwlock->queue.first->key)) {
		uintptr_t key = rwlock->queue.first->key;

		/* One whose wait was ended otherwise is taken out, and the next may not fit. */
		if (sc_queue_claim_first(&rwlock->queue, woken))
			enter(rwlock, key);
	}
}

/* lock.  Those behind a writer may fit without it. */
static void gave_up(struct sc_await *await)
{
	admit(await->thing, &await->woken);
}

static void await_room(struct sc_await *await, struct rwlock *rwlock, uintptr_t key)
{
	sc_await_init(await, rwlock, &rwlock->lock, &rwlock->queue, take, key);
	await->gave_up = gave_up;
}

static int lock(struct sc_worker *worker, struct rwlock *rwlock, int to_write)
{
	struct sc_await await;
	uintptr_t task;
	int rc = sc_check(worker);

	if (rc < 0)
		return rc;
	task = sc_task_of(sc_self()->cur);
	if (at_load_rlx(&rwlock->writer) == task)
		return -EDEADLK;
	await_room(&await, rwlock, to_write ? task : 0);
	return sc_await_not(&await) ? 0 : sc_await(&await, SC_IN_RWLOCK);
}

static int try_lock(struct sc_worker *worker, struct rwlock *rwlock, int to_write)
{
	struct sc_await await;

	await_room(&await, rwlock, to_write ? sc_task_of(worker->cur) : 0);
	return sc_await_not(&await) ? 0 : -EBUSY;
}

int scope_rwlock_lock(struct scope_rwlock *rwlock)
{
	struct sc_worker *worker = sc_self();

	return worker->cur ? lock(worker, view(rwlock), 1)
			   : sc_not_connected("scope_rwlock_lock");
}

int scope_rwlock_lock_shared(struct scope_rwlock *rwlock)
{
	struct sc_worker *worker = sc_self();

	return worker->cur ? lock(worker, view(rwlock), 0)
			   : sc_not_connected("scope_rwlock_lock_shared");
}

int scope_rwlock_try_lock(struct scope_rwlock *rwlock)
{
	struct sc_worker *worker = sc_self();

	return worker->cur ? try_lock(worker, view(rwlock), 1)
			   : sc_not_connected("scope_rwlock_try_lock");
}

int scope_rwlock_try_lock_shared(struct scope_rwlock *rwlock)
{
	struct sc_worker *worker = sc_self();

	return worker->cur ? try_lock(worker, view(rwlock), 0)
			   : sc_not_connected("scope_rwlock_try_lock_shared");
}

int scope_rwlock_unlock(struct scope_rwlock *public)
{
	struct rwlock *rwlock = view(public);
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_worker *worker = sc_self();

	if (worker->cur == 0)
		return sc_not_connected("scope_rwlock_unlock");
	if (at_load_rlx(&rwlock->writer) != sc_task_of(worker->cur))
		return -EPERM;
	sc_enter(&rwlock->lock);
	at_store_rlx(&rwlock->writer, 0);
	admit(rwlock, &woken);
	sc_leave(&rwlock->lock);
	sc_wake(&woken);
	return 0;
}

int scope_rwlock_unlock_shared(struct scope_rwlock *public)
{
	struct rwlock *rwlock = view(public);
	struct sc_batch woken = {NULL, NULL, 0};
	int rc = 0;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_rwlock_unlock_shared");
	sc_enter(&rwlock->lock);
	if (rwlock->readers == 0) {
		rc = -EPERM;
	} else {
		rwlock->readers--;
		admit(rwlock, &woken);
	}
	sc_leave(&rwlock->lock);
	sc_wake(&woken);
	return rc;
}
