/* tests/stress/test_scenario.c: the scenarios that take long: STRESS_SECONDS each, see
 * docs/testing.md.
 */
#define _GNU_SOURCE
#include "api/task_check.h"

#include <scope_observe.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(scenario, .timeout = 4000);

static int64_t budget_ns(void)
{
	const char *text = getenv("STRESS_SECONDS");

	return (text && atoi(text) > 0 ? atoi(text) : 5) * SCOPE_SEC;
}

static void pause_for(unsigned turns)
{
	volatile unsigned i;

	for (i = 0; i < turns; i++)
		;
}

/* ---- 4: lost park ----------------------------------------------------------------------- */

enum { PARKS = 10000000 };

static int ends_after(void *arg)
{
	pause_for(*(unsigned *)arg);
	return 0;
}

/* 1: enough parks, or in a slow build enough time. */
static int parked_enough(int64_t end)
{
	struct scope_stats stats = {0};

	scope_stats_get(&stats);
	return stats.parks >= PARKS || (CHECKED && stats.parks > 100 && real_now() >= end);
}

/* One parent parks for one child; nothing else is there.  A park that nobody ends would leave
 * all workers asleep, on a clock without timers: a deadlock at once, and no tick hides it. */
static int parks_and_wakes(void *arg)
{
	int64_t end = real_now() + budget_ns();
	unsigned round, turns = 0;
	struct scope s;
	int rc;

	(void)arg;
	for (round = 0; round % 1000 || !parked_enough(end); round++) {
		turns = (turns + 7) % 400;
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, ends_after, &turns, &concurrent), 0);
		pause_for((turns * 13) % 300);
		rc = round % 3 ? 0 : scope_wait_until(&s, SCOPE_NEVER);
		rc = scope_close(&s) ?: rc;
		if (rc)
			return rc;
	}
	return 0;
}

Test(scenario, s04_lost_park)
{
	struct scope_config config = {
		.workers = 2, .flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK};

	cr_assert_eq(run_config(parks_and_wakes, NULL, config), 0);
}

/* ---- 11: a timer fires while it is cancelled elsewhere ---------------------------------- */

static int sleeps_a_little(void *arg)
{
	int64_t start = scope_now(), duration = *(int64_t *)arg;
	int rc = scope_sleep_for(duration);

	CHECK(rc == -ECANCELED || (rc == 0 && scope_now() - start >= duration));
	return count(arg);
}

static int cancels_later(void *arg)
{
	pause_for(3000);
	scope_cancel(arg);
	return 0;
}

static int timers_against_cancels(void *arg)
{
	enum { SLEEPERS = 16 };
	int64_t end = real_now() + budget_ns(), duration[SLEEPERS];
	struct scope_options options = {.on_timeout = SCOPE_MOVE_ON};
	unsigned round, i;
	struct scope s;

	(void)arg;
	for (round = 0; real_now() < end; round++) {
		options.deadline_ns = scope_now() + 30 * SCOPE_US + round % 40 * SCOPE_US;
		ran = 0;
		CHECK_EQ(scope_open_with(&s, &options), 0);
		for (i = 0; i < SLEEPERS; i++) {
			duration[i] = (20 + (round * 7 + i * 11) % 60) * SCOPE_US;
			scope_spawn_with(&s, sleeps_a_little, &duration[i], &concurrent);
		}
		/* The canceller may be refused: then the deadline was first. */
		scope_spawn_with(&s, cancels_later, &s, &concurrent);
		scope_sleep_for(10 * SCOPE_US);
		CHECK_EQ(scope_close(&s), 0);
	}
	return 0;
}

static int no_timer_left(void *arg)
{
	struct scope_stats stats;
	int rc = timers_against_cancels(arg);

	CHECK_EQ(scope_stats_get(&stats), 0);
	CHECK_EQ(stats.timers_live, 0);
	return rc;
}

Test(scenario, s11_timers_fire_while_they_are_cancelled)
{
	cr_assert_eq(run_flags(no_timer_left, NULL, 4, 0), 0);
}

/* ---- 19: a stalled worker --------------------------------------------------------------- */

static atomic_int stalled, woken_on_time;

/* Sleeps for a hundredth of the stall again and again, while a worker does nothing for it. */
static int keeps_time(void *arg)
{
	int64_t step = *(int64_t *)arg / 100, late;
	int i;

	while (!stalled)
		scope_sleep_for(SCOPE_MS);
	for (i = 0; i < 50; i++) {
		int64_t due = scope_now() + step;

		CHECK_EQ(scope_sleep_until(due), 0);
		late = scope_now() - due;
		atomic_fetch_add(&woken_on_time, late < *(int64_t *)arg / 10);
	}
	return 0;
}

/* Keeps its thread and calls nothing: no checkpoint, no spawn.  Its deque is full of tasks. */
static int stalls(void *arg)
{
	enum { TASKS = 10000 };
	int64_t duration = *(int64_t *)arg, start;
	struct scope s;
	int i, in_time;

	scope_open(&s);
	for (i = 0; i < TASKS; i++)
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	stalled = 1;
	start = real_now();
	while (real_now() - start < duration)
		;
	in_time = ran;
	CHECK_EQ(in_time, TASKS);
	return scope_close(&s);
}

static int stall_beside_others(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, keeps_time, arg, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, stalls, arg, &concurrent), 0);
	return scope_close(&s);
}

static int64_t stall_ns(void)
{
	return budget_ns() >= 10 * SCOPE_SEC ? 10 * SCOPE_SEC : SCOPE_SEC;
}

Test(scenario, s19_others_take_the_work_of_a_stalled_worker)
{
	int64_t duration = stall_ns();

	cr_assert_eq(run_flags(stall_beside_others, &duration, 3, 0), 0);
	/* A busy machine delays a thread now and then; the stall would delay all of them. */
	cr_assert_gt(woken_on_time, 40, "%d of 50 sleeps ended in time", woken_on_time);
}

static int told_fd;

static int stalls_in_a_run(void *arg)
{
	int64_t start = real_now();

	if (write(told_fd, "r", 1) != 1)
		return 1;
	while (real_now() - start < *(int64_t *)arg)
		;
	return 0;
}

static int sleeps_until_interrupted(void *arg)
{
	int64_t *seen_at = arg;

	if (scope_sleep_until(SCOPE_NEVER) == -ECANCELED)
		*seen_at = real_now();
	return 0;
}

static int interrupted_beside_a_stall(void *arg)
{
	int64_t seen_at = 0, start = real_now(), duration = *(int64_t *)arg;
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, sleeps_until_interrupted, &seen_at, &concurrent);
	scope_spawn_with(&s, stalls_in_a_run, arg, &concurrent);
	scope_close(&s);
	/* The sleeper heard of it while the other one still stalled. */
	return seen_at && seen_at - start < duration * 3 / 4 ? 42 : 43;
}

Test(scenario, s19_an_interrupt_reaches_tasks_beside_a_stalled_worker)
{
	int64_t duration = stall_ns();
	int fd[2], status;
	char byte;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int out_signal = 0;
		struct scope_config config = {.workers = 2,
					      .out_signal = &out_signal,
					      .kill_after_ns = 60 * SCOPE_SEC};
		sigset_t all;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(SIGINT, SIG_DFL);
		told_fd = fd[1];
		_exit(scope_run(interrupted_beside_a_stall, &duration, &config));
	}
	cr_assert_eq(read(fd[0], &byte, 1), 1);
	kill(pid, SIGINT);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", (unsigned)status);
}
