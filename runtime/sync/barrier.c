/* runtime/sync/barrier.c: the barrier, at which so many tasks wait for each other. */
#include "sync/queue.h"
#include <errno.h>
#include <scope_sync.h>

struct barrier {
	struct sc_lock lock;
	uint32_t count;   /* const: so many go on together */
	uint32_t waiting; /* lock: in the queue */
	struct sc_queue queue;
};
_Static_assert(sizeof(struct barrier) <= sizeof(struct scope_barrier), "a barrier fits");

static struct barrier *view(struct scope_barrier *barrier)
{
	return (struct barrier *)barrier;
}

/* lock.  The last to come takes the others along, those too whose wait is being cancelled. */
static int take(struct sc_await *await)
{
	struct barrier *barrier = await->thing;

	if (barrier->waiting + 1 < barrier->count) {
		barrier->waiting++;
		return 0;
	}
	sc_queue_serve_all(&barrier->queue, 0, &await->woken);
	barrier->waiting = 0;
	await->waiter.result = 1;
	return 1;
}

/* lock */
static void gave_up(struct sc_await *await)
{
	((struct barrier *)await->thing)->waiting--;
}

void scope_barrier_init(struct scope_barrier *barrier, unsigned count)
{
	*view(barrier) = (struct barrier){.count = count};
}

int scope_barrier_wait(struct scope_barrier *public)
{
	struct barrier *barrier = view(public);
	struct sc_await await;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_barrier_wait");
	sc_await_init(&await, barrier, &barrier->lock, &barrier->queue, take, 0);
	await.gave_up = gave_up;
	rc = sc_check(worker);
	return rc < 0 ? rc : sc_await(&await, SC_IN_BARRIER);
}
