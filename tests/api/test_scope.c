/* tests/api/test_scope.c: the life of a scope: open, spawn, close, misuse: rules S1 to S13. */
#include "task_check.h"

#include <pthread.h>
#include <unistd.h>

TestSuite(scope, .timeout = 60);

enum { MANY = CHECKED ? 10000 : 1000000 };

static int count_late(void *arg)
{
	(void)arg;
	scope_sleep_for(5 * SCOPE_MS);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

/* ---- S1 --------------------------------------------------------------------------------- */

static int s1_plain(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 1000; i++)
		CHECK(scope_spawn(&s, i % 7 ? count : count_late, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 1000);
	return 0;
}

Test(scope, S1_waits_for_every_task)
{
	ran = 0;
	cr_assert_eq(run(s1_plain, NULL, 0), 0);
}

static int s1_empty(void *arg)
{
	struct scope s, t;
	int i;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		scope_open(&s);
		CHECK(scope_open_with(&t, NULL) == 0);
		CHECK(scope_close(&t) == 0);
		CHECK(scope_close(&s) == 0);
	}
	return 0;
}

Test(scope, S1_empty_scopes_close_at_once)
{
	cr_assert_eq(run(s1_empty, NULL, 0), 0);
}

static int s1_error(void *arg)
{
	int code = -EIO, i;
	struct scope s;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(&s, count_late, NULL) == 0);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	CHECK(scope_close(&s) == -EIO);
	CHECK(ran == 100);
	return 0;
}

Test(scope, S1_waits_after_an_error)
{
	ran = 0;
	cr_assert_eq(run(s1_error, NULL, 0), 0);
}

static int s1_cancel(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(&s, count_late, NULL) == 0);
	scope_cancel(&s);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 100);
	return 0;
}

Test(scope, S1_waits_after_a_cancel)
{
	ran = 0;
	cr_assert_eq(run(s1_cancel, NULL, 0), 0);
}

static int ignores_cancel(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	(void)arg;
	CHECK(scope_open_with(&s, &options) == 0);
	CHECK(scope_sleep_for(20 * SCOPE_MS) == 0);
	atomic_fetch_add(&ran, 1);
	return scope_close(&s);
}

static int s1_timeout(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 10 * SCOPE_MS};
	int64_t start = scope_now();
	struct scope s;
	int i;

	(void)arg;
	CHECK(scope_open_with(&s, &options) == 0);
	for (i = 0; i < 10; i++) {
		CHECK(scope_spawn(&s, ignores_cancel, NULL) == 0);
		CHECK(scope_spawn(&s, until_cancelled, NULL) == 0);
	}
	CHECK(scope_close(&s) == -ETIMEDOUT);
	CHECK(ran == 10);
	CHECK(scope_now() - start >= 20 * SCOPE_MS);
	return 0;
}

Test(scope, S1_waits_after_a_timeout_etimedout)
{
	ran = 0;
	cr_assert_eq(run(s1_timeout, NULL, 0), 0);
}

/* ---- S2 --------------------------------------------------------------------------------- */

/* Calls everything that needs a task where there is none. */
static void check_outside(void)
{
	struct scope_options options = {0};
	struct scope s;

	scope_open(&s);
	CHECK(scope_spawn(&s, never_called, NULL) == -ENOTCONN);
	CHECK(scope_open_with(&s, &options) == -ENOTCONN);
	CHECK(scope_spawn_with(&s, never_called, NULL, NULL) == -ENOTCONN);
	CHECK(scope_spawn_copy(&s, never_called, &options, sizeof(options)) == -ENOTCONN);
	CHECK(scope_spawn_n(&s, never_called, NULL, 0, 3) == -ENOTCONN);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ENOTCONN);
	CHECK(scope_fail(&s, -EIO, NULL) == -ENOTCONN);
	CHECK(scope_set_shield(&s, true) == -ENOTCONN);
	CHECK(scope_set_deadline(&s, 1) == -ENOTCONN);
	CHECK(scope_within(SCOPE_SEC, never_called, NULL) == -ENOTCONN);
	CHECK(scope_checkpoint() == -ENOTCONN);
	CHECK(scope_yield() == -ENOTCONN);
	CHECK(scope_sleep_for(1) == -ENOTCONN);
	CHECK(scope_sleep_until(1) == -ENOTCONN);
	CHECK(scope_close(&s) == -ENOTCONN);
	CHECK(!scope_cancelled());
	CHECK(scope_last_error() == NULL);
	scope_cancel(&s);
}

