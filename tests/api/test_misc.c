/* tests/api/test_misc.c: scope_run by itself, threads under tasks (L2), counters. */
#define _GNU_SOURCE
#include "task_check.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <scope_observe.h>

TestSuite(run, .timeout = 60);
TestSuite(misc, .timeout = 60);

/* ---- scope_run -------------------------------------------------------------------------- */

static int returns_arg(void *arg)
{
	return *(int *)arg;
}

Test(run, E1_returns_the_roots_result)
{
	static const int results[] = {0, -EIO, 17, -ECANCELED, -EBUSY};
	struct scope_config config = {.report = no_report};
	int signal = 99;
	size_t i;

	config.out_signal = &signal;
	for (i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		int result = results[i];

		signal = 99;
		cr_assert_eq(scope_run(returns_arg, &result, &config), results[i]);
		cr_assert_eq(signal, 0);
	}
}

Test(run, S2_without_a_configuration)
{
	ran = 0;
	cr_assert_eq(scope_run(count, NULL, NULL), 0);
	cr_assert_eq(ran, 1);
}

static int busy_root(void *arg)
{
	struct scope_config config = {.workers = 1};

	(void)arg;
	CHECK(scope_run(never_called, NULL, NULL) == -EBUSY);
	CHECK(scope_run(never_called, NULL, &config) == -EBUSY);
	return 0;
}

static void *busy_thread(void *arg)
{
	busy_root(arg);
	return NULL;
}

static int busy_beside(void *arg)
{
	pthread_t thread;

	busy_root(arg);
	CHECK(pthread_create(&thread, NULL, busy_thread, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}

Test(run, S2_inside_or_beside_another_run_ebusy)
{
	cr_assert_eq(run_flags(busy_beside, NULL, 0, 0), 0);
}

Test(run, S2_bad_configuration_einval)
{
	struct scope_config bad[] = {
		{.flags = 1u << 31},
		{.workers = 1000000},
		{.stack_size = 1000},
		{.stack_size = SIZE_MAX / 2},
		{.grace_ns = -1},
		{.orphan_grace_ns = -1},
		{.watchdog_ns = -1},
		{.kill_after_ns = -1},
		{.seed = 1, .workers = 2},
		{.reserved = {1}},
		{.reserved = {[6] = 1}},
	};
	int signal = 99;
	size_t i;

	checks_begin();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		bad[i].out_signal = &signal;
		signal = 99;
		cr_expect_eq(scope_run(never_called, NULL, &bad[i]), -EINVAL, "case %zu", i);
		cr_expect_eq(signal, 0, "out_signal is always set");
	}
	checks_end();
	/* Nothing of it stays. */
	cr_assert_eq(scope_run(count, NULL, NULL), 0);
}

static int sleeps_for_ever(void *arg)
{
	(void)arg;
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	return -ECANCELED;
}

static int parked_for_ever(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	return scope_close(&s);
}

Test(run, Z3_all_parked_for_ever_edeadlk)
{
	cr_assert_eq(run_flags(parked_for_ever, NULL, 0, SCOPE_DETECT_DEADLOCK), -EDEADLK);
	/* And once more: the verdict does not stick. */
	ran = 0;
	cr_assert_eq(run_flags(count, NULL, 0, SCOPE_DETECT_DEADLOCK), 0);
}

static int number_of_workers(void *arg)
{
	struct scope_stats stats;

	(void)arg;
	CHECK(scope_stats_get(&stats) == 0);
	return (int)stats.workers;
}

Test(run, S2_workers_come_from_config_or_environment)
{
	const char *text = getenv("SCOPE_WORKERS");

	cr_assert_eq(run_flags(number_of_workers, NULL, 3, 0), 3);
	if (text && atoi(text) > 0)
		cr_assert_eq(run_flags(number_of_workers, NULL, 0, 0), atoi(text));
	cr_assert_eq(setenv("SCOPE_WORKERS", "5", 1), 0);
	cr_assert_eq(run_flags(number_of_workers, NULL, 0, 0), 5);
	cr_assert_eq(setenv("SCOPE_WORKERS", "0", 1), 0);
	cr_assert_gt(run_flags(number_of_workers, NULL, 0, 0), 0);
}

static int sees_thread(void *arg)
{
	return syscall(SYS_gettid) != *(long *)arg;
}

Test(run, S2_the_calling_thread_is_a_worker)
{
	struct scope_config config = {.workers = 1};
	long self = syscall(SYS_gettid);

	cr_assert_eq(scope_run(sees_thread, &self, &config), 0);
}

static int uses_stack(void *arg)
{
	volatile char frame[1 << 20];
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(frame); i += 1024)
		frame[i] = 1;
	return frame[1024] - 1;
}

static int stack_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, uses_stack, NULL, &concurrent) == 0);
	CHECK(scope_close(&s) == 0);
	return uses_stack(NULL); /* main() had 8 MiB, or what was given here */
}

Test(run, S2_stack_size_is_for_every_task)
{
	struct scope_config config = {.stack_size = 2 << 20};

	cr_assert_eq(run_config(stack_root, NULL, config), 0);
}

