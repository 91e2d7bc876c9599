/* tests/api/test_cancel.c: cancellation as a program sees it: rules C1 to C12.
 *
 * Almost everything runs on the virtual clock: who sleeps a little goes on only when all
 * others are parked, so every order of events is chosen and none is waited for.
 */
#include "task_check.h"

#include <scope_observe.h>
#include <scope_parallel.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(cancel, .timeout = 60);

/* ---- tasks that many tests use ------------------------------------------------------- */

/* Sleeps until it is cancelled; the result of the sleep goes to *arg. */
static int sleep_for_ever(void *arg)
{
	*(int *)arg = scope_sleep_until(SCOPE_NEVER);
	return 0;
}

static int sleep_10ms(void *arg)
{
	*(int *)arg = scope_sleep_for(10 * SCOPE_MS);
	return 0;
}

/* Sleeps behind a shield, so that it takes a second whatever is cancelled. */
static int sleep_1s_shielded(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	*(int *)arg = scope_sleep_for(SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int cancel_it(void *arg)
{
	scope_cancel(arg);
	return 0;
}

static int cancel_in_1ms(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(arg);
	return 0;
}

static int count_run(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

static void open_with_deadline(struct scope *s, int64_t after, unsigned on_timeout)
{
	struct scope_options options = {.deadline_ns = scope_now() + after,
					.on_timeout = on_timeout};

	CHECK_EQ(scope_open_with(s, &options), 0);
}

static void open_shielded(struct scope *s)
{
	struct scope_options options = {.shield = true};

	CHECK_EQ(scope_open_with(s, &options), 0);
}

/* ---- C1, C2, C4: what a checkpoint says ---------------------------------------------- */

static int every_checkpoint(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_sleep_for(0), 0);
	CHECK_EQ(scope_wait_until(&s, 0), 0);
	scope_cancel(&s);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_yield(), -ECANCELED);
		CHECK_EQ(scope_sleep_for(0), -ECANCELED);
		CHECK_EQ(scope_sleep_for(-1), -ECANCELED);
		CHECK_EQ(scope_sleep_for(1), -ECANCELED);
		CHECK_EQ(scope_sleep_until(0), -ECANCELED);
		CHECK_EQ(scope_sleep_until(scope_now()), -ECANCELED);
		CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
		CHECK_EQ(scope_wait_until(&s, 0), -ECANCELED);
		CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), -ECANCELED);
		CHECK(scope_cancelled());
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancelled());
	return 0;
}

Test(cancel, C1_every_cancellation_point_reports_on_every_call)
{
	must_run(every_checkpoint, NULL);
}

/* A spawn into a scope that is not cancelled is accepted from a cancelled place. */
static int spawn_from_cancelled_place(void *arg)
{
	struct scope outer, inner;
	int ran = 0;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	scope_cancel(&inner);
	CHECK_EQ(scope_spawn(&outer, count_run, &ran), 0);
	CHECK_EQ(scope_spawn_with(&outer, count_run, &ran, &concurrent), 0);
	CHECK_EQ(scope_spawn_n(&outer, count_run, &ran, 0, 3), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 5);
	return 0;
}

Test(cancel, C1_spawn_is_no_checkpoint)
{
	must_run(spawn_from_cancelled_place, NULL);
}

