/* tests/api/test_cancel.c: cancellation as a program sees it: rules C1 to C12.
 *
 * Almost everything runs on the virtual clock: who sleeps a little goes on only when all
 * others are parked, so every order of events is chosen and none is waited for.
 */
#include "harness.h"

#include <scope.h>
#include <scope_observe.h>
#include <scope_parallel.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(cancel, .timeout = 60);

/* ---- what tasks find wrong ----------------------------------------------------------- */

/* The first wrong value that a task met; the harness reports only from its own stack. */
static struct {
	int line;
	long long got, want;
} wrong;

static void compare(int line, long long got, long long want)
{
	int none = 0;

	if (got != want && __atomic_compare_exchange_n(&wrong.line, &none, line, 0,
						       __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		wrong.got = got;
		wrong.want = want;
	}
}

#define MUST_BE(got, want) compare(__LINE__, (long long)(got), (long long)(want))
#define MUST(condition)    compare(__LINE__, !!(condition), 1)

static void run_with(scope_task_fn *fn, void *arg, size_t stack_size)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK |
					       SCOPE_NO_SIGNALS,
				      .stack_size = stack_size};
	int rc = scope_run(fn, arg, &config);

	cr_assert_eq(wrong.line, 0, "line %d: %lld instead of %lld", wrong.line, wrong.got,
		     wrong.want);
	cr_assert_eq(rc, 0, "the run gave %d", rc);
}

static void run(scope_task_fn *fn)
{
	run_with(fn, NULL, 0);
}

/* ---- tasks that many tests use ------------------------------------------------------- */

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

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

	MUST_BE(scope_open_with(&s, &options), 0);
	*(int *)arg = scope_sleep_for(SCOPE_SEC);
	MUST_BE(scope_close(&s), 0);
	return 0;
}

static int cancel_it(void *arg)
{
	scope_cancel(arg);
	return 0;
}

static int cancel_in_1ms(void *arg)
{
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
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

	MUST_BE(scope_open_with(s, &options), 0);
}

static void open_shielded(struct scope *s)
{
	struct scope_options options = {.shield = true};

	MUST_BE(scope_open_with(s, &options), 0);
}

/* ---- C1, C2, C4: what a checkpoint says ---------------------------------------------- */

static int every_checkpoint(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_checkpoint(), 0);
	MUST_BE(scope_yield(), 0);
	MUST_BE(scope_sleep_for(0), 0);
	MUST_BE(scope_wait_until(&s, 0), 0);
	scope_cancel(&s);
	for (i = 0; i < 3; i++) {
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_yield(), -ECANCELED);
		MUST_BE(scope_sleep_for(0), -ECANCELED);
		MUST_BE(scope_sleep_for(-1), -ECANCELED);
		MUST_BE(scope_sleep_for(1), -ECANCELED);
		MUST_BE(scope_sleep_until(0), -ECANCELED);
		MUST_BE(scope_sleep_until(scope_now()), -ECANCELED);
		MUST_BE(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
		MUST_BE(scope_wait_until(&s, 0), -ECANCELED);
		MUST_BE(scope_wait_until(&s, SCOPE_NEVER), -ECANCELED);
		MUST(scope_cancelled());
	}
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_checkpoint(), 0);
	MUST(!scope_cancelled());
	return 0;
}

Test(cancel, C1_every_cancellation_point_reports_on_every_call)
{
	run(every_checkpoint);
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
	MUST_BE(scope_spawn(&outer, count_run, &ran), 0);
	MUST_BE(scope_spawn_with(&outer, count_run, &ran, &concurrent), 0);
	MUST_BE(scope_spawn_n(&outer, count_run, &ran, 0, 3), 0);
	MUST_BE(scope_close(&inner), 0);
	MUST_BE(scope_close(&outer), 0);
	MUST_BE(ran, 5);
	return 0;
}

Test(cancel, C1_spawn_is_no_checkpoint)
{
	run(spawn_from_cancelled_place);
}

static int checkpoint_says_so(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_checkpoint(), 0);
	scope_cancel(&s);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&s), 0);
	return 0;
}

Test(cancel, C2_checkpoint_ecanceled)
{
	run(checkpoint_says_so);
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
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_spawn_with(&outer, count_run, &ran, &concurrent), 0);
	MUST_BE(scope_yield(), -ECANCELED);
	if (*(int *)arg == 1)
		MUST_BE(ran, 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_close(&outer), 0);
	MUST_BE(ran, 1);
	return 0;
}

Test(cancel, C2_yield_ecanceled)
{
	struct scope_config config = {.workers = 1, .flags = SCOPE_NO_SIGNALS};
	int workers = 1;

	cr_assert_eq(scope_run(yield_stays, &workers, &config), 0);
	workers = 0;
	run_with(yield_stays, &workers, 0);
}