Test(scope, S2_outside_a_run_enotconn)
{
	checks_begin();
	check_outside();
	checks_end();
}

static void *foreign(void *arg)
{
	(void)arg;
	check_outside();
	CHECK(scope_run(never_called, NULL, NULL) == -EBUSY);
	return NULL;
}

static int s2_foreign(void *arg)
{
	pthread_t thread;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(pthread_create(&thread, NULL, foreign, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK(scope_run(never_called, NULL, NULL) == -EBUSY);
	return scope_close(&s);
}

Test(scope, S2_foreign_threads_are_outside_enotconn)
{
	cr_assert_eq(run(s2_foreign, NULL, 0), 0);
}

Test(scope, S2_outside_again_after_a_run_enotconn)
{
	cr_assert_eq(run(s2_foreign, NULL, 0), 0);
	check_outside();
	checks_end();
}

/* ---- S3, S4 ----------------------------------------------------------------------------- */

static struct scope *shared;

static int spawn_into_shared(void *arg)
{
	(void)arg;
	CHECK(scope_spawn(shared, count, NULL) == 0);
	return 0;
}

/* A task of a scope below the shared one. */
static int spawn_from_below(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, spawn_into_shared, NULL) == 0);
	CHECK(scope_spawn(shared, count, NULL) == 0);
	return scope_close(&s);
}

static atomic_int strangers_done;

/* Opens the shared scope and lets a sibling, who is no member, spawn into it. */
static int open_shared(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	atomic_store((_Atomic(struct scope *) *)&shared, &s);
	for (i = 0; i < 50; i++)
		CHECK(scope_spawn(&s, spawn_from_below, NULL) == 0);
	/* Who is no member spawns only before the close. */
	while (!atomic_load(&strangers_done))
		CHECK(scope_yield() == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 200);
	return 0;
}

static int stranger(void *arg)
{
	int i;

	(void)arg;
	while (!atomic_load((_Atomic(struct scope *) *)&shared))
		CHECK(scope_yield() == 0);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(shared, count, NULL) == 0);
	strangers_done = 1;
	return 0;
}

static int s3_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, stranger, NULL) == 0);
	CHECK(scope_spawn(&s, open_shared, NULL) == 0);
	return scope_close(&s);
}

Test(scope, S3_owner_members_and_strangers_spawn)
{
	ran = strangers_done = 0;
	shared = NULL;
	cr_assert_eq(run(s3_root, NULL, 0), 0);
	cr_assert_eq(ran, 200);
}

/* Each task leaves two behind, down to depth 0. */
static int branch(void *arg)
{
	uintptr_t depth = (uintptr_t)arg;

	atomic_fetch_add(&ran, 1);
	if (depth == 0)
		return 0;
	if (depth % 3 == 0)
		scope_yield();
	CHECK(scope_spawn(shared, branch, (void *)(depth - 1)) == 0);
	CHECK(scope_spawn(shared, branch, (void *)(depth - 1)) == 0);
	return 0;
}

static int s4_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	shared = &s;
	CHECK(scope_spawn(&s, branch, (void *)12) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == (1 << 13) - 1);
	return 0;
}

Test(scope, S4_members_spawn_while_the_scope_closes)
{
	ran = 0;
	cr_assert_eq(run(s4_root, NULL, 0), 0);
}

/* ---- S6, S7 ----------------------------------------------------------------------------- */

enum { RUNS = 500 };

static atomic_int runs[RUNS];

