/* runtime/scope/soft.c: graceful shutdown: soft stops, the regions that feel them, and their
 * grace periods: rules G1-G3.
 *
 * A soft stop is a mark on a scope and all below it; unlike a cancel it passes shields, is
 * never a hit, and is felt only by a task in a soft region.  The regions of a task are counted
 * where the task's identity is: in its strand, or, if it runs inlined, in the top bits of
 * running.site, which the next child of that scope overwrites.  So a child does not inherit
 * them, and a region ends with its task at the latest.
 */
#include "scope/tree.h"
#include <errno.h>

/* ---- regions --------------------------------------------------------------------------------- */

static unsigned regions(struct sc_worker *worker)
{
	uintptr_t task = sc_task_of(worker->cur);

	if (task & 1)
		return sc_untag(task)->running.site / SC_RUNNING_REGION & SC_RUNNING_REGIONS;
	return worker->strand->regions;
}

/* By 1 up or down. */
static void count_region(struct sc_worker *worker, int by)
{
	uintptr_t task = sc_task_of(worker->cur);

	if (task & 1) {
		at_add_rlx(&sc_untag(task)->running.site, (uint64_t)by * SC_RUNNING_REGION);
		at_or_rlx(&sc_untag(task)->state, SC_TAINT);
	} else {
		worker->strand->regions += by;
	}
}

int sc_in_region(struct sc_worker *worker)
{
	return regions(worker) != 0;
}

int sc_region_begin(struct sc_worker *worker)
{
	if (regions(worker) == SC_RUNNING_REGIONS)
		return -EOVERFLOW;
	count_region(worker, 1);
	return 0;
}

void sc_region_end(struct sc_worker *worker)
{
	count_region(worker, -1);
}

unsigned sc_regions_leave(struct sc_worker *worker)
{
	unsigned count = regions(worker);

	if (count)
		count_region(worker, -(int)count);
	return count;
}

void sc_regions_return(struct sc_worker *worker, unsigned count)
{
	if (count)
		count_region(worker, (int)count - (int)regions(worker));
}

int scope_soft_begin(void)
{
	struct sc_worker *worker = sc_self();

	return worker->cur ? sc_region_begin(worker) : sc_not_connected("scope_soft_begin");
}

int scope_soft_end(void)
{
	struct sc_worker *worker = sc_self();

	if (worker->cur == 0)
		return sc_not_connected("scope_soft_end");
	if (!sc_in_region(worker))
		return -EPERM;
	sc_region_end(worker);
	return 0;
}

/* ---- shutdown -------------------------------------------------------------------------------- */

/* lock: s, its alarm off.  True if the grace period is over already. */
static int shorten(struct sc_worker *worker, struct sc_scope *s, int64_t stop_by)
{
	uint32_t state = sc_state(s);
	int64_t when = state & SC_DEADLINE ? at_load_rlx(&s->alarm.timer.when) : SC_NEVER;
	int due = stop_by <= sc_now();

	if (!(state & SC_SOFT) || stop_by < at_load_rlx(&s->stop_by))
		at_store_rlx(&s->stop_by, stop_by);
	if (due)
		at_or_rlx(&s->state, SC_FIRED);
	sc_put_deadline(worker, s, when < stop_by ? when : stop_by);
	return due;
}

void sc_shutdown(struct sc_worker *worker, struct sc_scope *s, int64_t stop_by)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int first, due;

	sc_take_deadline(s);
	first = !(sc_state(s) & SC_SOFT);
	due = shorten(worker, s, stop_by);
	sc_stop_softly(s, &woken);
	sc_scope_unlock(s);
	if (first)
		sc_announce();
	sc_ready_batch(&woken);
	if (due)
		sc_cancel(s, SCOPE_CAUSE_SHUTDOWN);
}

void scope_shutdown(struct scope *public, int64_t grace_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	int64_t stop_by;
	int owned;

	if (worker->cur == 0)
		return;
	sc_check_open("scope_shutdown of", s);
	if (sc_state(s) & SC_CLOSED)
		return;
	if (__builtin_add_overflow(sc_now(), grace_ns > 0 ? grace_ns : 0, &stop_by))
		stop_by = SC_NEVER;
	/* As in scope_set_deadline.  What its parent is closing has been cancelled. */
	owned = sc_is_object(s) && sc_owns(worker, s);
	if (owned && sc_object_enter(s) < 0)
		return;
	sc_shutdown(worker, s, stop_by);
	if (owned)
		sc_object_leave(s);
	sc_look_soon(worker);
}
