/* runtime/sync/event.c: the event, which many wait for; see event.h. */
#include "sync/event.h"
#include <errno.h>

/* lock */
static int take(struct sc_await *await)
{
	return sc_event_is_set(await->thing);
}

int scope_event_wait_until(struct scope_event *public, int64_t deadline_ns)
{
	struct sc_event_inside *event = sc_event_inside(public);
	struct sc_await await;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_event_wait");
	rc = sc_check(worker);
	if (rc < 0 || sc_event_pass(event))
		return rc;
	if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
		return -ETIMEDOUT;
	sc_await_init(&await, event, &event->lock, &event->queue, take, 0);
	await.deadline_ns = deadline_ns;
	return sc_await(&await, SC_IN_EVENT);
}

int scope_event_wait(struct scope_event *event)
{
	return scope_event_wait_until(event, SC_NEVER);
}

void scope_event_set(struct scope_event *public)
{
	struct sc_event_inside *event = sc_event_inside(public);
	struct sc_batch woken = {NULL, NULL, 0};

	if (sc_self()->cur == 0)
		return;
	sc_enter(&event->lock);
	at_store_rel(&event->set, 1); /* [event.set] */
	sc_queue_serve_all(&event->queue, 0, &woken);
	sc_leave(&event->lock);
	sc_wake(&woken);
}

void scope_event_clear(struct scope_event *public)
{
	struct sc_event_inside *event = sc_event_inside(public);

	if (sc_self()->cur == 0)
		return;
	sc_enter(&event->lock);
	at_store_rlx(&event->set, 0);
	sc_leave(&event->lock);
}

bool scope_event_is_set(const struct scope_event *public)
{
	return sc_event_is_set(sc_event_inside((struct scope_event *)(uintptr_t)public));
}
