/* tests/sim/scn_clock.c: who decides that nothing runs: the virtual clock, a deadlock; and who
 * serves timers while workers fall asleep. */
#include "scn.h"

#include <string.h>

/* ---- the virtual clock ------------------------------------------------------------ */

enum { SLEEPERS = 4 };

/* Sleeps a few times; virtual time passes by nothing but that. */
static int body_nap(struct job *job)
{
	int64_t end;
	int i;

	for (i = 0; i < 2; i++) {
		end = scope_now() + (int64_t)job->number;
		sim_check(scope_sleep_until(end) == 0, "a sleep was cut short");
		sim_check(scope_now() == end, "woke %lld ns late", (long long)(scope_now() - end));
		job->number = sim_random(3);
	}
	return 0;
}

/* Workers fall asleep and wake each other around each decision: if none takes it, all wait. */
static int naps(void *arg)
{
	int64_t start = scope_now();
	struct job job[SLEEPERS];
	struct group g;
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < SLEEPERS; i++) {
		job[i].number = 1 + sim_random(3);
		group_spawn(&g, &job[i], body_nap);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(scope_now() - start <= 6, "it is %lld", (long long)(scope_now() - start));
	return 0;
}

Test(sim, virtual_clock_moves_on_whoever_sleeps_last)
{
	explore("virtual_clock_moves_on_whoever_sleeps_last", naps, VIRTUAL | PARALLEL);
}

/* Who is woken finds that another took the work, and sleeps again beside its waker. */
static int wakes_for_nothing(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct group g;
	struct job job[3];
	int round, i;

	(void)arg;
	for (round = 0; round < 2; round++) {
		group_open(&g);
		for (i = 0; i < 3; i++) {
			job[i].number = sim_random(2);
			group_spawn_with(&g, &job[i], i ? body_yield : body_sleep, &options);
		}
		sim_check(scope_sleep_for(1) == 0, "a sleep was cut short");
		sim_check(group_close(&g) == 0, "an error from nowhere");
	}
	return 0;
}

Test(sim, virtual_clock_moves_on_beside_wakers)
{
	explore("virtual_clock_moves_on_beside_wakers", wakes_for_nothing, VIRTUAL | PARALLEL);
}

/* Long tasks bring the monitor in, which wakes workers too: who is woken may have fallen
 * asleep again before its waker is done. */
static int body_long(struct job *job)
{
	sim_compute((int64_t)sim_random(3) * 6000000);
	return scope_sleep_for((int64_t)job->number);
}

static int monitor_wakes(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct group g;
	struct job job[4];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 4; i++) {
		job[i].number = sim_random(3);
		group_spawn_with(&g, &job[i], body_long, i % 2 ? &options : NULL);
	}
	sim_compute((int64_t)sim_random(3) * 6000000);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, virtual_clock_moves_on_beside_the_monitor)
{
	explore("virtual_clock_moves_on_beside_the_monitor", monitor_wakes, VIRTUAL | PARALLEL);
}

/* An interrupt is taken by the monitor, which wakes whom the cancel reached; who is behind a
 * shield waits for the clock. */
static int body_shielded(struct job *job)
{
	struct scope_options options = {.shield = true};
	struct group g;
	int64_t end;
	int i;

	(void)job;
	group_open_with(&g, &options);
	for (i = 0; i < 6; i++) {
		end = scope_now() + 1 + (int64_t)sim_random(3);
		sim_check(scope_sleep_until(end) == 0, "a shield let an interrupt through");
		sim_check(scope_now() == end, "woke %lld ns late", (long long)(scope_now() - end));
	}
	sim_check(group_close(&g) == 0, "a shield let an interrupt through");
	return 0;
}

static int interrupted(void *arg)
{
	struct group g;
	struct job job[3];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		job[i].number = 4 + sim_random(30);
		rc = group_spawn(&g, &job[i], i < 1 ? body_shielded : body_sleep);
		sim_check(rc == 0 || rc == -ECANCELED, "spawn gave %d", rc);
	}
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

Test(sim, virtual_clock_moves_on_beside_an_interrupt)
{
	explore("virtual_clock_moves_on_beside_an_interrupt", interrupted,
		VIRTUAL | PARALLEL | INTERRUPTS);
}

/* Event, cancel and two deadlines on one tick: each wait has one end, each close one result. */
static int body_until(struct job *job)
{
	job->saw = scope_sleep_until((int64_t)job->number);
	sim_check(job->saw == 0 || job->saw == -ECANCELED, "sleep gave %d", job->saw);
	job->group->hits += job->saw != 0;
	return 0;
}

static int equal_ticks(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 5};
	struct job sleeper[2], canceller = {0};
	struct group outer, inner;
	bool outer_late, inner_late;
	int rc;

	(void)arg;
	group_open_with(&outer, &options);
	group_open_with(&inner, &options);
	sleeper[0].number = sleeper[1].number = (uint64_t)options.deadline_ns;
	group_spawn(&inner, &sleeper[0], body_until);
	group_spawn(&outer, &sleeper[1], body_until);
	if (sim_random(2))
		group_spawn(&inner, &canceller, body_cancel);
	rc = scope_wait_until(&inner.scope, options.deadline_ns);
	sim_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT, "wait gave %d", rc);
	rc = scope_close(&inner.scope);
	inner_late = scope_timed_out(&inner.scope);
	sim_check(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED, "close gave %d", rc);
	sim_check(!inner_late || rc, "a timeout was felt and close gave 0");
	rc = scope_close(&outer.scope);
	outer_late = scope_timed_out(&outer.scope);
	sim_check(rc == (outer_late ? -ETIMEDOUT : 0), "close gave %d, timed out: %d", rc,
		  outer_late);
	sim_check(inner.ended == inner.accepted && outer.ended == outer.accepted, "tasks are left");
	return 0;
}

