/* runtime/sync/semaphore.c: the semaphore: permits that go from hand to hand. */
#include "sync/queue.h"
#include <errno.h>
#include <scope_sync.h>

/* There are permits only while nobody waits. */
struct semaphore {
	struct sc_lock lock;
	uint32_t permits; /* lock */
	struct sc_queue queue;
};
_Static_assert(sizeof(struct semaphore) <= sizeof(struct scope_semaphore), "a semaphore fits");

static struct semaphore *view(struct scope_semaphore *semaphore)
{
	return (struct semaphore *)semaphore;
}

/* lock */
static int take(struct sc_await *await)
{
	struct semaphore *semaphore = await->thing;

	if (semaphore->permits == 0)
		return 0;
	semaphore->permits--;
	return 1;
}

static void await_permit(struct sc_await *await, struct semaphore *semaphore)
{
	sc_await_init(await, semaphore, &semaphore->lock, &semaphore->queue, take, 0);
}

void scope_semaphore_init(struct scope_semaphore *semaphore, unsigned permits)
{
	*view(semaphore) = (struct semaphore){.permits = permits};
}

int scope_semaphore_acquire(struct scope_semaphore *public)
{
	struct sc_await await;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_semaphore_acquire");
	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	await_permit(&await, view(public));
	return sc_await_not(&await) ? 0 : sc_await(&await, SC_IN_SEMAPHORE);
}

int scope_semaphore_try_acquire(struct scope_semaphore *public)
{
	struct sc_await await;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_semaphore_try_acquire");
	await_permit(&await, view(public));
	return sc_await_not(&await) ? 0 : -EAGAIN;
}

int scope_semaphore_release(struct scope_semaphore *public)
{
	struct semaphore *semaphore = view(public);
	struct sc_batch woken = {NULL, NULL, 0};
	int rc = 0;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_semaphore_release");
	sc_enter(&semaphore->lock);
	if (semaphore->permits == UINT32_MAX)
		rc = -EOVERFLOW;
	else if (!sc_queue_claim(&semaphore->queue, &woken))
		semaphore->permits++;
	sc_leave(&semaphore->lock);
	sc_wake(&woken);
	return rc;
}