/* The first one is cancelled before it parks, the second one while it is parked. */
static int sleeps_are_cut_short(void *arg)
{
	int (*sleep)(int64_t) = *(int (**)(int64_t))arg;
	int64_t start = scope_now();
	struct scope s;

	scope_open(&s);
	scope_cancel(&s);
	MUST_BE(sleep(start + 10 * SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_now(), start);
	MUST_BE(scope_close(&s), 0);
	scope_open(&s);
	MUST_BE(scope_spawn_with(&s, cancel_in_1ms, &s, &concurrent), 0);
	MUST_BE(sleep(start + 10 * SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_now(), start + SCOPE_MS);
	MUST_BE(scope_close(&s), 0);
	return 0;
}

Test(cancel, C3_sleep_for_ecanceled)
{
	int (*sleep)(int64_t) = scope_sleep_for;

	cr_assert_eq(scope_sleep_for(1), -ENOTCONN);
	run_with(sleeps_are_cut_short, &sleep, 0);
}

Test(cancel, C3_sleep_until_ecanceled)
{
	int (*sleep)(int64_t) = scope_sleep_until;

	cr_assert_eq(scope_sleep_until(1), -ENOTCONN);
	run_with(sleeps_are_cut_short, &sleep, 0);
}

static int level_triggered(void *arg)
{
	struct scope outer, s;
	int i;

	(void)arg;
	scope_open(&outer);
	scope_cancel(&outer);
	for (i = 0; i < 1000; i++) {
		MUST_BE(scope_checkpoint(), -ECANCELED);
		scope_open(&s);
		MUST_BE(i % 2 ? scope_yield() : scope_sleep_for(1), -ECANCELED);
		MUST_BE(scope_close(&s), -ECANCELED);
		MUST(scope_cancelled());
	}
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C4_level_triggered)
{
	run(level_triggered);
}

/* A task that parked, moved and came back is told again. */
static int told_after_a_park(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		if (scope_sleep_until(SCOPE_NEVER) != -ECANCELED)
			MUST(0);
		open_shielded(&s);
		MUST_BE(scope_sleep_for(SCOPE_US), 0);
		MUST_BE(scope_close(&s), 0);
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
		MUST_BE(scope_spawn_with(&s, told_after_a_park, NULL, &concurrent), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), 0);
	return 0;
}

Test(cancel, C4_level_triggered_across_parks)
{
	run(cancel_parking_tasks);
}

struct move {
	struct scope *s;
	int64_t deadline;
};

static int move_deadline_in_1ms(void *arg)
{
	struct move *move = arg;

	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(scope_set_deadline(move->s, move->deadline), 0);
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
			MUST_BE(scope_spawn(&outer, move_deadline_in_1ms, &move), 0);
		rc = scope_sleep_until(end);
		MUST(rc == 0 || rc == -ECANCELED);
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&s), -ETIMEDOUT);
		MUST_BE(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C4_cancel_at_the_end_of_a_sleep_is_seen)
{
	run(cancel_at_the_end_of_a_sleep);
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
	struct scope s;
	int result = 0, rc;

	(void)arg;
	open_with_deadline(&s, 5 * SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_spawn(&s, compute_until_cancelled, &result), 0);
	rc = scope_wait_until(&s, SCOPE_NEVER);
	MUST(rc == 0 || rc == -ECANCELED);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&s), -ETIMEDOUT);
	MUST_BE(result, -ECANCELED);
	return 0;
}

/* On the real clock: the virtual one stands while a task computes. */
Test(cancel, C4_cancel_reaches_a_computing_task_while_its_owner_waits)
{
	struct scope_config config = {.flags = SCOPE_NO_SIGNALS};

	cr_assert_eq(scope_run(cancel_who_computes, NULL, &config), 0);
	cr_assert_eq(wrong.line, 0, "line %d: %lld instead of %lld", wrong.line, wrong.got,
		     wrong.want);
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
		MUST_BE(scope_spawn_with(&s, sleep_for_ever, &result[i],
					 i % 2 ? &concurrent : NULL), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < SLEEPERS; i++)
		MUST_BE(result[i], 0);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_now(), start + SCOPE_MS);
	for (i = 0; i < SLEEPERS; i++)
		MUST_BE(result[i], -ECANCELED);
	return 0;
}

Test(cancel, C3_cancel_wakes_sleepers_of_every_worker)
{
	run(wake_all);
}

