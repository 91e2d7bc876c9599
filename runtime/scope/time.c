/* runtime/scope/time.c: sleeping, deadlines, and the blocks made of them: rules T1-T6. */
#include "scope/inplace.h"
#include <errno.h>

int64_t scope_now(void)
{
	return sc_now();
}

/* ---- sleep ---------------------------------------------------------------------------------- */

/* Behind a checkpoint. */
static int sleep_until(int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	int rc;

	sc_wait_begin(worker, deadline_ns);
	sc_park_in_place(worker, SC_IN_SLEEP, sc_wait_post);
	rc = sc_wait_end(place);
	return rc == -ETIMEDOUT ? 0 : rc;
}

int scope_sleep_until(int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_sleep_until");
	rc = sc_check(worker);
	if (rc < 0 || (deadline_ns != SC_NEVER && deadline_ns <= sc_now()))
		return rc;
	return sleep_until(deadline_ns);
}

int scope_sleep_for(int64_t duration_ns)
{
	struct sc_worker *worker = sc_self();
	int64_t until;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_sleep_for");
	/* Of two looks at the clock the one before a checkpoint that gives way. */
	if (duration_ns > 0 && __builtin_add_overflow(sc_now(), duration_ns, &until))
		until = SC_NEVER;
	rc = sc_check(worker);
	return rc < 0 || duration_ns <= 0 ? rc : sleep_until(until);
}

/* ---- deadlines ------------------------------------------------------------------------------- */

void sc_overdue(struct sc_scope *s)
{
	uint32_t state = at_or_rlx(&s->state, SC_FIRED);
	int64_t when = at_load_rlx(&s->alarm.timer.when);

	if ((state & SC_SOFT) && at_load_rlx(&s->stop_by) <= when)
		sc_cancel(s, SCOPE_CAUSE_SHUTDOWN);
	else
		sc_cancel(s, SCOPE_CAUSE_DEADLINE);
}

/* The hook of an alarm that is due. */
void sc_expire(struct sc_alarm *alarm)
{
	sc_overdue(SC_CONTAINER(alarm, struct sc_scope, alarm));
}

void sc_take_deadline(struct sc_scope *s)
{
	/* One at a time: an alarm is off all locks between being taken out and put in. */
	static struct sc_lock moving;

	sc_lock_take(&moving);
	sc_scope_lock(s);
	if (sc_state(s) & SC_ARMED) {
		/* Firing needs the lock that is held here: take the alarm off without it. */
		sc_scope_unlock(s);
		sc_alarm_disarm(&s->alarm);
		sc_scope_lock(s);
		at_and_rlx(&s->state, ~(uint32_t)SC_ARMED);
	}
	sc_lock_drop(&moving);
}

/* Where somebody is parked below, or the owner was put aside, it is armed now; else the first
 * park does it, and until then the monitor's tick has it looked at.  One already past is seen
 * at the next checkpoint. */
void sc_put_deadline(struct sc_worker *worker, struct sc_scope *s, int64_t when)
{
	if (when == SC_NEVER) {
		at_and_rlx(&s->state, ~(uint32_t)SC_DEADLINE);
		return;
	}
	at_store_rlx(&s->alarm.timer.when, when);
	s->alarm.timer.link = NULL;
	at_or_rlx(&s->state, SC_DEADLINE);
	if (sc_state(s) & (SC_LINKED | SC_FLUSHED))
		sc_arm_deadline(worker, s);
}

void sc_look_soon(struct sc_worker *worker)
{
	at_store_rlx(&worker->tick, 1);
	sc_poke(worker);
}

/* s stays open meanwhile. */
static int set_deadline(struct sc_worker *worker, struct sc_scope *s, int64_t deadline_ns)
{
	int rc = 0;

	sc_take_deadline(s);
	if ((sc_state(s) & SC_SOFT) && at_load_rlx(&s->stop_by) < deadline_ns)
		deadline_ns = at_load_rlx(&s->stop_by); /* G1: the smaller of the two */
	if (sc_state(s) & SC_FIRED)
		rc = -EALREADY;
	else
		sc_put_deadline(worker, s, deadline_ns);
	sc_scope_unlock(s);
	if (rc == 0)
		sc_look_soon(worker);
	return rc;
}

int scope_set_deadline(struct scope *public, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_set_deadline");
	if (deadline_ns < 0 || !s)
		return -EINVAL;
	sc_check_open("scope_set_deadline of", s);
	if (sc_state(s) & SC_CLOSED)
		return -ESTALE;
	/* A member keeps it open, and so does whoever waits for the caller. */
	if (!sc_is_object(s) || !sc_owns(worker, s))
		return set_deadline(worker, s, deadline_ns);
	rc = sc_object_enter(s);
	if (rc < 0)
		return rc;
	rc = set_deadline(worker, s, deadline_ns);
	sc_object_leave(s);
	return rc;
}

/* The part of scope_open_with that is about time; s is not shared yet. */
void sc_open_deadline(struct sc_worker *worker, struct sc_scope *s, int64_t when)
{
	at_store_rlx(&s->alarm.timer.when, when);
	s->alarm.timer.link = NULL;
	at_store_rlx(&s->state, sc_state(s) | SC_DEADLINE);
	sc_look_soon(worker);
}

int scope_within(int64_t timeout_ns, scope_task_fn *fn, void *arg)
{
	const void *site = __builtin_return_address(0);
	struct scope_options options = {0};
	int64_t now = sc_now();
	struct scope public;
	struct sc_scope *s = sc_view(&public);
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_within");
	sc_check_function("scope_within of", fn);
	if (!fn)
		return -EINVAL;
	if (timeout_ns < 0)
		timeout_ns = 0;
	if (__builtin_add_overflow(now, timeout_ns, &options.deadline_ns))
		options.deadline_ns = SC_NEVER;
	scope_open_with(&public, &options); /* only a name would need memory */
	/* Reports say where the caller is, not this. */
	s->site = site;
	sc_seal(s);
	rc = fn(arg);
	if (rc != 0 && sc_self()->cur == (uintptr_t)s)
		sc_failed_at(s, rc, (uintptr_t)s, site, SCOPE_SITE_FAIL, NULL);
	return scope_close(&public);
}
