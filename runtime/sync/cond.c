/* runtime/sync/cond.c: the condition variable of a mutex: rule X6. */
#include "sync/mutex.h"
#include <errno.h>

struct cond {
	struct sc_lock lock;
	struct sc_queue queue;
};
_Static_assert(sizeof(struct cond) <= sizeof(struct scope_cond), "a condition fits");

static struct cond *view(struct scope_cond *cond)
{
	return (struct cond *)cond;
}

/* A wait, and the mutex that is given back for its time. */
struct cond_await {
	struct sc_await await;
	struct sc_mutex *mutex;
};

/* lock.  The mutex goes only now that a signal, which takes the lock, finds the waiter. */
static int release(struct sc_await *await)
{
	struct cond_await *mine = SC_CONTAINER(await, struct cond_await, await);

	sc_mutex_release(mine->mutex, await->waiter.key, &await->woken);
	return 0;
}

int scope_cond_wait(struct scope_cond *public, struct scope_mutex *mutex)
{
	struct sc_worker *worker = sc_self();
	struct cond *cond = view(public);
	struct cond_await mine = {.mutex = sc_mutex(mutex)};
	const void *site = __builtin_return_address(0);
	uintptr_t task;
	int rc, again;

	if (worker->cur == 0)
		return sc_not_connected("scope_cond_wait");
	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	worker = sc_self();
	task = sc_task_of(worker->cur);
	if (!sc_mutex_is_mine(mine.mutex, task))
		return -EPERM;
	sc_await_init(&mine.await, cond, &cond->lock, &cond->queue, release, task);
	sc_give_back(worker, &mine.mutex->holding);
	rc = sc_await(&mine.await, SC_IN_COND);
	/* If its holder ends meanwhile nobody holds it: try again, and tell. */
	while ((again = sc_mutex_lock(mine.mutex, task, site, 1)) != 0)
		rc = rc == 0 ? again : rc;
	return rc;
}

static void wake(struct scope_cond *public, int all)
{
	struct cond *cond = view(public);
	struct sc_batch woken = {NULL, NULL, 0};

	if (sc_self()->cur == 0)
		return;
	sc_enter(&cond->lock);
	if (all)
		sc_queue_serve_all(&cond->queue, 0, &woken);
	else
		sc_queue_claim(&cond->queue, &woken);
	sc_leave(&cond->lock);
	sc_wake(&woken);
}

void scope_cond_signal(struct scope_cond *cond)
{
	wake(cond, 0);
}

void scope_cond_broadcast(struct scope_cond *cond)
{
	wake(cond, 1);
}
