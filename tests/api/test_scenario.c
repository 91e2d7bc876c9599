/* tests/api/test_scenario.c: what runtimes of this kind broke on, by number: docs/testing.md has
 * the list and the tests of the numbers that are not here.
 */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <malloc.h>
#include <pthread.h>
#include <scope_observe.h>
#include <scope_parallel.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(scenario, .timeout = 100);

static void pause_for(unsigned turns)
{
	volatile unsigned i;

	for (i = 0; i < turns; i++)
		;
}

/* ---- 1: the last child against the parent that leaves ----------------------------------- */

enum { FRAMES = CHECKED ? 2000 : 40000 };

static int ends_late(void *arg)
{
	pause_for(*(unsigned *)arg);
	return 0;
}

/* The frame with the scope and the arguments is overwritten as soon as close returns: who
 * still used it would find rubbish, or spoil the pattern. */
static void __attribute__((noinline)) leave_frame(unsigned turns)
{
	struct {
		struct scope s;
		unsigned turns[4];
	} frame;
	unsigned i;

	scope_open(&frame.s);
	for (i = 0; i < 4; i++) {
		frame.turns[i] = turns * i % 97;
		CHECK_EQ(scope_spawn_with(&frame.s, ends_late, &frame.turns[i],
					  i % 2 ? &concurrent : NULL),
			 0);
	}
	CHECK_EQ(scope_close(&frame.s), 0);
	memset(&frame, 0xa5, sizeof(frame));
	pause_for(turns % 50);
	for (i = 0; i < sizeof(frame); i++)
		CHECK_EQ(((unsigned char *)&frame)[i], 0xa5);
}

static int leaves_frames(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < FRAMES; i++)
		leave_frame(i);
	return 0;
}

Test(scenario, s01_last_child_against_the_parent_that_leaves)
{
	cr_assert_eq(run_flags(leaves_frames, NULL, 4, 0), 0);
}

/* ---- 7: deep nesting on small stacks ---------------------------------------------------- */

enum { DEEP = CHECKED ? 2000 : 100000 };

/* A scope in a task in a scope: each opens and closes its own. */
static int nests(void *arg)
{
	int depth = *(int *)arg, below = depth - 1;
	struct scope s;

	if (depth == 0)
		return 17;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, nests, &below), 0);
	return scope_close(&s);
}

Test(scenario, s07_nested_scopes_on_the_smallest_stacks)
{
	struct scope_config config = {
		.flags = SCOPE_VIRTUAL_CLOCK, .stack_size = 16384, .report = no_report};
	int depth = DEEP;

	cr_assert_eq(run_config(nests, &depth, config), 17);
}

/* ---- 9: thread-locals and malloc after a change of threads ------------------------------ */

static _Thread_local unsigned long of_this_thread;
static atomic_int moved;

static unsigned long __attribute__((noinline)) thread_mark(void)
{
	if (!of_this_thread)
		of_this_thread = (unsigned long)pthread_self();
	return of_this_thread;
}

/* Everything is asked for again after each yield: nothing of the former thread may be left. */
static int moves_about(void *arg)
{
	unsigned long before;
	char *memory;
	int i;

	for (i = 0; i < 400; i++) {
		before = thread_mark();
		memory = malloc(100 + (size_t)i % 1000);
		memset(memory, i, 100);
		errno = i;
		CHECK_EQ(errno, i);
		CHECK_EQ(scope_yield(), 0);
		CHECK(thread_mark() == (unsigned long)pthread_self());
		atomic_fetch_add(&moved, thread_mark() != before);
		errno = -i;
		CHECK_EQ(errno, -i);
		CHECK_EQ(memory[99], (char)i);
		free(memory);
	}
	return count(arg);
}

static int many_move(void *arg)
{
	struct scope s;
	int i;

	scope_open(&s);
	for (i = 0; i < 20; i++)
		CHECK_EQ(scope_spawn_with(&s, moves_about, arg, &concurrent), 0);
	return scope_close(&s);
}

Test(scenario, s09_errno_thread_locals_and_malloc_after_a_move)
{
	int tries;

	for (tries = 0; tries < 2000 && moved < 100; tries++) { /* on a busy machine */
		ran = 0;
		cr_assert_eq(run_flags(many_move, NULL, 4, 0), 0);
		cr_assert_eq(ran, 20);
	}
	cr_assert_gt(moved, 0, "nobody changed threads");
}

/* ---- 15: a shield in a cancelled scope in a deadline ------------------------------------ */

static int cleans_up(void *arg)
{
	CHECK_EQ(scope_sleep_for(50 * SCOPE_MS), 0);
	CHECK(!scope_cancelled());
	return count(arg);
}

static int shield_in_cancel_in_deadline(void *arg)
{
	struct scope_options deadline = {.deadline_ns = scope_now() + 10 * SCOPE_MS};
	struct scope_options shield = {.shield = true};
	struct scope outer, cancelled, clean;

	CHECK_EQ(scope_open_with(&outer, &deadline), 0);
	scope_open(&cancelled);
	scope_cancel(&cancelled);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_open_with(&clean, &shield), 0);
	CHECK_EQ(scope_spawn(&clean, cleans_up, arg), 0);
	CHECK_EQ(scope_spawn_with(&clean, cleans_up, arg, &concurrent), 0);
	CHECK_EQ(cleans_up(arg), 0);
	CHECK_EQ(scope_close(&clean), 0);
	/* The deadline has passed behind the shield: this hit is for the outer one (C12). */
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&cancelled), -ECANCELED);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	return 0;
}