/* ---- L2 --------------------------------------------------------------------------------- */

static atomic_int moves;
static _Atomic long home;

static void compute_a_little(void)
{
	volatile int i;

	for (i = 0; i < 3000; i++)
		;
}

/* The old thread's errno holds a value that no call here sets, so an address that was kept
 * across the checkpoint shows at once. */
static int errno_task(void *arg)
{
	int64_t end = scope_now() + 5 * SCOPE_SEC;
	int i;

	(void)arg;
	for (i = 0; atomic_load(&moves) < 200 && scope_now() < end; i++) {
		long before = syscall(SYS_gettid);

		errno = 12345;
		CHECK((i % 2 ? scope_sleep_for(10 * SCOPE_US) : scope_yield()) == 0);
		CHECK(close(-1) == -1);
		CHECK(errno == EBADF);
		CHECK(errno == *scope_errno_location());
		errno = 0;
		CHECK(*scope_errno_location() == 0);
		CHECK(unlink("/proc/no/such/file") == -1 && errno == ENOENT);
		if (syscall(SYS_gettid) != before)
			atomic_fetch_add(&moves, 1);
		compute_a_little();
	}
	return 0;
}

static int errno_root(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 5; i++)
		CHECK(scope_spawn(&s, errno_task, NULL) == 0);
	return scope_close(&s);
}

Test(misc, L2_errno_is_that_of_the_new_thread)
{
	moves = 0;
	cr_assert_eq(run_flags(errno_root, NULL, 2, 0), 0);
	cr_assert(moves > 0, "no task changed its thread in five seconds");
}

static atomic_int pinned_done;

static int stays(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 200; i++) {
		CHECK(syscall(SYS_gettid) == home);
		CHECK((i % 4 ? scope_yield() : scope_sleep_for(SCOPE_US)) == 0);
	}
	/* Its children may go anywhere, it comes back. */
	for (i = 0; i < 20; i++) {
		scope_open(&s);
		CHECK(scope_spawn(&s, count, NULL) == 0);
		CHECK(scope_spawn_with(&s, count, NULL, &concurrent) == 0);
		if (i % 2)
			CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
		CHECK(scope_close(&s) == 0);
		CHECK(syscall(SYS_gettid) == home);
	}
	atomic_fetch_add(&pinned_done, 1);
	return 0;
}

static int wanders(void *arg)
{
	(void)arg;
	while (atomic_load(&pinned_done) < 5) {
		CHECK(scope_yield() == 0);
		compute_a_little();
	}
	return 0;
}

static int pinned_root(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	home = syscall(SYS_gettid);
	for (i = 0; i < 5; i++)
		CHECK(scope_spawn_with(&s, stays, NULL, &pinned) == 0);
	for (i = 0; i < 5; i++)
		CHECK(scope_spawn_with(&s, wanders, NULL, &concurrent) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 200 && pinned_done == 5);
	return 0;
}

Test(misc, L2_a_pinned_task_stays_on_its_worker)
{
	ran = pinned_done = 0;
	cr_assert_eq(run_flags(pinned_root, NULL, 0, 0), 0);
	ran = pinned_done = 0;
	cr_assert_eq(run_flags(pinned_root, NULL, 3, 0), 0);
}

/* ---- O2 --------------------------------------------------------------------------------- */

static int stats_root(void *arg)
{
	struct scope_stats before, after, sleeping;
	struct scope s;
	int i;

	(void)arg;
	CHECK(scope_stats_get(NULL) == -EINVAL);
	CHECK(scope_stats_get(&before) == 0);
	CHECK(before.workers == 1 && before.workers_busy == 1);
	CHECK(before.tasks_stolen == 0 && before.tasks_started == 0);
	CHECK(before.timers_live == 0);
	/* Inlined: no stack, no start. */
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_stats_get(&after) == 0);
	CHECK(after.tasks_started == before.tasks_started && after.parks == before.parks);
	CHECK(after.stacks_live == before.stacks_live);
	scope_open(&s);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	CHECK(scope_sleep_for(1) == 0);
	CHECK(scope_stats_get(&sleeping) == 0);
	/* The reserve of the worker may be among those that were there before. */
	CHECK(sleeping.stacks_live >= before.stacks_live + 9);
	CHECK(sleeping.parks >= before.parks + 11);
	scope_cancel(&s);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_stats_get(&after) == 0);
	CHECK(after.tasks_started == before.tasks_started + 10);
	CHECK(after.stacks_live == before.stacks_live && after.timers_live == 0);
	return 0;
}

Test(misc, O2_counters_of_the_run_einval)
{
	ran = 0;
	cr_assert_eq(run_flags(stats_root, NULL, 1, SCOPE_VIRTUAL_CLOCK), 0);
	/* They restart with each run. */
	cr_assert_eq(run_flags(stats_root, NULL, 1, SCOPE_VIRTUAL_CLOCK), 0);
}