Test(sim, event_cancel_and_deadline_on_one_tick)
{
	explore("event_cancel_and_deadline_on_one_tick", equal_ticks, VIRTUAL);
}

/* Deadlines far apart, moved nearer and further while the clock stands. */
static int body_move(struct job *job)
{
	int rc = scope_set_deadline(&job->group->scope, scope_now() + (int64_t)sim_random(4));

	sim_check(rc == 0 || rc == -EALREADY, "moving a deadline gave %d", rc);
	return 0;
}

static int moved_ticks(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + INT64_C(1000000000)};
	struct job sleeper, mover[2];
	struct group g;
	int i, rc;

	(void)arg;
	group_open_with(&g, &options);
	group_spawn(&g, &sleeper, body_for_ever);
	for (i = 0; i < 2; i++)
		group_spawn(&g, &mover[i], body_move);
	rc = group_close(&g);
	sim_check(rc == -ETIMEDOUT, "close gave %d", rc);
	sim_check(scope_now() < options.deadline_ns, "the old deadline was waited for");
	return 0;
}

Test(sim, virtual_clock_follows_a_moved_deadline)
{
	explore("virtual_clock_follows_a_moved_deadline", moved_ticks, VIRTUAL);
}

/* ---- deadlocks -------------------------------------------------------------------- */

static int deadlock(void *arg)
{
	struct group g;
	struct job job[3];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		job[i].number = sim_random(3);
		group_spawn(&g, &job[i], i < 2 ? body_yield : body_for_ever);
	}
	rc = group_close(&g);
	sim_check(rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

Test(sim, a_deadlock_is_seen_by_whoever_sleeps_last)
{
	explore("a_deadlock_is_seen_by_whoever_sleeps_last", deadlock, DEADLOCK);
}

/* The clock moves on as long as there is a timer; then it is a deadlock. */
static int late_deadlock(void *arg)
{
	struct group g;
	struct job job[2] = {{.number = 1 + sim_random(3)}, {0}};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job[0], body_sleep);
	group_spawn(&g, &job[1], body_for_ever);
	sim_check(group_close(&g) == -ECANCELED, "no deadlock");
	sim_check(job[0].saw == 0, "cancelled before the clock stood");
	return 0;
}

Test(sim, a_deadlock_comes_after_the_last_timer)
{
	explore("a_deadlock_comes_after_the_last_timer", late_deadlock,
		DEADLOCK | VIRTUAL | PARALLEL);
}

/* ---- the real clock --------------------------------------------------------------- */

/* As long as the clock is even a sleeper is late only if nobody serves its timer. */
enum { LATE = 2000000 };

static int body_punctual(struct job *job)
{
	int64_t end = scope_now() + (int64_t)job->number, late;

	sim_check(scope_sleep_until(end) == 0, "a sleep was cut short");
	late = scope_now() - end;
	sim_check(late >= 0, "woke %lld ns early", (long long)-late);
	sim_check(!sim_clock_is_even() || late < LATE, "woke %lld ns late", (long long)late);
	return 0;
}

/* Timers that are armed while the timekeeper falls asleep, wakes, or goes to work. */
static int punctual(void *arg)
{
	struct group g;
	struct job job[4];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 4; i++) {
		job[i].number = i < 2 ? sim_random(5000000) : sim_random(100000);
		group_spawn(&g, &job[i], body_punctual);
		if (sim_random(3) == 0)
			scope_yield();
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, timers_are_served_while_workers_fall_asleep)
{
	explore("timers_are_served_while_workers_fall_asleep", punctual, WITH_TIMERS);
}

/* A deadline is armed late, for a scope with a task that parked: it has to wake the one who
 * sleeps for longer. */
static int body_late_deadline(struct job *job)
{
	struct scope_options options = {.deadline_ns = scope_now() + (int64_t)job->number};
	struct group g;
	struct job sleeper;
	int64_t late;

	group_open_with(&g, &options);
	group_spawn(&g, &sleeper, body_for_ever);
	sim_check(group_close(&g) == -ETIMEDOUT, "no timeout");
	late = scope_now() - options.deadline_ns;
	sim_check(!sim_clock_is_even() || late < LATE, "a deadline was %lld ns late",
		  (long long)late);
	return 0;
}

static int late_deadlines(void *arg)
{
	struct group g;
	struct job job[3];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		job[i].number = 1000 + sim_random(5000000);
		group_spawn(&g, &job[i], i ? body_late_deadline : body_punctual);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, deadlines_are_served_while_workers_fall_asleep)
{
	explore("deadlines_are_served_while_workers_fall_asleep", late_deadlines, WITH_TIMERS);
}