static int checkpoint_says_so(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_checkpoint(), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(cancel, C2_checkpoint_ecanceled)
{
	must_run(checkpoint_says_so, NULL);
}

/* A yield that reports the cancel does not give way. */
static int yield_stays(void *arg)
{
	struct scope outer, s;
	int ran = 0;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_spawn_with(&outer, count_run, &ran, &concurrent), 0);
	CHECK_EQ(scope_yield(), -ECANCELED);
	if (*(int *)arg == 1)
		CHECK_EQ(ran, 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(cancel, C2_yield_ecanceled)
{
	int workers = 1;

	cr_assert_eq(run_config(yield_stays, &workers, (struct scope_config){.workers = 1}), 0);
	workers = 0;
	must_run(yield_stays, &workers);
}

/* The first one is cancelled before it parks, the second one while it is parked. */
static int sleeps_are_cut_short(void *arg)
{
	int (*sleep)(int64_t) = *(int (**)(int64_t))arg;
	int64_t start = scope_now();
	struct scope s;

	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(sleep(start + 10 * SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_now(), start);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, cancel_in_1ms, &s, &concurrent), 0);
	CHECK_EQ(sleep(start + 10 * SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(cancel, C3_sleep_for_ecanceled)
{
	int (*sleep)(int64_t) = scope_sleep_for;

	cr_assert_eq(scope_sleep_for(1), -ENOTCONN);
	must_run(sleeps_are_cut_short, &sleep);
}

Test(cancel, C3_sleep_until_ecanceled)
{
	int (*sleep)(int64_t) = scope_sleep_until;

	cr_assert_eq(scope_sleep_until(1), -ENOTCONN);
	must_run(sleeps_are_cut_short, &sleep);
}

static int level_triggered(void *arg)
{
	struct scope outer, s;
	int i;

	(void)arg;
	scope_open(&outer);
	scope_cancel(&outer);
	for (i = 0; i < 1000; i++) {
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		scope_open(&s);
		CHECK_EQ(i % 2 ? scope_yield() : scope_sleep_for(1), -ECANCELED);
		CHECK_EQ(scope_close(&s), -ECANCELED);
		CHECK(scope_cancelled());
	}
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C4_level_triggered)
{
	must_run(level_triggered, NULL);
}

/* A task that parked, moved and came back is told again. */
static int told_after_a_park(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		if (scope_sleep_until(SCOPE_NEVER) != -ECANCELED)
			CHECK(0);
		open_shielded(&s);
		CHECK_EQ(scope_sleep_for(SCOPE_US), 0);
		CHECK_EQ(scope_close(&s), 0);
	}
	return 0;
}

static int cancel_parking_tasks(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 8; i++)
		CHECK_EQ(scope_spawn_with(&s, told_after_a_park, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(cancel, C4_level_triggered_across_parks)
{
	must_run(cancel_parking_tasks, NULL);
}

struct move {
	struct scope *s;
	int64_t deadline;
};

static int move_deadline_in_1ms(void *arg)
{
	struct move *move = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_set_deadline(move->s, move->deadline), 0);
	return 0;
}

/* The deadline is the instant at which a sleep of its owner, who is alone in the scope, ends.
 * Whichever of the two timers was armed first, and whoever wins: the next checkpoint tells. */
static int cancel_at_the_end_of_a_sleep(void *arg)
{
	struct scope outer, s;
	int later, rc;

	(void)arg;
	for (later = 0; later < 2; later++) {
		int64_t end = scope_now() + 2 * SCOPE_MS;
		struct move move = {&s, end};

		scope_open(&outer);
		open_with_deadline(&s, later ? SCOPE_SEC : 2 * SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		if (later)
			CHECK_EQ(scope_spawn(&outer, move_deadline_in_1ms, &move), 0);
		rc = scope_sleep_until(end);
		CHECK(rc == 0 || rc == -ECANCELED);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&s), -ETIMEDOUT);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C4_cancel_at_the_end_of_a_sleep_is_seen)
{
	must_run(cancel_at_the_end_of_a_sleep, NULL);
}

/* The owner waits for a task that never parks: both are told, the task as its scope is
 * cancelled by the deadline and nothing else happens. */
static int compute_until_cancelled(void *arg)
{
	int64_t end = scope_now() + 5 * SCOPE_SEC;

	while (!scope_cancelled() && scope_now() < end)
		;
	*(int *)arg = scope_checkpoint();
	return 0;
}

static int cancel_who_computes(void *arg)
{
	struct scope_options options = {.on_timeout = SCOPE_FAIL_ON_TIMEOUT};
	struct scope s;
	int result = 0, rc;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, compute_until_cancelled, &result), 0);
	CHECK_EQ(scope_set_deadline(&s, scope_now() + 5 * SCOPE_MS), 0);
	rc = scope_wait_until(&s, SCOPE_NEVER);
	CHECK(rc == 0 || rc == -ECANCELED);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK_EQ(result, -ECANCELED);
	return 0;
}

/* On the real clock: the virtual one stands while a task computes. */
Test(cancel, C4_cancel_reaches_a_computing_task_while_its_owner_waits)
{
	cr_assert_eq(run_config(cancel_who_computes, NULL, (struct scope_config){0}), 0);
}

/* ---- outside a run ------------------------------------------------------------------- */

Test(cancel, S2_without_a_run_enotconn)
{
	struct scope s;

	memset(&s, 0, sizeof(s));
	cr_assert_eq(scope_checkpoint(), -ENOTCONN);
	cr_assert_eq(scope_yield(), -ENOTCONN);
	cr_assert_eq(scope_sleep_for(0), -ENOTCONN);
	cr_assert_eq(scope_sleep_until(0), -ENOTCONN);
	cr_assert_eq(scope_set_shield(&s, true), -ENOTCONN);
	cr_assert_eq(scope_set_deadline(&s, 1), -ENOTCONN);
	cr_assert_eq(scope_fail(&s, -EIO, NULL), -ENOTCONN);
	cr_assert_not(scope_cancelled());
	scope_cancel(&s);
	cr_assert_not(scope_cancel_called(&s));
}

/* ---- C3: who is woken, who is not ---------------------------------------------------- */

enum { SLEEPERS = 200 };

static int wake_all(void *arg)
{
	struct scope s;
	static int result[SLEEPERS];
	int64_t start = scope_now();
	int i;

	(void)arg;
	memset(result, 0, sizeof(result));
	scope_open(&s);
	for (i = 0; i < SLEEPERS; i++)
		CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, &result[i],
					  i % 2 ? &concurrent : NULL),
			 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result[i], 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	for (i = 0; i < SLEEPERS; i++)
		CHECK_EQ(result[i], -ECANCELED);
	return 0;
}

Test(cancel, C3_cancel_wakes_sleepers_of_every_worker)
{
	must_run(wake_all, NULL);
}

static int wake_waiter(void *arg)
{
	int64_t start = scope_now();
	int slept = -1;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	CHECK_EQ(scope_spawn(&s, cancel_in_1ms, &s), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(slept, -1);
	/* The scope stayed open. */
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(slept, 0);
	CHECK_EQ(scope_now(), start + SCOPE_SEC);
	return 0;
}

Test(cancel, C3_cancel_wakes_who_waits_for_a_scope)
{
	must_run(wake_waiter, NULL);
}

/* The owner is parked in close, first with the cancel before, then with it meanwhile. */
static int close_is_no_checkpoint(void *arg)
{
	struct scope outer, s;
	int64_t start = scope_now();
	int slept = -1, early;

	(void)arg;
	for (early = 0; early < 2; early++) {
		scope_open(&outer);
		if (!early)
			CHECK_EQ(scope_spawn_with(&outer, cancel_in_1ms, &outer, &concurrent), 0);
		scope_open(&s);
		CHECK_EQ(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
		if (early)
			scope_cancel(&outer);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(slept, 0);
		CHECK_EQ(scope_now(), start + (early + 1) * SCOPE_SEC);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C3_close_is_not_cut_short)
{
	must_run(close_is_no_checkpoint, NULL);
}

/* ---- S6 under cancel ----------------------------------------------------------------- */

static int told; /* atomic: scope_cancel has returned; a thief may start a task before */

static int run_and_look(void *arg)
{
	int sure = __atomic_load_n(&told, __ATOMIC_ACQUIRE);
	int rc = scope_checkpoint();

	count_run(arg);
	CHECK(rc == -ECANCELED || (rc == 0 && !sure));
	return rc ? rc : scope_sleep_for(SCOPE_SEC);
}

static int accepted_then_cancelled(void *arg)
{
	struct scope s;
	int ran = 0, i;

	(void)arg;
	__atomic_store_n(&told, 0, __ATOMIC_RELAXED);
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK_EQ(scope_spawn(&s, run_and_look, &ran), 0);
	CHECK_EQ(scope_spawn_n(&s, run_and_look, &ran, 0, 100), 0);
	scope_cancel(&s);
	__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
	CHECK_EQ(scope_spawn(&s, run_and_look, &ran), -ECANCELED);
	CHECK_EQ(scope_spawn_with(&s, run_and_look, &ran, &concurrent), -ECANCELED);
	CHECK_EQ(scope_spawn_n(&s, run_and_look, &ran, 0, 5), -ECANCELED);
	CHECK_EQ(scope_spawn_copy(&s, run_and_look, &ran, sizeof(ran)), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 200);
	return 0;
}

Test(cancel, S6_cancel_before_start_still_runs_accepted_tasks)
{
	must_run(accepted_then_cancelled, NULL);
}

/* Queued tasks and those that thieves took race the cancel; none is lost or runs twice. */
static int queued_then_cancelled(void *arg)
{
	int ran = 0, accepted = 0, round, i;
	struct scope s;

	(void)arg;
	for (round = 0; round < 200; round++) {
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, cancel_it, &s, &concurrent), 0);
		for (i = 0; i < 20; i++)
			accepted += scope_spawn_with(&s, count_run, &ran,
						     i % 2 ? &concurrent : NULL) == 0;
		if (scope_spawn_n(&s, count_run, &ran, 0, 7) == 0)
			accepted += 7;
		CHECK_EQ(scope_close(&s), 0);
	}
	CHECK_EQ(ran, accepted);
	return 0;
}

Test(cancel, S6_cancel_races_accept)
{
	must_run(queued_then_cancelled, NULL);
}

/* ---- C5 ------------------------------------------------------------------------------ */

static int cancel_from_everywhere(void *arg)
{
	struct scope s;
	int i, result[4];

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 4; i++)
		CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, &result[i], &concurrent), 0);
	for (i = 0; i < 64; i++)
		scope_spawn_with(&s, cancel_it, &s, &concurrent);
	scope_cancel(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(scope_cancel_called(&s));
	for (i = 0; i < 4; i++)
		CHECK_EQ(result[i], -ECANCELED);
	scope_cancel(&s); /* closed: nothing happens */
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(cancel, C5_cancel_is_idempotent_and_thread_safe)
{
	must_run(cancel_from_everywhere, NULL);
}

static int cancel_does_not_wait(void *arg)
{
	int64_t start = scope_now();
	struct scope s;
	int slept = -1;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_1s_shielded, &slept, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(slept, -1);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(slept, 0);
	return 0;
}

Test(cancel, C5_cancel_does_not_wait)
{
	must_run(cancel_does_not_wait, NULL);
}

/* `code`: a new one each time, for a task that fails with the code that a close gave it hands
 * on the old record. */
static enum scope_cause cause_of_failure(struct scope *s, int code)
{
	const struct scope_error *error;

	scope_fail(s, code, NULL);
	CHECK_EQ(scope_close(s), code);
	error = scope_last_error();
	CHECK(error != NULL);
	return error ? error->cause : SCOPE_CAUSE_NONE;
}

static int first_cause_stays(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(cause_of_failure(&s, 1), SCOPE_CAUSE_NONE);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	scope_cancel(&s);
	CHECK_EQ(scope_set_shield(&s, true), 0);
	CHECK_EQ(scope_sleep_for(10 * SCOPE_MS), -ECANCELED);
	CHECK_EQ(cause_of_failure(&s, 2), SCOPE_CAUSE_EXPLICIT);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_sleep_for(10 * SCOPE_MS), -ECANCELED);
	scope_cancel(&s);
	CHECK_EQ(cause_of_failure(&s, 3), SCOPE_CAUSE_DEADLINE);
	return 0;
}