static int run_once(void *arg)
{
	CHECK(scope_checkpoint() == -ECANCELED);
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static int s6_accepted(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	/* With thieves one may start, but it can't pass its checkpoint before the cancel. */
	for (i = 0; i < RUNS - 4; i++)
		if (i % 5 == 0)
			CHECK(scope_spawn_with(&s, run_once, &runs[i], &concurrent) == 0);
		else
			CHECK(scope_spawn(&s, run_once, &runs[i]) == 0);
	CHECK(scope_spawn_n(&s, run_once, &runs[i], sizeof(runs[0]), 4) == 0);
	scope_cancel(&s);
	CHECK(scope_close(&s) == 0);
	for (i = 0; i < RUNS; i++)
		CHECK(runs[i] == 1);
	return 0;
}

Test(scope, S6_accepted_tasks_run_once_though_cancelled)
{
	/* One worker: nothing starts before the cancel. */
	memset(runs, 0, sizeof(runs));
	cr_assert_eq(run(s6_accepted, NULL, 1), 0);
}

static int run_once_anyhow(void *arg)
{
	scope_checkpoint();
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static int s6_race(void *arg)
{
	struct scope s;
	int i, accepted[RUNS];

	(void)arg;
	scope_open(&s);
	for (i = 0; i < RUNS; i++) {
		if (i == RUNS / 2)
			scope_cancel(&s);
		accepted[i] = scope_spawn(&s, run_once_anyhow, &runs[i]) == 0;
		CHECK(accepted[i] == (i < RUNS / 2));
	}
	CHECK(scope_close(&s) == 0);
	for (i = 0; i < RUNS; i++)
		CHECK(runs[i] == accepted[i]);
	return 0;
}

Test(scope, S6_a_task_runs_once_or_is_refused)
{
	memset(runs, 0, sizeof(runs));
	cr_assert_eq(run(s6_race, NULL, 0), 0);
}

static int s6_refused(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope_spawn_options pinned = {.flags = SCOPE_PINNED};
	struct scope s, below;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	CHECK(scope_spawn(&s, never_called, NULL) == -ECANCELED);
	CHECK(scope_spawn_with(&s, never_called, NULL, NULL) == -ECANCELED);
	CHECK(scope_spawn_with(&s, never_called, NULL, &concurrent) == -ECANCELED);
	CHECK(scope_spawn_with(&s, never_called, NULL, &pinned) == -ECANCELED);
	CHECK(scope_spawn_copy(&s, never_called, &s, 8) == -ECANCELED);
	CHECK(scope_spawn_n(&s, never_called, NULL, 0, 10) == -ECANCELED);
	scope_open(&below);
	CHECK(scope_spawn(&below, never_called, NULL) == -ECANCELED);
	CHECK(scope_spawn(&s, never_called, NULL) == -ECANCELED);
	CHECK(scope_close(&below) == -ECANCELED);
	CHECK(scope_close(&s) == 0);
	return 0;
}

Test(scope, S6_spawn_into_a_cancelled_place_ecanceled)
{
	cr_assert_eq(run(s6_refused, NULL, 0), 0);
}

static int s6_shielded(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s, below;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	CHECK(scope_open_with(&below, &options) == 0);
	CHECK(scope_spawn(&below, count, NULL) == 0);
	CHECK(scope_close(&below) == 0);
	CHECK(ran == 1);
	return scope_close(&s);
}

Test(scope, S6_spawn_under_a_shield_is_accepted)
{
	ran = 0;
	cr_assert_eq(run(s6_shielded, NULL, 0), 0);
}

static int s7_hit(void *arg)
{
	struct scope outer, inner, quiet;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	scope_cancel(&outer);
	scope_spawn(&inner, never_called, NULL);
	CHECK(scope_close(&inner) == -ECANCELED);
	/* Nothing refused, nothing felt: no hit. */
	scope_open(&quiet);
	CHECK(scope_close(&quiet) == 0);
	CHECK(scope_close(&outer) == 0);
	CHECK(scope_cancel_called(&outer));
	return 0;
}

Test(scope, S7_an_ignored_refusal_shows_at_close_ecanceled)
{
	cr_assert_eq(run(s7_hit, NULL, 0), 0);
}

/* ---- S9, S10 ---------------------------------------------------------------------------- */

static int s9_member(void *arg)
{
	struct scope *s = arg, below;

	CHECK(scope_close(s) == -EDEADLK);
	CHECK(scope_wait_until(s, SCOPE_NEVER) == -EDEADLK);
	CHECK(scope_fail(s, -EIO, NULL) == -EPERM);
	scope_open(&below);
	CHECK(scope_close(s) == -EDEADLK);
	CHECK(scope_wait_until(s, 0) == -EDEADLK);
	scope_yield();
	CHECK(scope_close(s) == -EDEADLK);
	CHECK(scope_close(&below) == 0);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int s9_member_root(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 10; i++) {
		CHECK(scope_spawn(&s, s9_member, &s) == 0);
		CHECK(scope_spawn_with(&s, s9_member, &s, &concurrent) == 0);
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 20);
	return 0;
}

Test(scope, S9_a_member_would_wait_for_itself_edeadlk)
{
	ran = 0;
	cr_assert_eq(run(s9_member_root, NULL, 0), 0);
}

static int s9_owner(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	atomic_store((_Atomic(struct scope *) *)&shared, &s);
	while (atomic_load(&ran) < 1)
		CHECK(scope_yield() == 0);
	return scope_close(&s);
}

static int s9_other(void *arg)
{
	(void)arg;
	while (!atomic_load((_Atomic(struct scope *) *)&shared))
		CHECK(scope_yield() == 0);
	CHECK(scope_close(shared) == -EPERM);
	CHECK(scope_wait_until(shared, SCOPE_NEVER) == -EPERM);
	CHECK(scope_fail(shared, -EIO, "no") == -EPERM);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int s9_other_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, s9_other, NULL) == 0);
	CHECK(scope_spawn(&s, s9_owner, NULL) == 0);
	return scope_close(&s);
}