static int wake_waiter(void *arg)
{
	int64_t start = scope_now();
	int slept = -1;
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	MUST_BE(scope_spawn(&s, cancel_in_1ms, &s), 0);
	MUST_BE(scope_wait_until(&s, SCOPE_NEVER), -ECANCELED);
	MUST_BE(scope_now(), start + SCOPE_MS);
	MUST_BE(slept, -1);
	/* The scope stayed open. */
	MUST_BE(scope_close(&s), 0);
	MUST_BE(slept, 0);
	MUST_BE(scope_now(), start + SCOPE_SEC);
	return 0;
}

Test(cancel, C3_cancel_wakes_who_waits_for_a_scope)
{
	run(wake_waiter);
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
			MUST_BE(scope_spawn_with(&outer, cancel_in_1ms, &outer, &concurrent), 0);
		scope_open(&s);
		MUST_BE(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
		if (early)
			scope_cancel(&outer);
		MUST_BE(scope_close(&s), 0);
		MUST_BE(slept, 0);
		MUST_BE(scope_now(), start + (early + 1) * SCOPE_SEC);
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C3_close_is_not_cut_short)
{
	run(close_is_no_checkpoint);
}

/* ---- S6 under cancel ----------------------------------------------------------------- */

static int told; /* atomic: scope_cancel has returned; a thief may start a task before */

static int run_and_look(void *arg)
{
	int sure = __atomic_load_n(&told, __ATOMIC_ACQUIRE);
	int rc = scope_checkpoint();

	count_run(arg);
	MUST(rc == -ECANCELED || (rc == 0 && !sure));
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
		MUST_BE(scope_spawn(&s, run_and_look, &ran), 0);
	MUST_BE(scope_spawn_n(&s, run_and_look, &ran, 0, 100), 0);
	scope_cancel(&s);
	__atomic_store_n(&told, 1, __ATOMIC_RELEASE);
	MUST_BE(scope_spawn(&s, run_and_look, &ran), -ECANCELED);
	MUST_BE(scope_spawn_with(&s, run_and_look, &ran, &concurrent), -ECANCELED);
	MUST_BE(scope_spawn_n(&s, run_and_look, &ran, 0, 5), -ECANCELED);
	MUST_BE(scope_spawn_copy(&s, run_and_look, &ran, sizeof(ran)), -ECANCELED);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(ran, 200);
	return 0;
}

Test(cancel, S6_cancel_before_start_still_runs_accepted_tasks)
{
	run(accepted_then_cancelled);
}

/* Queued tasks and those that thieves took race the cancel; none is lost or runs twice. */
static int queued_then_cancelled(void *arg)
{
	int ran = 0, accepted = 0, round, i;
	struct scope s;

	(void)arg;
	for (round = 0; round < 200; round++) {
		scope_open(&s);
		MUST_BE(scope_spawn_with(&s, cancel_it, &s, &concurrent), 0);
		for (i = 0; i < 20; i++)
			accepted += scope_spawn_with(&s, count_run, &ran,
						     i % 2 ? &concurrent : NULL) == 0;
		if (scope_spawn_n(&s, count_run, &ran, 0, 7) == 0)
			accepted += 7;
		MUST_BE(scope_close(&s), 0);
	}
	MUST_BE(ran, accepted);
	return 0;
}

Test(cancel, S6_cancel_races_accept)
{
	run(queued_then_cancelled);
}

/* ---- C5 ------------------------------------------------------------------------------ */

static int cancel_from_everywhere(void *arg)
{
	struct scope s;
	int i, result[4];

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 4; i++)
		MUST_BE(scope_spawn_with(&s, sleep_for_ever, &result[i], &concurrent), 0);
	for (i = 0; i < 64; i++)
		scope_spawn_with(&s, cancel_it, &s, &concurrent);
	scope_cancel(&s);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), 0);
	MUST(scope_cancel_called(&s));
	for (i = 0; i < 4; i++)
		MUST_BE(result[i], -ECANCELED);
	scope_cancel(&s); /* closed: nothing happens */
	MUST_BE(scope_checkpoint(), 0);
	return 0;
}

Test(cancel, C5_cancel_is_idempotent_and_thread_safe)
{
	run(cancel_from_everywhere);
}

static int cancel_does_not_wait(void *arg)
{
	int64_t start = scope_now();
	struct scope s;
	int slept = -1;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_spawn_with(&s, sleep_1s_shielded, &slept, &concurrent), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	MUST_BE(scope_now(), start + SCOPE_MS);
	MUST_BE(slept, -1);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(slept, 0);
	return 0;
}

Test(cancel, C5_cancel_does_not_wait)
{
	run(cancel_does_not_wait);
}

/* `code`: a new one each time, for a task that fails with the code that a close gave it hands
 * on the old record. */
static enum scope_cause cause_of_failure(struct scope *s, int code)
{
	const struct scope_error *error;