Test(cancel, C5_first_cancel_fixes_the_cause)
{
	must_run(first_cause_stays, NULL);
}

/* ---- C6 ------------------------------------------------------------------------------ */

/* Wakes by its timer at the instant at which the scope is cancelled: one of both wins, and
 * the cancel is not lost. */
static int sleep_1ms(void *arg)
{
	int rc = scope_sleep_for(SCOPE_MS);

	(void)arg;
	CHECK(rc == 0 || rc == -ECANCELED);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return 0;
}

static int sleep_against_cancel(void *arg)
{
	struct scope s;
	int round, i;

	(void)arg;
	for (round = 0; round < 200; round++) {
		int64_t start = scope_now();

		scope_open(&s);
		for (i = 0; i < 6; i++)
			CHECK_EQ(scope_spawn_with(&s, i == round % 6 ? cancel_in_1ms : sleep_1ms,
						  &s, i % 2 ? &concurrent : NULL),
				 0);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(scope_now(), start + SCOPE_MS);
	}
	return 0;
}

Test(cancel, C6_sleep_and_cancel_at_one_instant)
{
	must_run(sleep_against_cancel, NULL);
}

/* The last task cancels its scope and ends: who waits sees one or the other. */
static int end_against_cancel(void *arg)
{
	struct scope s;
	int round, rc;

	(void)arg;
	for (round = 0; round < 500; round++) {
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, cancel_it, &s, round % 2 ? &concurrent : NULL), 0);
		rc = scope_wait_until(&s, SCOPE_NEVER);
		CHECK(rc == 0 || rc == -ECANCELED);
		if (rc == 0)
			CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&s), 0);
	}
	return 0;
}