Test(scope, S9_another_task_may_not_close_eperm)
{
	ran = 0;
	shared = NULL;
	cr_assert_eq(run(s9_other_root, NULL, 0), 0);
}

static int s9_closed(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	/* Closed in the fast way, and after a join and a cancel. */
	for (i = 0; i < 2; i++) {
		scope_open(&s);
		if (i)
			CHECK(scope_spawn(&s, count_late, NULL) == 0);
		if (i)
			scope_cancel(&s);
		CHECK(scope_close(&s) == 0);
		CHECK(scope_close(&s) == -ESTALE);
		CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ESTALE);
		CHECK(scope_fail(&s, -EIO, NULL) == -ESTALE);
		CHECK(scope_set_shield(&s, true) == -ESTALE);
		CHECK(scope_set_deadline(&s, 1) == -ESTALE);
		scope_cancel(&s);
		CHECK(scope_cancel_called(&s) == (i == 1));
		CHECK(!scope_timed_out(&s));
	}
	return 0;
}

Test(scope, S9_a_closed_scope_stays_closed_estale)
{
	cr_assert_eq(run(s9_closed, NULL, 0), 0);
}

static int s9_spawn(void *arg)
{
	struct scope_options late = {.deadline_ns = -1};
	struct scope closed, refused, *s[] = {&closed, &refused};
	int i, value = 0;

	(void)arg;
	memset(&refused, 0x5a, sizeof refused);
	scope_open(&closed);
	CHECK(scope_close(&closed) == 0);
	CHECK(scope_open_with(&refused, &late) == -EINVAL);
	for (i = 0; i < 2; i++) {
		CHECK(scope_spawn(s[i], never_called, NULL) == -ESTALE);
		CHECK(scope_spawn_with(s[i], never_called, NULL, NULL) == -ESTALE);
		CHECK(scope_spawn_copy(s[i], never_called, &value, sizeof value) == -ESTALE);
		CHECK(scope_spawn_n(s[i], never_called, NULL, 0, 2) == -ESTALE);
		CHECK(scope_close(s[i]) == -ESTALE);
	}
	return 0;
}

Test(scope, S9_nothing_is_spawned_into_what_is_not_open_estale)
{
	cr_assert_eq(run(s9_spawn, NULL, 0), 0);
}

static int s10_root(void *arg)
{
	struct scope older, younger;

	(void)arg;
	scope_open(&older);
	CHECK(scope_spawn(&older, count, NULL) == 0);
	scope_open(&younger);
	CHECK(scope_spawn(&younger, count, NULL) == 0);
	CHECK(scope_close(&older) == -EBUSY);
	CHECK(scope_wait_until(&older, SCOPE_NEVER) == -EBUSY);
	CHECK(scope_fail(&older, -EIO, NULL) == -EPERM);
	/* Nothing changed: both take tasks and close in order. */
	CHECK(scope_spawn(&older, count, NULL) == 0);
	CHECK(scope_spawn(&younger, count, NULL) == 0);
	CHECK(scope_close(&younger) == 0);
	CHECK(scope_spawn(&older, count, NULL) == 0);
	CHECK(scope_close(&older) == 0);
	CHECK(ran == 5);
	return 0;
}

Test(scope, S10_closing_below_a_younger_scope_ebusy)
{
	ran = 0;
	cr_assert_eq(run(s10_root, NULL, 0), 0);
}

/* ---- S11 -------------------------------------------------------------------------------- */

/* Values in a frame that is dead when the tasks run. */
enum { VALUES = 40 };

