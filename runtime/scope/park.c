/* runtime/scope/park.c: a task that waits to be woken by whoever knows its parker.
 *
 * The parker's lock decides between a permit that is kept and one that is handed over: who
 * unparks claims the wait under it, and the task takes it when it goes on.  So the strand is in
 * this very wait while it is claimed, and nobody touches the parker after the task has gone on.
 */
#include "scope/tree.h"
#include <errno.h>
#include <scope_ref.h>

struct parker {
	struct sc_lock lock;
	uint32_t permit;          /* lock */
	struct sc_strand *waiter; /* lock: is about to park, or parked */
};
_Static_assert(sizeof(struct parker) <= sizeof(struct scope_parker), "a parker fits");

static struct parker *view(struct scope_parker *parker)
{
	return (struct parker *)parker;
}

/* Takes a permit, or becomes the waiter: 1. */
static int begin(struct parker *parker, struct sc_worker *worker, int64_t deadline_ns)
{
	int rc = 1;

	sc_lock_take(&parker->lock);
	if (parker->permit) {
		parker->permit = 0;
		rc = 0;
	} else if (parker->waiter) {
		rc = -EBUSY;
	} else if (deadline_ns != SC_NEVER && deadline_ns <= sc_now()) {
		rc = -ETIMEDOUT;
	} else {
		sc_wait_begin(worker, deadline_ns);
		parker->waiter = worker->strand;
	}
	sc_lock_drop(&parker->lock);
	return rc;
}

int scope_park_until(struct scope_parker *public, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct parker *parker = view(public);
	struct sc_scope *place;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_park_until");
	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	worker = sc_self();
	place = sc_untag(worker->cur);
	rc = begin(parker, worker, deadline_ns);
	if (rc <= 0)
		return rc;
	worker->strand->object = parker;
	sc_park(worker, SC_IN_PARK, sc_wait_post);
	sc_lock_take(&parker->lock);
	parker->waiter = NULL;
	sc_lock_drop(&parker->lock);
	return sc_wait_end(place);
}

int scope_park(struct scope_parker *parker)
{
	return scope_park_until(parker, SC_NEVER);
}

/* A strand to continue, or NULL. */
static struct sc_strand *give_permit(struct parker *parker)
{
	struct sc_strand *strand, *woken = NULL;

	sc_lock_take(&parker->lock);
	strand = parker->waiter;
	if (!strand) {
		parker->permit = 1;
	} else {
		if (sc_wait_claim(strand, SC_WAIT_EVENT))
			woken = strand;
		if (sc_wait_outcome(strand) == SC_WAIT_EVENT)
			parker->waiter = NULL;
		else
			parker->permit = 1; /* cancelled or too late: it takes the next */
	}
	sc_lock_drop(&parker->lock);
	return woken;
}

void scope_unpark(struct scope_parker *public)
{
	int guest = sc_self()->cur == 0 && sc_guest_enter();
	/* Outside a run nobody waits. */
	struct sc_strand *woken = give_permit(view(public));

	if (woken)
		sc_ready(woken);
	if (guest)
		sc_guest_leave();
}