static int fails_by_three(void *arg)
{
	static int code = -EIO;
	struct scope_options race = {.policy = SCOPE_RACE}, any = {.policy = SCOPE_ANY};
	struct scope_options all = {.policy = SCOPE_AWAIT_ALL};
	struct scope_stats stats;
	struct scope s;

	(void)arg;
	/* The error of a task and of the body; the one of who lost, and who was cancelled. */
	CHECK(scope_open_with(&s, &all) == 0);
	CHECK(scope_fail(&s, -EDOM, NULL) == -EDOM);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	CHECK(scope_close(&s) == -EDOM);
	CHECK(scope_open_with(&s, &race) == 0);
	CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	CHECK(scope_close(&s) == -EIO);
	CHECK(scope_stats_get(&stats) == 0);
	CHECK(stats.tasks_failed == 3 && stats.tasks_cancelled == 1);
	CHECK(scope_open_with(&s, &any) == 0);
	CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	CHECK(scope_sleep_for(1) == 0);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_stats_get(&stats) == 0);
	CHECK(stats.tasks_failed == 3 && stats.tasks_cancelled == 2);
	return 0;
}

Test(misc, O2_errors_and_cancels_are_counted)
{
	ran = 0;
	cr_assert_eq(run_flags(fails_by_three, NULL, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

static int stats_of_workers(void *arg)
{
	struct scope_stats sum, one;
	uint64_t started = 0, parks = 0, cancelled = 0;
	struct scope s;
	unsigned i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 20; i++)
		CHECK(scope_spawn(&s, sleeps_for_ever, NULL) == 0);
	CHECK(scope_sleep_for(1) == 0);
	scope_cancel(&s);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_stats_get(&sum) == 0);
	CHECK(sum.tasks_cancelled == 20);
	for (i = 0; i < sum.workers; i++) {
		CHECK(scope_worker_stats_get(i, &one) == 0);
		CHECK(one.workers == 0 && one.stacks_live == 0);
		started += one.tasks_started;
		parks += one.parks;
		cancelled += one.tasks_cancelled;
	}
	CHECK(started == sum.tasks_started && cancelled == sum.tasks_cancelled);
	CHECK(parks == sum.parks);
	CHECK(scope_worker_stats_get((unsigned)sum.workers, &one) == -EINVAL);
	CHECK(scope_worker_stats_get(0, NULL) == -EINVAL);
	return 0;
}

Test(misc, O2_counters_of_each_worker_einval)
{
	cr_assert_eq(run_flags(stats_of_workers, NULL, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

static int timers_root(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_SEC};
	struct scope_stats stats;
	struct scope s;

	(void)arg;
	CHECK(scope_open_with(&s, &options) == 0);
	CHECK(scope_sleep_for(1) == 0);
	CHECK(scope_stats_get(&stats) == 0);
	CHECK(stats.timers_live == 1);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_stats_get(&stats) == 0);
	CHECK(stats.timers_live == 0);
	return 0;
}

Test(misc, O2_a_closed_scope_leaves_no_timer)
{
	cr_assert_eq(run_flags(timers_root, NULL, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

Test(misc, O2_stats_outside_a_run_enotconn)
{
	struct scope_stats stats = {.workers = 77};

	cr_assert_eq(scope_stats_get(&stats), -ENOTCONN);
	cr_assert_eq(scope_worker_stats_get(0, &stats), -ENOTCONN);
	cr_assert_eq(run_flags(count, NULL, 0, 0), 0);
	cr_assert_eq(scope_stats_get(&stats), -ENOTCONN);
	cr_assert_eq(stats.workers, 77);
}

static void *stats_thread(void *arg)
{
	struct scope_stats stats = {.workers = 77};

	(void)arg;
	CHECK(scope_stats_get(&stats) == -ENOTCONN);
	CHECK(stats.workers == 77);
	return NULL;
}

static int stats_from_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	CHECK(pthread_create(&thread, NULL, stats_thread, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}

Test(misc, S2_stats_from_a_foreign_thread_enotconn)
{
	cr_assert_eq(run_flags(stats_from_thread, NULL, 2, 0), 0);
}

/* ---- scope_error_print ------------------------------------------------------------------ */

static int printed(void *arg)
{
	const struct scope_error *error;
	int code = -EIO;
	struct scope s;
	FILE *full;

	(void)arg;
	CHECK(scope_error_print(NULL, stderr) == -EINVAL);
	scope_open(&s);
	CHECK(scope_spawn(&s, returns_arg, &code) == 0);
	CHECK(scope_close(&s) == -EIO);
	error = scope_last_error();
	CHECK(error != NULL);
	CHECK(scope_error_print(error, NULL) == -EINVAL);
	full = fopen("/dev/full", "w");
	CHECK(full != NULL);
	CHECK(scope_error_print(error, full) == -EIO);
	fclose(full);
	return 0;
}

Test(misc, E4_error_print_without_a_record_einval)
{
	cr_assert_eq(run_flags(printed, NULL, 0, 0), 0);
}

Test(misc, E4_error_print_to_a_full_device_eio)
{
	cr_assert_eq(run_flags(printed, NULL, 0, 0), 0);
}