struct value {
	uint64_t number, inverse;
};

static void set_value(struct value *value, uint64_t number)
{
	value->number = number * UINT64_C(0x9e3779b97f4a7c15);
	value->inverse = ~value->number;
}

static int check_value(void *arg)
{
	volatile struct value *value = arg;
	int i;

	for (i = 0; i < 4; i++) {
		CHECK(value->number == ~value->inverse);
		scope_yield(); /* cancelled, unless a thief was quicker than the leak */
	}
	CHECK(value->number == ~value->inverse);
	atomic_fetch_add(&ran, 1);
	return 0;
}

/* Works on through a shield, so that other tasks of the worker run beside it. */
static int check_value_slowly(void *arg)
{
	struct scope_options options = {.shield = true};
	volatile struct value *value = arg;
	struct scope s;
	int i;

	CHECK(scope_open_with(&s, &options) == 0);
	for (i = 0; i < 4; i++) {
		CHECK(value->number == ~value->inverse);
		CHECK(scope_sleep_for(SCOPE_MS) == 0);
		CHECK(scope_yield() == 0);
	}
	CHECK(value->number == ~value->inverse);
	atomic_fetch_add(&ran, 1);
	return scope_close(&s);
}

/* Leaves two scopes open, with tasks in both. */
static int leak(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope_options shield = {.shield = true};
	struct value value[VALUES];
	struct scope outer, inner;
	int i;

	(void)arg;
	for (i = 0; i < VALUES; i++)
		set_value(&value[i], (uint64_t)i + 1);
	/* A sibling that leaked has failed and so cancelled what is above. */
	CHECK(scope_open_with(&outer, &shield) == 0);
	for (i = 0; i < VALUES / 2; i++)
		CHECK(scope_spawn(&outer, i % 2 ? check_value : check_value_slowly,
				  &value[i]) == 0);
	scope_open(&inner);
	for (; i < VALUES; i++)
		CHECK(scope_spawn_with(&inner, i % 2 ? check_value_slowly : check_value, &value[i],
				       i % 4 ? NULL : &concurrent) == 0);
	return 0;
}

/* Writes over the frames that a leaking sibling left. */
static int overwrite(void *arg)
{
	volatile char frame[4096];
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(frame); i++)
		frame[i] = (char)0xa5;
	atomic_fetch_add(&ran, 1000);
	return frame[17] != (char)0xa5;
}

static int s11_inlined(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, overwrite, NULL) == 0);
	CHECK(scope_spawn(&s, leak, NULL) == 0);
	CHECK(scope_close(&s) == -EPROTO);
	CHECK(ran == 1000 + VALUES);
	return 0;
}

Test(scope, S11_leaked_scopes_of_an_inlined_task_are_joined)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(s11_inlined, NULL, 1), 0);
}

Test(scope, S11_leaked_scopes_are_joined_with_thieves_about)
{
	int i;

	skip_leaks_where_checked();
	for (i = 0; i < 100; i++) {
		ran = 0;
		cr_assert_eq(run(s11_inlined, NULL, 0), 0);
	}
}

static int s11_own_stack(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 100; i++) {
		atomic_store(&ran, 0);
		scope_open(&s);
		CHECK(scope_spawn_with(&s, leak, NULL, &concurrent) == 0);
		CHECK(scope_close(&s) == -EPROTO);
		CHECK(ran == VALUES);
	}
	return 0;
}

Test(scope, S11_leaked_scopes_of_a_task_on_its_own_stack_are_joined)
{
	skip_leaks_where_checked();
	cr_assert_eq(run(s11_own_stack, NULL, 0), 0);
}

static int s11_copy(void *arg)
{
	int i, leaks = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, overwrite, NULL) == 0);
	/* The first leak cancels the scope: with thieves about, the next may be refused. */
	for (i = 0; i < 3; i++)
		leaks += scope_spawn_copy(&s, leak, &i, sizeof(i)) == 0;
	leaks += 3 * (scope_spawn_n(&s, leak, &i, 0, 3) == 0);
	CHECK(leaks > 0);
	CHECK(scope_close(&s) == -EPROTO);
	CHECK(ran == 1000 + leaks * VALUES);
	return 0;
}

Test(scope, S11_leaked_scopes_of_tasks_with_records_are_joined)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(s11_copy, NULL, 0), 0);
}