Test(cancel, C6_end_and_cancel_at_one_instant)
{
	must_run(end_against_cancel, NULL);
}

/* ---- C7 ------------------------------------------------------------------------------ */

static int timeout_blocks(void *arg)
{
	struct scope_stats before, after;
	int64_t start;
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_sleep_for(1), 0);
	CHECK_EQ(scope_stats_get(&before), 0);
	for (i = 0; i < (SIMULATED ? 100 : 1000); i++) {
		start = scope_now();
		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
		CHECK_EQ(scope_now(), start + SCOPE_MS);
		CHECK_EQ(scope_close(&s), -ETIMEDOUT);
		open_with_deadline(&s, SCOPE_SEC, SCOPE_FAIL_ON_TIMEOUT);
		CHECK_EQ(scope_sleep_for(SCOPE_US), 0);
		CHECK_EQ(scope_close(&s), 0);
	}
	CHECK_EQ(scope_stats_get(&after), 0);
	CHECK_EQ(after.timers_live, before.timers_live);
	CHECK_EQ(after.stacks_live, before.stacks_live);
	return 0;
}

Test(cancel, C7_timeout_block_needs_no_task)
{
	must_run(timeout_blocks, NULL);
}

/* ---- C8: shields --------------------------------------------------------------------- */

static int shield_after_cancel(void *arg)
{
	struct scope outer, s, deeper;
	int ran = 0, slept = -1;

	(void)arg;
	scope_open(&outer);
	scope_cancel(&outer);
	open_shielded(&s);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancelled());
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, count_run, &ran), 0);
	CHECK_EQ(scope_spawn(&s, sleep_10ms, &slept), 0);
	scope_open(&deeper);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_close(&deeper), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	CHECK_EQ(slept, 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_hides_a_cancel_that_came_before)
{
	must_run(shield_after_cancel, NULL);
}

