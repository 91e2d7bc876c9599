/* tests/sim/scn_time.c: deadlines and timeouts against ends, cancels and each other. */
#include "scn.h"

static int64_t soon(void)
{
	return scope_now() + (int64_t)sim_random(20000);
}

/* What close answers follows from whether somebody felt the deadline. */
static int deadline_against_end(void *arg)
{
	struct scope_options options = {.deadline_ns = soon()};
	struct group g;
	struct job job[2];
	bool timed_out;
	unsigned hits;
	int i, rc;

	(void)arg;
	group_open_with(&g, &options);
	for (i = 0; i < 2; i++) {
		job[i].number = sim_random(20000);
		group_spawn(&g, &job[i], body_sleep);
	}
	if (sim_random(2) && scope_yield())
		g.hits++;
	if (scope_wait_until(&g.scope, 0) == -ECANCELED)
		g.hits++;
	rc = scope_close(&g.scope);
	timed_out = scope_timed_out(&g.scope);
	hits = g.hits;
	sim_check(g.ended == g.accepted, "close returned too early");
	sim_check(rc == 0 || rc == -ETIMEDOUT, "close gave %d", rc);
	sim_check(rc == (timed_out ? -ETIMEDOUT : 0), "close gave %d, timed out: %d", rc,
		  timed_out);
	sim_check(hits == 0 || timed_out, "%u hits and no timeout", hits);
	return 0;
}

Test(sim, deadline_races_completion)
{
	explore("deadline_races_completion", deadline_against_end, WITH_TIMERS);
}

static int timer_against_cancel(void *arg)
{
	struct scope_options options = {.deadline_ns = soon()};
	struct group g;
	struct job sleeper, canceller = {0};
	bool timed_out;
	int rc;

	(void)arg;
	group_open_with(&g, &options);
	group_spawn(&g, &sleeper, body_for_ever);
	group_spawn(&g, &canceller, body_cancel);
	if (sim_random(2))
		scope_sleep_until(options.deadline_ns + (int64_t)sim_random(100) - 50);
	rc = scope_close(&g.scope);
	timed_out = scope_timed_out(&g.scope);
	sim_check(scope_cancel_called(&g.scope), "no cancel after all");
	sim_check(g.ended == g.accepted, "close returned too early");
	sim_check(rc == (timed_out ? -ETIMEDOUT : 0), "close gave %d, timed out: %d", rc,
		  timed_out);
	return 0;
}

Test(sim, deadline_races_cancel)
{
	explore("deadline_races_cancel", timer_against_cancel, 0);
}

/* Deadlines of scopes that end before they fire: nothing may fire into a dead frame. */
static int deadline_against_close(void *arg)
{
	struct scope_options options = {.on_timeout = SCOPE_MOVE_ON};
	struct group g;
	struct job job;
	int round;

	(void)arg;
	for (round = 0; round < 3; round++) {
		options.deadline_ns = soon();
		group_open_with(&g, &options);
		job.number = sim_random(20000);
		group_spawn(&g, &job, body_sleep);
		sim_check(group_close(&g) == 0, "MOVE_ON gave an error");
	}
	return 0;
}

Test(sim, deadline_races_close)
{
	explore("deadline_races_close", deadline_against_close, WITH_TIMERS);
}

static int body_move_deadline(struct job *job)
{
	int rc = scope_set_deadline(&job->group->scope,
				    job->number ? soon() : (int64_t)SCOPE_NEVER);

	sim_check(rc == 0 || rc == -EALREADY, "moving a deadline gave %d", rc);
	return 0;
}

static int moved_deadline(void *arg)
{
	struct scope_options options = {.deadline_ns = soon()};
	struct group g;
	struct job mover[2], sleeper;
	int rc, i;

	(void)arg;
	group_open_with(&g, &options);
	sleeper.number = 30000 + sim_random(100000);
	group_spawn(&g, &sleeper, body_sleep);
	for (i = 0; i < 2; i++) {
		mover[i].number = sim_random(2);
		group_spawn(&g, &mover[i], body_move_deadline);
	}
	rc = group_close(&g);
	sim_check(rc == (sleeper.saw || g.hits ? -ETIMEDOUT : 0), "close gave %d, %u hits", rc,
		  g.hits);
	return 0;
}