Test(scenario, s15_shield_in_a_cancelled_scope_in_a_deadline)
{
	unsigned workers;

	for (workers = 1; workers <= 4; workers++) {
		ran = 0;
		cr_assert_eq(run(shield_in_cancel_in_deadline, NULL, workers), 0);
		cr_assert_eq(ran, 3);
	}
}

/* ---- 20: start and stop ----------------------------------------------------------------- */

enum { STARTS = CHECKED ? 60 : 1000, WARM = 20 };

/* What the process has; stacks are mappings. */
struct inventory {
	int threads, descriptors, mappings;
};

static struct inventory take_inventory(void)
{
	return (struct inventory){entries("/proc/self/task"), open_files(), mappings()};
}

static int some_work(void *arg)
{
	struct scope_stats stats;
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
		CHECK_EQ(scope_spawn_with(&s, count, NULL, &concurrent), 0);
		CHECK_EQ(scope_spawn_with(&s, count, NULL, &pinned), 0);
	}
	CHECK_EQ(scope_sleep_for(10 * SCOPE_US), 0);
	CHECK_EQ(scope_spawn_n(&s, count, NULL, 0, 20), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_stats_get(&stats), 0);
	CHECK_EQ(stats.timers_live, 0);
	return 0;
}

Test(scenario, s20_start_and_stop_a_thousand_times_leaves_nothing)
{
	struct inventory before = {0}, after;
	int i;

	/* One heap: else the C library gives each thread one that it kept from another. */
	mallopt(M_ARENA_MAX, 1);
	for (i = 0; i < STARTS; i++) {
		if (i == WARM)
			before = take_inventory();
		ran = 0;
		cr_assert_eq(run_flags(some_work, NULL, (unsigned)i % 5, 0), 0);
		cr_assert_eq(ran, 80);
	}
	after = take_inventory();
	cr_expect_eq(after.threads, before.threads);
	cr_expect_eq(after.descriptors, before.descriptors);
	if (!CHECKED)
		cr_expect_leq(after.mappings, before.mappings + 2, "%d mappings became %d",
			      before.mappings, after.mappings);
}

/* A signal at any time of a run that starts, ends, and starts again: it is never lost. */
static int short_main(void *arg)
{
	(void)arg;
	scope_sleep_for(100 * SCOPE_US);
	return 0;
}

static void runs_until_interrupted(void)
{
	int signal = 0, runs;

	for (runs = 0; signal == 0 && runs < 1000000; runs++) {
		struct scope_config config = {.workers = 2, .out_signal = &signal};

		scope_run(short_main, NULL, &config);
	}
	_exit(signal == SIGINT ? 42 : 43);
}

Test(scenario, s20_a_signal_during_start_and_close_is_seen)
{
	enum { TIMES = CHECKED ? 15 : 60 };
	struct timespec delay = {0, 0};
	int i, status;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
	cr_skip("a signal that is kept for a thread that ends is lost there");
#endif
#endif
	for (i = 0; i < TIMES; i++) {
		pid_t pid = fork();

		cr_assert_geq(pid, 0);
		if (pid == 0) {
			sigset_t all;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sigfillset(&all);
			sigprocmask(SIG_UNBLOCK, &all, NULL);
			signal(SIGINT, SIG_DFL);
			alarm(60);
			runs_until_interrupted();
		}
		delay.tv_nsec = 2000000 + i * 37000;
		nanosleep(&delay, NULL);
		kill(pid, SIGINT);
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		/* Between two runs the program's own disposition is due: that dies of it. */
		cr_assert((WIFEXITED(status) && WEXITSTATUS(status) == 42) ||
				  (WIFSIGNALED(status) && WTERMSIG(status) == SIGINT),
			  "try %d: status %x", i, (unsigned)status);
	}
}

/* ---- stopped processes ------------------------------------------------------------------ */

/* SIGSTOP for longer than kill_after: the clock goes on, so the sleep is over at once, but
 * nobody is blamed for time in which nothing could run. */
static int sleeps_while_stopped(void *arg)
{
	int64_t start = scope_now();

	if (write(*(int *)arg, "r", 1) != 1)
		return 1;
	if (scope_sleep_until(SCOPE_NEVER) != -ECANCELED)
		return 2;
	/* Interrupted now, and stopped while it tidies up behind a shield. */
	{
		struct scope_options options = {.shield = true};
		struct scope s;

		scope_open_with(&s, &options);
		if (write(*(int *)arg, "s", 1) != 1 || scope_sleep_for(100 * SCOPE_MS) != 0)
			return 3;
		if (scope_close(&s) != 0)
			return 4;
	}
	return scope_now() - start >= 100 * SCOPE_MS ? 0 : 5;
}

static int await(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 1;
}

Test(scenario, s20_a_stopped_process_is_not_taken_for_a_stuck_one)
{
	struct timespec second = {1, 0};
	int fd[2], status, rc, signal_seen = 0;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct scope_config config = {
			.workers = 2, .kill_after_ns = 500 * SCOPE_MS, .out_signal = &signal_seen};
		sigset_t all;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(SIGINT, SIG_DFL);
		alarm(60);
		rc = scope_run(sleeps_while_stopped, &fd[1], &config);
		_exit(rc ? rc : signal_seen == SIGINT ? 42 : 43);
	}
	cr_assert(await(fd[0]));
	kill(pid, SIGINT);
	cr_assert(await(fd[0]));
	kill(pid, SIGSTOP);
	nanosleep(&second, NULL);
	kill(pid, SIGCONT);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", (unsigned)status);
}