	scope_fail(s, code, NULL);
	MUST_BE(scope_close(s), code);
	error = scope_last_error();
	MUST(error != NULL);
	return error ? error->cause : SCOPE_CAUSE_NONE;
}

static int first_cause_stays(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(cause_of_failure(&s, 1), SCOPE_CAUSE_NONE);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	scope_cancel(&s);
	MUST_BE(scope_set_shield(&s, true), 0);
	MUST_BE(scope_sleep_for(10 * SCOPE_MS), -ECANCELED);
	MUST_BE(cause_of_failure(&s, 2), SCOPE_CAUSE_EXPLICIT);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_sleep_for(10 * SCOPE_MS), -ECANCELED);
	scope_cancel(&s);
	MUST_BE(cause_of_failure(&s, 3), SCOPE_CAUSE_DEADLINE);
	return 0;
}

Test(cancel, C5_first_cancel_fixes_the_cause)
{
	run(first_cause_stays);
}

/* ---- C6 ------------------------------------------------------------------------------ */

/* Wakes by its timer at the instant at which the scope is cancelled: one of both wins, and
 * the cancel is not lost. */
static int sleep_1ms(void *arg)
{
	int rc = scope_sleep_for(SCOPE_MS);

	(void)arg;
	MUST(rc == 0 || rc == -ECANCELED);
	MUST_BE(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
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
			MUST_BE(scope_spawn_with(&s, i == round % 6 ? cancel_in_1ms : sleep_1ms, &s,
						 i % 2 ? &concurrent : NULL), 0);
		MUST_BE(scope_close(&s), 0);
		MUST_BE(scope_now(), start + SCOPE_MS);
	}
	return 0;
}

Test(cancel, C6_sleep_and_cancel_at_one_instant)
{
	run(sleep_against_cancel);
}

/* The last task cancels its scope and ends: who waits sees one or the other. */
static int end_against_cancel(void *arg)
{
	struct scope s;
	int round, rc;

	(void)arg;
	for (round = 0; round < 500; round++) {
		scope_open(&s);
		MUST_BE(scope_spawn_with(&s, cancel_it, &s, round % 2 ? &concurrent : NULL), 0);
		rc = scope_wait_until(&s, SCOPE_NEVER);
		MUST(rc == 0 || rc == -ECANCELED);
		if (rc == 0)
			MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&s), 0);
	}
	return 0;
}

Test(cancel, C6_end_and_cancel_at_one_instant)
{
	run(end_against_cancel);
}

/* ---- C7 ------------------------------------------------------------------------------ */

static int timeout_blocks(void *arg)
{
	struct scope_stats before, after;
	int64_t start;
	struct scope s;
	int i;

	(void)arg;
	MUST_BE(scope_sleep_for(1), 0);
	MUST_BE(scope_stats_get(&before), 0);
	for (i = 0; i < 1000; i++) {
		start = scope_now();
		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
		MUST_BE(scope_now(), start + SCOPE_MS);
		MUST_BE(scope_close(&s), -ETIMEDOUT);
		open_with_deadline(&s, SCOPE_SEC, SCOPE_FAIL_ON_TIMEOUT);
		MUST_BE(scope_sleep_for(SCOPE_US), 0);
		MUST_BE(scope_close(&s), 0);
	}
	MUST_BE(scope_stats_get(&after), 0);
	MUST_BE(after.timers_live, before.timers_live);
	MUST_BE(after.stacks_live, before.stacks_live);
	return 0;
}