Test(sim, deadlines_are_moved_while_they_fire)
{
	explore("deadlines_are_moved_while_they_fire", moved_deadline, WITH_TIMERS);
}

/* The owner computes and looks at its deadline itself while a task takes it off: that is done, or
 * the deadline fired, and the task is told. */
static int body_take_off(struct job *job)
{
	job->saw = scope_set_deadline(&job->group->scope, SCOPE_NEVER);
	return 0;
}

static int deadline_off(void *arg)
{
	struct scope_options options = {.deadline_ns = soon()};
	struct group g;
	struct job taker;
	bool fired;

	(void)arg;
	group_open_with(&g, &options);
	if (group_spawn(&g, &taker, body_take_off) < 0)
		taker.saw = -EALREADY;
	sim_compute((int64_t)sim_random(20000));
	scope_checkpoint();
	scope_close(&g.scope);
	fired = scope_cancel_called(&g.scope);
	sim_check(taker.saw == (fired ? -EALREADY : 0), "it %s, taking it off gave %d",
		  fired ? "fired" : "did not fire", taker.saw);
	return 0;
}

Test(sim, a_deadline_that_was_taken_off_does_not_fire)
{
	explore("a_deadline_that_was_taken_off_does_not_fire", deadline_off,
		PARALLEL);
}

static int wait_against_end(void *arg)
{
	struct group g;
	struct job job[3];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++) {
		job[i].number = sim_random(20000);
		group_spawn(&g, &job[i], i ? body_nothing : body_sleep);
	}
	rc = scope_wait_until(&g.scope, sim_random(4) ? soon() : (int64_t)SCOPE_NEVER);
	sim_check(rc == 0 || rc == -ETIMEDOUT, "wait gave %d", rc);
	sim_check(rc || g.ended == g.accepted, "wait returned too early");
	if (sim_random(2)) {
		group_spawn(&g, &job[2], body_points);
		rc = scope_wait_until(&g.scope, SCOPE_NEVER);
		sim_check(rc == 0 && g.ended == g.accepted, "the second wait gave %d", rc);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, wait_timeout_races_the_last_end)
{
	explore("wait_timeout_races_the_last_end", wait_against_end, WITH_TIMERS);
}

/* A waiting owner is cancelled from further out while the last task ends. */
static int body_wait(struct job *job)
{
	struct group g;
	struct job child;
	int rc;

	group_open(&g);
	child.number = sim_random(3);
	group_spawn(&g, &child, body_yield);
	rc = scope_wait_until(&g.scope, job->number ? soon() : (int64_t)SCOPE_NEVER);
	sim_check(rc == 0 || rc == -ECANCELED || (rc == -ETIMEDOUT && job->number),
		  "wait gave %d", rc);
	sim_check(rc || g.ended == g.accepted, "wait returned too early");
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return rc;
}

static int wait_against_cancel(void *arg)
{
	struct group g;
	struct job waiter = {.number = sim_random(2)}, canceller = {0};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &waiter, body_wait);
	group_spawn(&g, &canceller, body_cancel);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, wait_races_cancel)
{
	explore("wait_races_cancel", wait_against_cancel, 0);
}

/* Many sleeps of about the same length on all workers. */
static int sleepers(void *arg)
{
	struct group g;
	struct job job[6];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 6; i++) {
		job[i].number = sim_random(3) * 1000 + sim_random(3);
		group_spawn(&g, &job[i], body_sleep);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(g.hits == 0, "a sleep was cut short");
	return 0;
}

Test(sim, sleepers_wake_in_time)
{
	explore("sleepers_wake_in_time", sleepers, WITH_TIMERS);
}