static int cancel_after_shield(void *arg)
{
	struct scope outer, s;
	int slept = -1;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, cancel_in_1ms, &outer), 0);
	open_shielded(&s);
	CHECK_EQ(scope_spawn(&s, sleep_10ms, &slept), 0);
	CHECK_EQ(scope_sleep_for(20 * SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(slept, 0);
	CHECK_EQ(scope_sleep_for(1), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_hides_a_cancel_that_comes_later)
{
	must_run(cancel_after_shield, NULL);
}

static int own_acts(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;
	int result = 0;

	(void)arg;
	open_shielded(&s);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result), 0);
	CHECK_EQ(scope_spawn(&s, cancel_in_1ms, &s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ECANCELED);
	options.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_now(), options.deadline_ns);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(cancel, C8_own_cancel_and_deadline_act_behind_the_shield)
{
	must_run(own_acts, NULL);
}

static int outer_deadline_hidden(void *arg)
{
	struct scope outer, s;

	(void)arg;
	open_with_deadline(&outer, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	open_shielded(&s);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	return 0;
}

Test(cancel, C8_shield_hides_deadlines_of_outer_scopes)
{
	must_run(outer_deadline_hidden, NULL);
}

static int take_shield_off(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_set_shield(arg, false), 0);
	return 0;
}

/* A sleeper in the shielded scope and one in a scope below it. */
static int shield_off_wakes(void *arg)
{
	int64_t start = scope_now();
	struct scope outer, s, deeper;
	int result[2] = {0, 0};

	(void)arg;
	scope_open(&outer);
	open_shielded(&s);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result[0]), 0);
	CHECK_EQ(scope_spawn_with(&s, take_shield_off, &s, &concurrent), 0);
	scope_open(&deeper);
	CHECK_EQ(scope_spawn(&deeper, sleep_for_ever, &result[1]), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(scope_close(&deeper), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(result[0], -ECANCELED);
	CHECK_EQ(result[1], -ECANCELED);
	return 0;
}

Test(cancel, C8_taking_the_shield_off_wakes_sleepers)
{
	must_run(shield_off_wakes, NULL);
}

static int shield_on_and_off(void *arg)
{
	struct scope outer, s;
	int i;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	scope_cancel(&outer);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_set_shield(&s, true), 0);
		CHECK_EQ(scope_checkpoint(), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_US), 0);
		CHECK_EQ(scope_set_shield(&s, true), 0);
		CHECK_EQ(scope_yield(), 0);
		CHECK_EQ(scope_set_shield(&s, false), 0);
	}
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_goes_on_and_off_in_a_cancelled_place)
{
	must_run(shield_on_and_off, NULL);
}

static int two_shields(void *arg)
{
	struct scope outer, first, second;

	(void)arg;
	scope_open(&outer);
	open_shielded(&first);
	open_shielded(&second);
	scope_cancel(&outer);
	CHECK_EQ(scope_set_shield(&first, false), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&first);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_set_shield(&second, false), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), -ECANCELED);
	CHECK_EQ(scope_close(&second), -ECANCELED);
	CHECK_EQ(scope_close(&first), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_each_shield_hides_by_itself)
{
	must_run(two_shields, NULL);
}

/* The shield of one task hides nothing from another task of the outer scope. */
static int shield_is_local(void *arg)
{
	int hidden = -1, seen = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sleep_1s_shielded, &hidden), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &seen), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(hidden, 0);
	CHECK_EQ(seen, -ECANCELED);
	return 0;
}

Test(cancel, C8_shield_protects_its_own_scope_only)
{
	must_run(shield_is_local, NULL);
}

static int closed_scope(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_set_shield(&s, true), -ESTALE);
	CHECK_EQ(scope_set_shield(&s, false), -ESTALE);
	return 0;
}

Test(cancel, C8_set_shield_estale)
{
	must_run(closed_scope, NULL);
}

Test(cancel, C8_set_shield_enotconn)
{
	struct scope s;

	memset(&s, 0, sizeof(s));
	cr_assert_eq(scope_set_shield(&s, true), -ENOTCONN);
	must_run(checkpoint_says_so, NULL);
	cr_assert_eq(scope_set_shield(&s, true), -ENOTCONN);
}

/* ---- C9 ------------------------------------------------------------------------------ */

static int spawn_site_does_not_bind(void *arg)
{
	struct scope outer, inner;
	int slept = -1, later = -1;

	(void)arg;
	scope_open(&outer);
	open_with_deadline(&inner, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_spawn(&outer, sleep_10ms, &slept), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_spawn(&outer, sleep_10ms, &later), 0);
	CHECK_EQ(scope_close(&inner), -ETIMEDOUT);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(slept, 0);
	CHECK_EQ(later, 0);
	return 0;
}

Test(cancel, C9_timeout_around_a_spawn_does_not_bind_the_child)
{
	must_run(spawn_site_does_not_bind, NULL);
}

static int shield_of_spawn_site(void *arg)
{
	struct scope outer, inner;
	int result = 0;

	(void)arg;
	scope_open(&outer);
	open_shielded(&inner);
	CHECK_EQ(scope_spawn(&outer, sleep_for_ever, &result), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(result, -ECANCELED);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C9_shield_around_a_spawn_does_not_protect_the_child)
{
	must_run(shield_of_spawn_site, NULL);
}

/* ---- C10 ----------------------------------------------------------------------------- */

static int fail_when_cancelled(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return -EIO;
}

static int fail_at_once(void *arg)
{
	(void)arg;
	return -EPROTO;
}

static enum scope_cause close_cause(struct scope *s, int want)
{
	const struct scope_error *error;

	CHECK_EQ(scope_close(s), want);
	error = scope_last_error();
	if (error && error->suppressed)
		error = error->suppressed;
	return error ? error->cause : SCOPE_CAUSE_NONE;
}

static int causes(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, fail_when_cancelled, NULL), 0);
	CHECK_EQ(scope_spawn(&s, cancel_in_1ms, &s), 0);
	CHECK_EQ(close_cause(&s, -EIO), SCOPE_CAUSE_EXPLICIT);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_spawn(&s, fail_when_cancelled, NULL), 0);
	CHECK_EQ(close_cause(&s, -EIO), SCOPE_CAUSE_DEADLINE);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fail_when_cancelled, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, fail_at_once, NULL), 0);
	CHECK_EQ(close_cause(&s, -EPROTO), SCOPE_CAUSE_ERROR);
	return 0;
}