Test(scope, S11_the_root_task_leaks)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(leak, NULL, 0), -EPROTO);
	cr_assert_eq(ran, VALUES);
}

static int leak_and_fail(void *arg)
{
	leak(arg);
	return -EIO;
}

static int s11_error(void *arg)
{
	const struct scope_error *error;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, leak_and_fail, NULL) == 0);
	CHECK(scope_close(&s) == -EPROTO);
	error = scope_last_error();
	CHECK(error && error->code == -EPROTO);
	CHECK(error && error->suppressed && error->suppressed->code == -EIO);
	return 0;
}

Test(scope, S11_the_tasks_own_error_follows)
{
	skip_leaks_where_checked();
	cr_assert_eq(run(s11_error, NULL, 0), 0);
}

/* ---- S12 -------------------------------------------------------------------------------- */

static int s12_usable(void *arg)
{
	struct scope s;
	int i, j;

	(void)arg;
	scope_open(&s);
	for (i = 1; i <= 50; i++) {
		for (j = 0; j < 10; j++)
			CHECK(scope_spawn(&s, j % 3 ? count : count_late, NULL) == 0);
		CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
		CHECK(ran == i * 10);
		CHECK(scope_wait_until(&s, 0) == 0);
	}
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 501);
	return 0;
}

Test(scope, S12_wait_leaves_the_scope_usable)
{
	ran = 0;
	cr_assert_eq(run(s12_usable, NULL, 0), 0);
}

static int s12_members(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	shared = &s;
	CHECK(scope_spawn(&s, branch, (void *)10) == 0);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
	CHECK(ran == (1 << 11) - 1);
	return scope_close(&s);
}

Test(scope, S12_wait_counts_what_members_spawn)
{
	ran = 0;
	cr_assert_eq(run(s12_members, NULL, 0), 0);
}

static int s12_timeout(void *arg)
{
	int64_t start = scope_now();
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, count_late, NULL) == 0);
	CHECK(scope_wait_until(&s, 0) == -ETIMEDOUT);
	CHECK(scope_wait_until(&s, start + SCOPE_MS) == -ETIMEDOUT);
	CHECK(scope_now() == start + SCOPE_MS);
	CHECK(ran == 0);
	CHECK(scope_wait_until(&s, start + 2 * SCOPE_MS) == -ETIMEDOUT);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_wait_until(&s, start + SCOPE_SEC) == 0);
	CHECK(ran == 2);
	CHECK(scope_now() < start + SCOPE_SEC);
	return scope_close(&s);
}

Test(scope, S12_wait_until_a_time_etimedout)
{
	ran = 0;
	cr_assert_eq(run(s12_timeout, NULL, 0), 0);
}

static int cancel_later(void *arg)
{
	scope_sleep_for(SCOPE_MS);
	scope_cancel(arg);
	return 0;
}

static int s12_cancelled(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, cancel_later, &s) == 0);
	CHECK(scope_spawn(&s, ignores_cancel, NULL) == 0);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ECANCELED);
	CHECK(ran == 0);
	CHECK(scope_wait_until(&s, 0) == -ECANCELED);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 1);
	return 0;
}

Test(scope, S12_wait_in_a_cancelled_place_ecanceled)
{
	ran = 0;
	cr_assert_eq(run(s12_cancelled, NULL, 0), 0);
}

static int s12_error(void *arg)
{
	struct scope s;
	int code = -EIO;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, ignores_cancel, NULL) == 0);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	/* The task's error cancels the place of the waiter. */
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ECANCELED);
	CHECK(scope_close(&s) == -EIO);
	return 0;
}

Test(scope, S12_wait_ends_at_an_error)
{
	cr_assert_eq(run(s12_error, NULL, 0), 0);
}

/* ---- S13 -------------------------------------------------------------------------------- */

static long resident_kib(void)
{
	long total = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int s13_waited(void *arg)
{
	struct scope s;
	long before = 0;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < MANY; i++) {
		if (i == MANY / 10)
			before = resident_kib();
		CHECK(scope_spawn(&s, count, NULL) == 0);
		CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
	}
	if (!CHECKED)
		CHECK(resident_kib() - before < 4096);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == MANY);
	return 0;
}

Test(scope, S13_tasks_that_are_waited_for_keep_no_memory)
{
	ran = 0;
	cr_assert_eq(run(s13_waited, NULL, 0), 0);
}

static long resident_early;