Test(cancel, C7_timeout_block_needs_no_task)
{
	run(timeout_blocks);
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
	MUST_BE(scope_checkpoint(), 0);
	MUST(!scope_cancelled());
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(scope_spawn(&s, count_run, &ran), 0);
	MUST_BE(scope_spawn(&s, sleep_10ms, &slept), 0);
	scope_open(&deeper);
	MUST_BE(scope_yield(), 0);
	MUST_BE(scope_close(&deeper), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(ran, 1);
	MUST_BE(slept, 0);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_hides_a_cancel_that_came_before)
{
	run(shield_after_cancel);
}

static int cancel_after_shield(void *arg)
{
	struct scope outer, s;
	int slept = -1;

	(void)arg;
	scope_open(&outer);
	MUST_BE(scope_spawn(&outer, cancel_in_1ms, &outer), 0);
	open_shielded(&s);
	MUST_BE(scope_spawn(&s, sleep_10ms, &slept), 0);
	MUST_BE(scope_sleep_for(20 * SCOPE_MS), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(slept, 0);
	MUST_BE(scope_sleep_for(1), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_hides_a_cancel_that_comes_later)
{
	run(cancel_after_shield);
}

static int own_acts(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;
	int result = 0;

	(void)arg;
	open_shielded(&s);
	MUST_BE(scope_spawn(&s, sleep_for_ever, &result), 0);
	MUST_BE(scope_spawn(&s, cancel_in_1ms, &s), 0);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(result, -ECANCELED);
	options.deadline_ns = scope_now() + SCOPE_MS;
	MUST_BE(scope_open_with(&s, &options), 0);
	MUST_BE(scope_spawn(&s, sleep_for_ever, &result), 0);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_now(), options.deadline_ns);
	MUST_BE(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(cancel, C8_own_cancel_and_deadline_act_behind_the_shield)
{
	run(own_acts);
}

static int outer_deadline_hidden(void *arg)
{
	struct scope outer, s;

	(void)arg;
	open_with_deadline(&outer, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	open_shielded(&s);
	MUST_BE(scope_sleep_for(SCOPE_SEC), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&outer), -ETIMEDOUT);
	return 0;
}

Test(cancel, C8_shield_hides_deadlines_of_outer_scopes)
{
	run(outer_deadline_hidden);
}

static int take_shield_off(void *arg)
{
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(scope_set_shield(arg, false), 0);
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
	MUST_BE(scope_spawn(&s, sleep_for_ever, &result[0]), 0);
	MUST_BE(scope_spawn_with(&s, take_shield_off, &s, &concurrent), 0);
	scope_open(&deeper);
	MUST_BE(scope_spawn(&deeper, sleep_for_ever, &result[1]), 0);
	scope_cancel(&outer);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_now(), start + SCOPE_MS);
	MUST_BE(scope_close(&deeper), -ECANCELED);
	MUST_BE(scope_close(&s), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	MUST_BE(result[0], -ECANCELED);
	MUST_BE(result[1], -ECANCELED);
	return 0;
}

Test(cancel, C8_taking_the_shield_off_wakes_sleepers)
{
	run(shield_off_wakes);
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
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_set_shield(&s, true), 0);
		MUST_BE(scope_checkpoint(), 0);
		MUST_BE(scope_sleep_for(SCOPE_US), 0);
		MUST_BE(scope_set_shield(&s, true), 0);
		MUST_BE(scope_yield(), 0);
		MUST_BE(scope_set_shield(&s, false), 0);
	}
	MUST_BE(scope_close(&s), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_shield_goes_on_and_off_in_a_cancelled_place)
{
	run(shield_on_and_off);
}

static int two_shields(void *arg)
{
	struct scope outer, first, second;

	(void)arg;
	scope_open(&outer);
	open_shielded(&first);
	open_shielded(&second);
	scope_cancel(&outer);
	MUST_BE(scope_set_shield(&first, false), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&first);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(scope_set_shield(&second, false), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), -ECANCELED);
	MUST_BE(scope_close(&second), -ECANCELED);
	MUST_BE(scope_close(&first), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C8_each_shield_hides_by_itself)
{
	run(two_shields);
}

/* The shield of one task hides nothing from another task of the outer scope. */
static int shield_is_local(void *arg)
{
	int hidden = -1, seen = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_spawn(&s, sleep_1s_shielded, &hidden), 0);
	MUST_BE(scope_spawn(&s, sleep_for_ever, &seen), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(hidden, 0);
	MUST_BE(seen, -ECANCELED);
	return 0;
}

Test(cancel, C8_shield_protects_its_own_scope_only)
{
	run(shield_is_local);
}

static int closed_scope(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_set_shield(&s, true), -ESTALE);
	MUST_BE(scope_set_shield(&s, false), -ESTALE);
	return 0;
}

Test(cancel, C8_set_shield_estale)
{
	run(closed_scope);
}

Test(cancel, C8_set_shield_enotconn)
{
	struct scope s;

	memset(&s, 0, sizeof(s));
	cr_assert_eq(scope_set_shield(&s, true), -ENOTCONN);
	run(checkpoint_says_so);
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
	MUST_BE(scope_spawn(&outer, sleep_10ms, &slept), 0);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_spawn(&outer, sleep_10ms, &later), 0);
	MUST_BE(scope_close(&inner), -ETIMEDOUT);
	MUST_BE(scope_close(&outer), 0);
	MUST_BE(slept, 0);
	MUST_BE(later, 0);
	return 0;
}

Test(cancel, C9_timeout_around_a_spawn_does_not_bind_the_child)
{
	run(spawn_site_does_not_bind);
}

static int shield_of_spawn_site(void *arg)
{
	struct scope outer, inner;
	int result = 0;

	(void)arg;
	scope_open(&outer);
	open_shielded(&inner);
	MUST_BE(scope_spawn(&outer, sleep_for_ever, &result), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&outer);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(result, -ECANCELED);
	MUST_BE(scope_close(&inner), 0);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C9_shield_around_a_spawn_does_not_protect_the_child)
{
	run(shield_of_spawn_site);
}

/* ---- C10 ----------------------------------------------------------------------------- */

static int fail_when_cancelled(void *arg)
{
	(void)arg;
	MUST_BE(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
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

	MUST_BE(scope_close(s), want);
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
	MUST_BE(scope_spawn(&s, fail_when_cancelled, NULL), 0);
	MUST_BE(scope_spawn(&s, cancel_in_1ms, &s), 0);
	MUST_BE(close_cause(&s, -EIO), SCOPE_CAUSE_EXPLICIT);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_spawn(&s, fail_when_cancelled, NULL), 0);
	MUST_BE(close_cause(&s, -EIO), SCOPE_CAUSE_DEADLINE);
	scope_open(&s);
	MUST_BE(scope_spawn_with(&s, fail_when_cancelled, NULL, &concurrent), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	MUST_BE(scope_spawn(&s, fail_at_once, NULL), 0);
	MUST_BE(close_cause(&s, -EPROTO), SCOPE_CAUSE_ERROR);
	return 0;
}

Test(cancel, C10_cancel_carries_its_cause)
{
	run(causes);
}

/* ---- C11: size ----------------------------------------------------------------------- */

/* The shim is for builds that are slow and keep much for each stack. */
#ifdef SC_TEST_SHIM
enum { MANY = 2000 };
#else
enum { MANY = 100000 };
#endif

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
	MUST_BE(scope_spawn(&s[MANY - 1], sleep_for_ever, &result[0]), 0);
	MUST_BE(scope_spawn_with(&s[MANY / 2], sleep_for_ever, &result[1], &concurrent), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s[0]);
	MUST_BE(scope_sleep_for(SCOPE_MS), -ECANCELED);
	for (i = MANY - 1; i > 0; i--)
		MUST_BE(scope_close(&s[i]), -ECANCELED);
	MUST_BE(scope_close(&s[0]), 0);
	MUST_BE(result[0], -ECANCELED);
	MUST_BE(result[1], -ECANCELED);
	MUST(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_tree_100000_scopes_deep)
{
	struct scope *s = calloc(MANY, sizeof(*s));

	cr_assert_not_null(s);
	run_with(nested_scopes, s, 0);
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
	MUST_BE(scope_spawn(&s, nest, &below), 0);
	MUST_BE(scope_close(&s), -ECANCELED);
	level->result = scope_checkpoint();
	MUST_BE(below.result, -ECANCELED);
	return 0;
}

static int nested_tasks(void *arg)
{
	struct level level = {MANY, 0};
	double start = cpu_seconds();
	struct scope s;

	(void)arg;
	scope_open(&s);
	MUST_BE(scope_spawn(&s, nest, &level), 0);
	MUST_BE(scope_spawn_with(&s, cancel_in_1ms, &s, &concurrent), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(level.result, -ECANCELED);
	MUST(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_tree_100000_tasks_deep)
{
	run(nested_tasks);
}

static int parked_tasks(void *arg)
{
	int *result = arg, i, missed = 0;
	double start = cpu_seconds();
	struct scope s;

	scope_open(&s);
	for (i = 0; i < MANY; i++)
		MUST_BE(scope_spawn(&s, sleep_for_ever, &result[i]), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), 0);
	for (i = 0; i < MANY; i++)
		missed += result[i] != -ECANCELED;
	MUST_BE(missed, 0);
	MUST(cpu_seconds() - start < 20);
	return 0;
}

Test(cancel, C11_cancel_of_100000_parked_tasks)
{
	int *result = calloc(MANY, sizeof(*result));

	cr_assert_not_null(result);
	run_with(parked_tasks, result, 32768);
	free(result);
}

static int only_the_subtree(void *arg)
{
	struct scope outer, left, right;
	int in_left = 0, in_right = -1, in_outer = -1;

	(void)arg;
	scope_open(&outer);
	MUST_BE(scope_spawn(&outer, sleep_10ms, &in_outer), 0);
	scope_open(&left);
	MUST_BE(scope_spawn(&left, sleep_10ms, &in_right), 0);
	scope_open(&right);
	MUST_BE(scope_spawn(&right, sleep_for_ever, &in_left), 0);
	MUST_BE(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&right);
	MUST_BE(scope_close(&right), 0);
	MUST_BE(scope_checkpoint(), 0);
	MUST_BE(scope_close(&left), 0);
	MUST_BE(scope_close(&outer), 0);
	MUST_BE(in_left, -ECANCELED);
	MUST_BE(in_right, 0);
	MUST_BE(in_outer, 0);
	return 0;
}

Test(cancel, C11_cancel_touches_its_subtree_only)
{
	run(only_the_subtree);
}

/* ---- C12: the table, row by row ------------------------------------------------------ */

static int error_before_all(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED); /* own hit */
	scope_cancel(&outer);
	MUST_BE(scope_checkpoint(), -ECANCELED); /* outer hit */
	scope_cancel(&s);
	MUST_BE(scope_fail(&s, -EIO, NULL), -EIO);
	MUST_BE(scope_fail(&s, -EPROTO, NULL), -EPROTO);
	MUST_BE(scope_close(&s), -EIO);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_row_1_the_first_error)
{
	run(error_before_all);
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
			MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
		scope_cancel(&outer);
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&s), -ECANCELED);
		MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&outer), 0);
		MUST_BE(scope_checkpoint(), 0);
	}
	return 0;
}