Test(cancel, C10_cancel_carries_its_cause)
{
	must_run(causes, NULL);
}

/* ---- C11: size ----------------------------------------------------------------------- */

/* The shim is for builds that are slow and keep much for each stack. */
enum { MANY = SIMULATED ? 300 : CHECKED ? 2000 : 100000 };

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int nested_scopes(void *arg)
{
	struct scope *s = arg;
	double start = cpu_seconds();
	int i, result[2] = {0, 0};

	for (i = 0; i < MANY; i++)
		scope_open(&s[i]);
	CHECK_EQ(scope_spawn(&s[MANY - 1], sleep_for_ever, &result[0]), 0);
	CHECK_EQ(scope_spawn_with(&s[MANY / 2], sleep_for_ever, &result[1], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s[0]);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), -ECANCELED);
	for (i = MANY - 1; i > 0; i--)
		CHECK_EQ(scope_close(&s[i]), -ECANCELED);
	CHECK_EQ(scope_close(&s[0]), 0);
	CHECK_EQ(result[0], -ECANCELED);
	CHECK_EQ(result[1], -ECANCELED);
	CHECK(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_tree_100000_scopes_deep)
{
	struct scope *s = calloc(MANY, sizeof(*s));

	cr_assert_not_null(s);
	must_run(nested_scopes, s);
	free(s);
}

/* A task in a scope in a task ...; the deepest sleeps. */
struct level {
	int left;
	int result;
};

static int nest(void *arg)
{
	struct level *level = arg, below = {level->left - 1, 0};
	struct scope s;

	if (level->left == 0) {
		level->result = scope_sleep_until(SCOPE_NEVER);
		return 0;
	}
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, nest, &below), 0);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	level->result = scope_checkpoint();
	CHECK_EQ(below.result, -ECANCELED);
	return 0;
}

static int nested_tasks(void *arg)
{
	struct level level = {MANY, 0};
	double start = cpu_seconds();
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, nest, &level), 0);
	CHECK_EQ(scope_spawn_with(&s, cancel_in_1ms, &s, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(level.result, -ECANCELED);
	CHECK(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_tree_100000_tasks_deep)
{
	must_run(nested_tasks, NULL);
}

static int parked_tasks(void *arg)
{
	int *result = arg, i, missed = 0;
	double start = cpu_seconds();
	struct scope s;

	scope_open(&s);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result[i]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < MANY; i++)
		missed += result[i] != -ECANCELED;
	CHECK_EQ(missed, 0);
	CHECK(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_cancel_of_100000_parked_tasks)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK,
				      .stack_size = 32768};
	int *result = calloc(MANY, sizeof(*result));

	cr_assert_not_null(result);
	cr_assert_eq(run_config(parked_tasks, result, config), 0);
	free(result);
}

static int only_the_subtree(void *arg)
{
	struct scope outer, left, right;
	int in_left = 0, in_right = -1, in_outer = -1;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, sleep_10ms, &in_outer), 0);
	scope_open(&left);
	CHECK_EQ(scope_spawn(&left, sleep_10ms, &in_right), 0);
	scope_open(&right);
	CHECK_EQ(scope_spawn(&right, sleep_for_ever, &in_left), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&right);
	CHECK_EQ(scope_close(&right), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&left), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(in_left, -ECANCELED);
	CHECK_EQ(in_right, 0);
	CHECK_EQ(in_outer, 0);
	return 0;
}

Test(cancel, C11_cancel_touches_its_subtree_only)
{
	must_run(only_the_subtree, NULL);
}

/* ---- C12: the table, row by row ------------------------------------------------------ */

static int error_before_all(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED); /* own hit */
	scope_cancel(&outer);
	CHECK_EQ(scope_checkpoint(), -ECANCELED); /* outer hit */
	scope_cancel(&s);
	CHECK_EQ(scope_fail(&s, -EIO, NULL), -EIO);
	CHECK_EQ(scope_fail(&s, -EPROTO, NULL), -EPROTO);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_row_1_the_first_error)
{
	must_run(error_before_all, NULL);
}

/* Whatever the scope's own state is: untouched, cancelled, past its deadline. */
static int outer_hit(void *arg)
{
	struct scope outer, s;
	int own;

	(void)arg;
	for (own = 0; own < 4; own++) {
		scope_open(&outer);
		open_with_deadline(&s, SCOPE_MS, own == 3 ? SCOPE_MOVE_ON : SCOPE_FAIL_ON_TIMEOUT);
		if (own == 1)
			scope_cancel(&s);
		if (own >= 2)
			CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
		scope_cancel(&outer);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&s), -ECANCELED);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&outer), 0);
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

Test(cancel, C12_row_2_an_outer_hit)
{
	must_run(outer_hit, NULL);
}