static int s13_next(void *arg)
{
	uintptr_t left = (uintptr_t)arg;

	if (left == MANY * 9 / 10)
		resident_early = resident_kib();
	if (left == 0) {
		if (!CHECKED)
			CHECK(resident_kib() - resident_early < 4096);
		return 0;
	}
	return scope_spawn(shared, s13_next, (void *)(left - 1));
}

static int s13_chain(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	shared = &s;
	CHECK(scope_spawn(&s, s13_next, (void *)(uintptr_t)MANY) == 0);
	return scope_close(&s);
}

Test(scope, S13_a_chain_of_tasks_keeps_no_memory)
{
	cr_assert_eq(run(s13_chain, NULL, 0), 0);
}

static int s13_again(void *arg)
{
	(void)arg;
	if (atomic_fetch_add(&ran, 1) < MANY / 10)
		CHECK(scope_spawn_with(shared, s13_again, NULL, NULL) == 0);
	return 0;
}

/* Members on stacks of their own, whose successors go through the queue. */
static int s13_queued(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	shared = &s;
	CHECK(scope_spawn_with(&s, s13_again, NULL, &concurrent) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == MANY / 10 + 1);
	return 0;
}

Test(scope, S13_a_chain_through_the_queue_ends)
{
	ran = 0;
	cr_assert_eq(run(s13_queued, NULL, 0), 0);
}

/* ---- options and the rest of the documented errors ------------------------------------------ */

static int bad_options(void *arg)
{
	struct scope_options late = {.deadline_ns = -1}, policy = {.on_timeout = 7};
	struct scope_options reserved = {.reserved = {[0] = 1}};
	struct scope_spawn_options flags = {.flags = 1u << 30}, more = {.reserved = {[2] = 1}};
	struct scope s, t;

	(void)arg;
	scope_open(&s);
	CHECK(scope_open_with(&t, &late) == -EINVAL);
	CHECK(scope_open_with(&t, &policy) == -EINVAL);
	CHECK(scope_open_with(&t, &reserved) == -EINVAL);
	CHECK(scope_spawn_with(&s, never_called, NULL, &flags) == -EINVAL);
	CHECK(scope_spawn_with(&s, never_called, NULL, &more) == -EINVAL);
	CHECK(scope_spawn_n(&s, never_called, NULL, SIZE_MAX / 2, 3) == -EINVAL);
	/* Nothing was opened on top, nothing was accepted, no error was recorded. */
	CHECK(scope_spawn_n(&s, never_called, NULL, 8, 0) == 0);
	CHECK(scope_close(&s) == 0);
	return 0;
}

Test(scope, S1_bad_options_change_nothing_einval)
{
	cr_assert_eq(run(bad_options, NULL, 0), 0);
}

static int check_copy(void *arg)
{
	uint64_t *copy = arg;

	CHECK((uintptr_t)copy % _Alignof(max_align_t) == 0);
	scope_yield();
	CHECK(copy[0] == ~copy[1] && copy[0] == ~copy[99]);
	copy[0] = 0; /* its own: nobody else sees this */
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int copies(void *arg)
{
	struct scope_spawn_options options = {.copy_size = sizeof(uint64_t[100])};
	uint64_t value[100];
	struct scope s;
	int i, j;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 200; i++) {
		for (j = 0; j < 100; j++)
			value[j] = j ? ~(uint64_t)i : (uint64_t)i;
		options.flags = i % 4 ? 0 : SCOPE_CONCURRENT;
		if (i % 2)
			CHECK(scope_spawn_copy(&s, check_copy, value, sizeof(value)) == 0);
		else
			CHECK(scope_spawn_with(&s, check_copy, value, &options) == 0);
		memset(value, 0xee, sizeof(value));
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 200);
	return 0;
}

Test(scope, S3_a_copy_belongs_to_its_task)
{
	ran = 0;
	cr_assert_eq(run(copies, NULL, 0), 0);
}

#ifndef SC_DEBUG /* which ends the program */
static int zeroed(void *arg)
{
	struct scope s;

	(void)arg;
	memset(&s, 0, sizeof s);
	CHECK_EQ(scope_spawn(&s, count, NULL), -ESTALE);
	CHECK_EQ(scope_close(&s), -EPERM);
	return 0;
}

Test(scope, S2_zeroed_memory_is_no_scope_estale)
{
	ran = 0;
	must_run(zeroed, NULL);
	cr_assert_eq(ran, 0);
}
#endif
