/* runtime/scope/start.c: tasks that say when they are ready: rule S14.
 *
 * Such a task has a scope of its own in between.  Until it has started that scope belongs to the
 * starter, which waits: errors are the starter's, and so is the close.  From then on it belongs
 * to its parent, and the end of the task closes it.  It is a member of the parent all the time.
 *
 * Memory order
 *   [start.hold]  sub_acqrel(holders) of the starter and of the task's end: the last one frees
 */
#include "scope/child.h"
#include <errno.h>
#include <string.h>

enum phase { STARTING, STARTED, ABANDONED, ENDED };

struct start {
	struct sc_between between; /* first */
	struct sc_task task;
	struct sc_strand *starter; /* const: waits unless STARTED */
	uint32_t phase;            /* lock: the scope's */
	SC_WORD(uint32_t) holders; /* the starter, the task */
};

static struct start *start_of(struct sc_scope *s)
{
	return (struct start *)sc_between(s);
}

static void drop_hold(struct start *start)
{
	if (at_sub_acqrel(&start->holders, 1) == 1) /* [start.hold] */
		sc_os.free(start);
}

/* ---- the task ------------------------------------------------------------------------------ */

static struct sc_strand *ended(struct sc_between *between, int rc)
{
	struct start *start = (struct start *)between;
	struct sc_scope *s = &between->scope, *parent = sc_untag(s->parent);
	struct sc_strand *woken = NULL;
	int was_started;

	(void)rc; /* what the scope has been told */
	sc_scope_lock(s);
	was_started = start->phase == STARTED;
	if (!was_started) {
		start->phase = ENDED;
		if (sc_wait_claim(start->starter, SC_WAIT_EVENT))
			woken = start->starter;
	}
	sc_scope_unlock(s);
	if (!was_started)
		return woken; /* which looks at it under that lock */
	sc_pass_up(s);
	drop_hold(start);
	return sc_units_end(parent, 1);
}

static int set_started(struct start *start)
{
	struct sc_scope *s = &start->between.scope;
	struct sc_strand *woken = NULL;
	int rc = 0;

	sc_scope_lock(s);
	if (start->phase == STARTED) {
		rc = -EALREADY;
	} else if (start->phase == ABANDONED) {
		rc = -ECANCELED;
	} else {
		start->phase = STARTED;
		if (sc_wait_claim(start->starter, SC_WAIT_EVENT))
			woken = start->starter;
	}
	sc_scope_unlock(s);
	if (woken)
		sc_ready(woken);
	return rc;
}

int scope_started(void)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s;
	uintptr_t task;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_started");
	task = sc_task_of(worker->cur);
	if (task & 1)
		return -EPERM;
	s = sc_untag(sc_untag(task)->parent);
	if (!(sc_state(s) & SC_BETWEEN) || sc_between(s)->ended != ended)
		return -EPERM;
	rc = set_started(start_of(s));
	if (rc == -ECANCELED)
		sc_hit(sc_untag(worker->cur));
	return rc;
}

/* ---- the starter --------------------------------------------------------------------------- */

/* The starter was cancelled, so is the task; its end is waited for whatever comes. */
static void wait_for_end(struct start *start)
{
	struct sc_scope *s = &start->between.scope;
	struct sc_worker *worker = sc_self();
	int has_ended;

	sc_cancel(s, SCOPE_CAUSE_PARENT);
	sc_scope_lock(s);
	has_ended = start->phase == ENDED;
	if (!has_ended)
		sc_wait_prepare(worker->strand);
	sc_scope_unlock(s);
	worker->strand->object = (const void *)start->task.slot.fn;
	if (!has_ended)
		sc_park(worker, SC_IN_START, sc_wait_park);
}

/* The task has ended before it had started: its scope is closed by the starter.  why: what ended
 * the wait before, or 0. */
static int close_start(struct start *start, int why)
{
	struct sc_scope *s = &start->between.scope, *parent = sc_untag(s->parent);
	int rc = sc_conclude(s);

	if (rc != 0)
		sc_keep_error(s, rc);
	else if (why != 0)
		rc = why;
	else
		rc = -ENOMSG; /* a cancel that it obeyed was its starter's, or from above */
	sc_take_down(s);
	sc_os.free(start);
	sc_drop_units(parent, 1);
	return rc;
}

/* After the wait.  The task's word goes before a cancel, of which then nothing was felt here. */
static int settle(struct start *start, struct sc_scope *place)
{
	struct sc_scope *s = &start->between.scope;
	uint32_t phase;
	int why = 0;

	sc_scope_lock(s);
	phase = start->phase;
	if (phase == STARTING)
		start->phase = ABANDONED;
	sc_scope_unlock(s);
	if (phase == STARTING) {
		why = sc_wait_end(place);
		wait_for_end(start);
	} else {
		sc_wait_withdraw(place);
		sc_look_again(sc_self());
	}
	if (phase != STARTED)
		return close_start(start, why);
	drop_hold(start);
	return 0;
}

static struct start *new_start(struct sc_worker *worker, scope_task_fn *fn, void *arg,
			       const void *site)
{
	struct start *start = sc_os.alloc(sizeof *start);

	if (!start)
		return NULL;
	memset(start, 0, sizeof *start);
	start->between.ended = ended;
	start->task.slot = (struct sc_slot){fn, site, arg, &start->between.scope};
	start->starter = worker->strand;
	start->holders = 2;
	start->between.scope.state = SC_BETWEEN;
	return start;
}

/* The strand waits from here on.  s is in use. */
static int begin_start(struct sc_worker *worker, struct sc_scope *s, scope_task_fn *fn, void *arg,
		       const void *site, struct start **out_start)
{
	struct start *start;
	int rc = sc_refused(worker, s);

	if (rc < 0)
		return rc;
	start = new_start(worker, fn, arg, site);
	if (!start) {
		sc_failed(s, -ENOMEM, 0, site, "no memory to start a task");
		return -ENOMEM;
	}
	sc_hang(worker, &start->between.scope, s, 0, site);
	at_add_rlx(&s->count, 1);
	sc_wait_begin(worker, SC_NEVER);
	sc_accept(&start->task);
	*out_start = start;
	return 0;
}

int scope_start(struct scope *public, scope_task_fn *fn, void *arg)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public), *place;
	struct start *start;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_start");
	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	worker = sc_self();
	place = sc_untag(worker->cur);
	if (!sc_begin_use(s))
		return -ESTALE;
	rc = begin_start(worker, s, fn, arg, __builtin_return_address(0), &start);
	sc_end_use(s);
	if (rc < 0)
		return rc;
	worker->strand->object = (const void *)fn;
	sc_park(worker, SC_IN_START, sc_wait_post);
	return settle(start, place);
}