static int own_deadline_hit(void *arg)
{
	struct scope s;

	(void)arg;
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK(scope_timed_out(&s));
	CHECK(scope_cancel_called(&s));
	open_with_deadline(&s, SCOPE_MS, SCOPE_MOVE_ON);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(scope_timed_out(&s));
	/* A cancel after the deadline changes nothing. */
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK(scope_timed_out(&s));
	return 0;
}

Test(cancel, C12_row_3_own_deadline_hit)
{
	must_run(own_deadline_hit, NULL);
}

static int deadline_hit_nobody(void *arg)
{
	struct scope s;
	int slept = -1;

	(void)arg;
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(slept, 0);
	CHECK(!scope_timed_out(&s));
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(cancel, C12_row_4_deadline_hit_nobody)
{
	must_run(deadline_hit_nobody, NULL);
}

static int explicit_first(void *arg)
{
	struct scope s;
	int hit;

	(void)arg;
	for (hit = 0; hit < 2; hit++) {
		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		CHECK(!scope_cancel_called(&s));
		scope_cancel(&s);
		CHECK(scope_cancel_called(&s));
		if (hit)
			CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&s), 0);
		CHECK(scope_cancel_called(&s));
		CHECK(!scope_timed_out(&s));
	}
	return 0;
}

Test(cancel, C12_row_5_explicit_cancel_first)
{
	must_run(explicit_first, NULL);
}

/* The deadline passes after the cancel, while a task is still at work. */
static int explicit_then_deadline(void *arg)
{
	struct scope s;
	int slept = -1, result = 0;

	(void)arg;
	open_with_deadline(&s, 2 * SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	CHECK_EQ(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result), 0);
	CHECK_EQ(scope_spawn(&s, cancel_in_1ms, &s), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(slept, 0);
	CHECK_EQ(result, -ECANCELED);
	CHECK(!scope_timed_out(&s));
	CHECK(scope_cancel_called(&s));
	return 0;
}

Test(cancel, C12_row_5_deadline_after_the_cancel_counts_for_nothing)
{
	must_run(explicit_then_deadline, NULL);
}

static int cancelled_above_without_hit(void *arg)
{
	struct scope outer, s;
	int ran = 0;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, count_run, &ran), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	CHECK(!scope_cancel_called(&s));
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	/* Shielded from it. */
	scope_open(&outer);
	open_shielded(&s);
	scope_cancel(&outer);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_row_6_cancelled_from_above_without_a_hit)
{
	must_run(cancelled_above_without_hit, NULL);
}

/* ---- C12: what is a hit, and whose --------------------------------------------------- */