Test(cancel, C12_row_2_an_outer_hit)
{
	run(outer_hit);
}

static int own_deadline_hit(void *arg)
{
	struct scope s;

	(void)arg;
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_close(&s), -ETIMEDOUT);
	MUST(scope_timed_out(&s));
	MUST(scope_cancel_called(&s));
	open_with_deadline(&s, SCOPE_MS, SCOPE_MOVE_ON);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	MUST_BE(scope_close(&s), 0);
	MUST(scope_timed_out(&s));
	/* A cancel after the deadline changes nothing. */
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	scope_cancel(&s);
	MUST_BE(scope_close(&s), -ETIMEDOUT);
	MUST(scope_timed_out(&s));
	return 0;
}

Test(cancel, C12_row_3_own_deadline_hit)
{
	run(own_deadline_hit);
}

static int deadline_hit_nobody(void *arg)
{
	struct scope s;
	int slept = -1;

	(void)arg;
	open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(slept, 0);
	MUST(!scope_timed_out(&s));
	MUST_BE(scope_checkpoint(), 0);
	return 0;
}

Test(cancel, C12_row_4_deadline_hit_nobody)
{
	run(deadline_hit_nobody);
}

static int explicit_first(void *arg)
{
	struct scope s;
	int hit;

	(void)arg;
	for (hit = 0; hit < 2; hit++) {
		open_with_deadline(&s, SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
		MUST(!scope_cancel_called(&s));
		scope_cancel(&s);
		MUST(scope_cancel_called(&s));
		if (hit)
			MUST_BE(scope_checkpoint(), -ECANCELED);
		MUST_BE(scope_close(&s), 0);
		MUST(scope_cancel_called(&s));
		MUST(!scope_timed_out(&s));
	}
	return 0;
}

Test(cancel, C12_row_5_explicit_cancel_first)
{
	run(explicit_first);
}

/* The deadline passes after the cancel, while a task is still at work. */
static int explicit_then_deadline(void *arg)
{
	struct scope s;
	int slept = -1, result = 0;

	(void)arg;
	open_with_deadline(&s, 2 * SCOPE_MS, SCOPE_FAIL_ON_TIMEOUT);
	MUST_BE(scope_spawn(&s, sleep_1s_shielded, &slept), 0);
	MUST_BE(scope_spawn(&s, sleep_for_ever, &result), 0);
	MUST_BE(scope_spawn(&s, cancel_in_1ms, &s), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(slept, 0);
	MUST_BE(result, -ECANCELED);
	MUST(!scope_timed_out(&s));
	MUST(scope_cancel_called(&s));
	return 0;
}

Test(cancel, C12_row_5_deadline_after_the_cancel_counts_for_nothing)
{
	run(explicit_then_deadline);
}

static int cancelled_above_without_hit(void *arg)
{
	struct scope outer, s;
	int ran = 0;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	MUST_BE(scope_spawn(&s, count_run, &ran), 0);
	scope_cancel(&outer);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(ran, 1);
	MUST(!scope_cancel_called(&s));
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	/* Shielded from it. */
	scope_open(&outer);
	open_shielded(&s);
	scope_cancel(&outer);
	MUST_BE(scope_checkpoint(), 0);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_row_6_cancelled_from_above_without_a_hit)
{
	run(cancelled_above_without_hit);
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
		MUST_BE(scope_checkpoint(), -ECANCELED);
		break;
	case 1:
		MUST_BE(scope_spawn(s, count_run, &ran), -ECANCELED);
		break;
	case 2:
		MUST(scope_cancelled());
		break;
	case 3:
		MUST_BE(scope_for(0, 1000, 1, count_chunk, &ran), -ECANCELED);
		MUST(ran < 1000);
		break;
	case 4:
		MUST_BE(scope_spawn_n(s, count_run, &ran, 0, 10), -ECANCELED);
		MUST_BE(ran, 0);
		break;
	case 5:
		MUST_BE(scope_spawn_with(s, count_run, &ran, NULL), -ECANCELED);
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
		MUST_BE(scope_set_deadline(&s, 1), 0);
		if (how != 0) {
			/* Let it fire without a hit of another kind. */
			struct scope shield;

			open_shielded(&shield);
			MUST_BE(scope_sleep_for(SCOPE_MS), 0);
			MUST_BE(scope_close(&shield), 0);
		}
		hit_somehow(&s, how);
		MUST_BE(scope_close(&s), -ETIMEDOUT);
		scope_open(&outer);
		scope_open(&s);
		scope_cancel(&outer);
		hit_somehow(&s, how);
		MUST_BE(scope_close(&s), -ECANCELED);
		MUST_BE(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C12_each_kind_of_hit_counts)
{
	run(kinds_of_hit);
}

/* A child's hit, inlined, on a stack of its own, two scopes down. */
static int hit_in_child(void *arg)
{
	(void)arg;
	MUST_BE(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return 0;
}

static int hit_in_deep_child(void *arg)
{
	struct scope a, b;

	(void)arg;
	scope_open(&a);
	scope_open(&b);
	MUST_BE(scope_spawn(&b, hit_in_child, NULL), 0);
	MUST_BE(scope_close(&b), -ECANCELED);
	MUST_BE(scope_close(&a), -ECANCELED);
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
		MUST_BE(scope_spawn_with(&s, child[i % 3], NULL, how), 0);
		MUST_BE(scope_close(&s), -ETIMEDOUT);
		open_with_deadline(&outer, SCOPE_MS, SCOPE_MOVE_ON);
		scope_open(&s);
		MUST_BE(scope_spawn_with(&s, child[i % 3], NULL, how), 0);
		MUST_BE(scope_close(&s), -ECANCELED);
		MUST_BE(scope_close(&outer), 0);
		MUST(scope_timed_out(&outer));
	}
	return 0;
}

Test(cancel, C12_hits_of_children_count)
{
	run(hits_of_children);
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
		MUST_BE(scope_checkpoint(), -ECANCELED);
		for (i = 2; i >= 0; i--)
			MUST_BE(scope_close(&s[i]), i > top ? -ECANCELED : 0);
		MUST_BE(scope_checkpoint(), 0);
	}
	return 0;
}

Test(cancel, C12_hit_is_charged_to_the_outermost_cancelled_scope)
{
	run(outermost_is_charged);
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
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_close(&inner), -ECANCELED);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_hit_behind_a_shield_is_charged_below_it)
{
	run(charged_below_the_shield);
}

/* A hit before the shield went on is still an outer one. */
static int shield_after_the_hit(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	scope_cancel(&outer);
	MUST_BE(scope_checkpoint(), -ECANCELED);
	MUST_BE(scope_set_shield(&s, true), 0);
	MUST_BE(scope_checkpoint(), 0);
	MUST_BE(scope_close(&s), -ECANCELED);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_shield_does_not_undo_a_hit)
{
	run(shield_after_the_hit);
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

	MUST(rc == 0 || rc == -ECANCELED);
	if (__atomic_sub_fetch(&range->left, 1, __ATOMIC_RELAXED) == 20)
		scope_cancel(range->outer);
	if (rc == -ECANCELED && __atomic_load_n(&range->left, __ATOMIC_RELAXED) < 5)
		MUST_BE(scope_set_shield(range->s, true), 0);
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
		MUST_BE(scope_spawn_n(&s, feel_and_shield, &range, 0, 60), 0);
		rc = scope_close(&s);
		MUST(rc == 0 || rc == -ECANCELED);
		/* Not -ECANCELED as an error: that would have a record. */
		MUST(scope_last_error() == NULL);
		MUST_BE(scope_close(&outer), 0);
	}
	return 0;
}

Test(cancel, C12_part_of_a_range_that_felt_a_cancel_fails_nobody)
{
	run(range_and_shield);
}

/* Nobody looked: the first task inside finished without asking. */
static int cancel_that_hit_nobody(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	MUST_BE(scope_spawn(&s, nothing, NULL), 0);
	MUST_BE(scope_spawn_with(&s, nothing, NULL, &concurrent), 0);
	scope_cancel(&outer);
	MUST_BE(scope_close(&s), 0);
	MUST_BE(scope_close(&outer), 0);
	return 0;
}

Test(cancel, C12_close_never_reports_a_cancel_that_hit_nobody)
{
	run(cancel_that_hit_nobody);
}