static int count_chunk(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	return count_run(arg);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void hit_somehow(struct scope *s, int how)
{
	int ran = 0;

	switch (how) {
	case 0:
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		break;
	case 1:
		CHECK_EQ(scope_spawn(s, count_run, &ran), -ECANCELED);
		break;
	case 2:
		CHECK(scope_cancelled());
		break;
	case 3:
		CHECK_EQ(scope_for(0, 1000, 1, count_chunk, &ran), -ECANCELED);
		CHECK(ran < 1000);
		break;
	case 4:
		CHECK_EQ(scope_spawn_n(s, count_run, &ran, 0, 10), -ECANCELED);
		CHECK_EQ(ran, 0);
		break;
	case 5:
		CHECK_EQ(scope_spawn_with(s, count_run, &ran, NULL), -ECANCELED);
		break;
	}
}

enum { WAYS_TO_HIT = 6 };

/* Each kind of hit makes a passed deadline count, and a cancel from above. */
static int kinds_of_hit(void *arg)
{
	struct scope outer, s;
	int how;

	(void)arg;
	for (how = 0; how < WAYS_TO_HIT; how++) {
		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		CHECK_EQ(scope_set_deadline(&s, 1), 0);
		if (how != 0) {
			/* Let it fire without a hit of another kind. */
			struct scope shield;

			open_shielded(&shield);
			CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
			CHECK_EQ(scope_close(&shield), 0);
		}
		hit_somehow(&s, how);
		CHECK_EQ(scope_close(&s), -ETIMEDOUT);
		scope_open(&outer);
		scope_open(&s);
		scope_cancel(&outer);
		hit_somehow(&s, how);
		CHECK_EQ(scope_close(&s), -ECANCELED);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C12_each_kind_of_hit_counts)
{
	must_run(kinds_of_hit, NULL);
}

/* A child's hit, inlined, on a stack of its own, two scopes down. */
static int hit_in_child(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return 0;
}

static int hit_in_deep_child(void *arg)
{
	struct scope a, b;

	(void)arg;
	scope_open(&a);
	scope_open(&b);
	CHECK_EQ(scope_spawn(&b, hit_in_child, NULL), 0);
	CHECK_EQ(scope_close(&b), -ECANCELED);
	CHECK_EQ(scope_close(&a), -ECANCELED);
	return 0;
}

static int return_cancelled(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

static int hits_of_children(void *arg)
{
	static scope_task_fn *const child[] = {hit_in_child, hit_in_deep_child, return_cancelled};
	struct scope outer, s;
	unsigned i;

	(void)arg;
	for (i = 0; i < 6; i++) {
		const struct scope_spawn_options *how = i >= 3 ? &concurrent : NULL;

		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		CHECK_EQ(scope_spawn_with(&s, child[i % 3], NULL, how), 0);
		CHECK_EQ(scope_close(&s), -ETIMEDOUT);
		open_with_deadline(&outer, SCOPE_MS, SCOPE_MOVE_ON);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, child[i % 3], NULL, how), 0);
		CHECK_EQ(scope_close(&s), -ECANCELED);
		CHECK_EQ(scope_close(&outer), 0);
		CHECK(scope_timed_out(&outer));
	}
	return 0;
}

Test(cancel, C12_hits_of_children_count)
{
	must_run(hits_of_children, NULL);
}

/* Three scopes, every choice of cancelled ones; the hit is in the innermost. */
static int outermost_is_charged(void *arg)
{
	int mask, i, top;

	(void)arg;
	for (mask = 1; mask < 8; mask++) {
		struct scope s[3];

		for (i = 0; i < 3; i++)
			scope_open(&s[i]);
		for (i = 2; i >= 0; i--)
			if (mask >> i & 1)
				scope_cancel(&s[i]);
		for (top = 0; !(mask >> top & 1); top++)
			;
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		for (i = 2; i >= 0; i--)
			CHECK_EQ(scope_close(&s[i]), i > top ? -ECANCELED : 0);
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

Test(cancel, C12_hit_is_charged_to_the_outermost_cancelled_scope)
{
	must_run(outermost_is_charged, NULL);
}

/* Behind a shield the outermost visible one is at or below the shield. */
static int charged_below_the_shield(void *arg)
{
	struct scope outer, s, inner;

	(void)arg;
	scope_open(&outer);
	open_shielded(&s);
	scope_open(&inner);
	scope_cancel(&outer);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&inner), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_hit_behind_a_shield_is_charged_below_it)
{
	must_run(charged_below_the_shield, NULL);
}

/* A hit before the shield went on is still an outer one. */
static int shield_after_the_hit(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	scope_cancel(&outer);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_set_shield(&s, true), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_shield_does_not_undo_a_hit)
{
	must_run(shield_after_the_hit, NULL);
}

/* Parts of a range that other workers took feel a cancel from above; the shield goes on before
 * they end.  What the runtime made of the parts is no task, so it fails nobody. */
struct shared_range {
	struct scope *outer, *s;
	int left;
};

static int feel_and_shield(void *arg)
{
	struct shared_range *range = arg;
	int rc = scope_sleep_for(SCOPE_MS);

	CHECK(rc == 0 || rc == -ECANCELED);
	if (__atomic_sub_fetch(&range->left, 1, __ATOMIC_RELAXED) == 20)
		scope_cancel(range->outer);
	if (rc == -ECANCELED && __atomic_load_n(&range->left, __ATOMIC_RELAXED) < 5)
		CHECK_EQ(scope_set_shield(range->s, true), 0);
	return 0;
}

static int range_and_shield(void *arg)
{
	struct scope outer, s;
	int round, rc;

	(void)arg;
	for (round = 0; round < 300; round++) {
		struct shared_range range = {&outer, &s, 60};

		scope_open(&outer);
		scope_open(&s);
		CHECK_EQ(scope_spawn_n(&s, feel_and_shield, &range, 0, 60), 0);
		rc = scope_close(&s);
		CHECK(rc == 0 || rc == -ECANCELED);
		/* Not -ECANCELED as an error: that would have a record. */
		CHECK(scope_last_error() == NULL);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C12_part_of_a_range_that_felt_a_cancel_fails_nobody)
{
	must_run(range_and_shield, NULL);
}

/* Nobody looked: the first task inside finished without asking. */
static int cancel_that_hit_nobody(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, nothing, NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, nothing, NULL, &concurrent), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_close_never_reports_a_cancel_that_hit_nobody)
{
	must_run(cancel_that_hit_nobody, NULL);
}

/* ---- S6 after a yield ------------------------------------------------------------------------ */

/* One worker; the two take turns by yields that put nothing aside. */
static struct scope *yielders_scope;
static int turn;

static int cancels_between_yields(void *arg)
{
	(void)arg;
	while (turn != 1)
		scope_yield();
	scope_cancel(yielders_scope);
	turn = 2;
	CHECK(scope_checkpoint() == 0);
	while (turn != 3)
		scope_yield();
	return 0;
}

static int spawns_after_its_yield(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	yielders_scope = &s;
	scope_yield();
	turn = 1;
	while (turn != 2)
		scope_yield();
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ECANCELED);
	turn = 3;
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int yielders(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, spawns_after_its_yield, NULL), 0);
	CHECK_EQ(scope_spawn(&s, cancels_between_yields, NULL), 0);
	return scope_close(&s);
}

Test(cancel, S6_a_cancel_during_a_yield_refuses_the_next_spawn)
{
	cr_assert_eq(run(yielders, NULL, 1), 0);
}
