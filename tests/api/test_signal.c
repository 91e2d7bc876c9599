/* tests/api/test_signal.c: signals as streams: rule I4, in processes of their own. */
#define _GNU_SOURCE
#include "child.h"

#include <pthread.h>
#include <scope_signal.h>
#include <stdatomic.h>

TestSuite(stream, .timeout = 60);

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

/* Runs a root in a process of its own, under the virtual clock or not; its result is 0. */
static scope_task_fn *root_task;
static unsigned root_flags;

static void root_program(int unused)
{
	struct scope_config config = {.flags = root_flags, .out_signal = &seen->signal};

	(void)unused;
	seen->rc = scope_run(root_task, NULL, &config);
	seen->returned = 1;
}

static void run_alone(scope_task_fn *root, unsigned flags)
{
	struct program p;

	root_task = root;
	root_flags = flags;
	start(&p, root_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, 0, "the run gave %d: %s", p.seen->rc, p.text);
	cr_assert_eq(p.seen->signal, 0);
}

static void count_signal(int signal)
{
	(void)signal;
	seen->handled++;
}

/* ---- reading ------------------------------------------------------------------------- */

static int reads_each(void *arg)
{
	struct scope_signal *stream, *other;
	int i;

	(void)arg;
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	MUST(scope_signal_open(SIGRTMIN + 5, &other) == 0);
	for (i = 0; i < 100; i++) {
		kill(getpid(), SIGUSR1);
		MUST(scope_signal_next(stream) == 0);
	}
	/* These are queued, and kept until they are read. */
	for (i = 0; i < 10; i++)
		kill(getpid(), SIGRTMIN + 5);
	for (i = 0; i < 10; i++)
		MUST(scope_signal_next(other) == 0);
	kill(getpid(), SIGRTMIN + 5);
	scope_signal_close(other);
	scope_signal_close(stream);
	return 0;
}

Test(stream, I4_next_gives_each_signal)
{
	run_alone(reads_each, 0);
	run_alone(reads_each, SCOPE_NO_SIGNALS);
}

static void *send_later(void *arg)
{
	pause_ms(20);
	kill(getpid(), SIGUSR1);
	return arg;
}

static int waits_for_one(void *arg)
{
	struct scope_signal *stream;
	sigset_t all, old;
	pthread_t thread;

	(void)arg;
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	MUST(pthread_create(&thread, NULL, send_later, NULL) == 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	MUST(scope_signal_next(stream) == 0);
	pthread_join(thread, NULL);
	scope_signal_close(stream);
	return 0;
}

Test(stream, I4_a_signal_wakes_who_waits)
{
	run_alone(waits_for_one, 0);
}

Test(stream, Z3_an_open_stream_is_no_deadlock)
{
	run_alone(waits_for_one, SCOPE_DETECT_DEADLOCK);
	run_alone(waits_for_one, SCOPE_DETECT_DEADLOCK | SCOPE_VIRTUAL_CLOCK);
}

static int closes_and_sleeps(void *arg)
{
	struct scope_signal *stream;

	(void)arg;
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	scope_signal_close(stream);
	return scope_sleep_until(SCOPE_NEVER) == -ECANCELED ? 0 : -EIO;
}

static void deadlock_program(int unused)
{
	struct scope_config config = {.flags = SCOPE_DETECT_DEADLOCK};

	(void)unused;
	seen->rc = scope_run(closes_and_sleeps, NULL, &config);
	seen->returned = 1;
}

Test(stream, Z3_a_closed_stream_hides_no_deadlock)
{
	struct program p;

	start(&p, deadlock_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, -EDEADLK);
}

/* The program itself blocks the signal, in all of its threads. */
static int reads_what_is_blocked(void *arg)
{
	struct scope_signal *stream;
	int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		MUST(scope_signal_open(SIGHUP, &stream) == 0);
		kill(getpid(), SIGHUP);
		MUST(scope_signal_next(stream) == 0);
		scope_signal_close(stream);
		/* As before: it waits for somebody to unblock it.  The next stream gets it. */
		kill(getpid(), SIGHUP);
		MUST(scope_signal_open(SIGHUP, &stream) == 0);
		MUST(scope_signal_next(stream) == 0);
		scope_signal_close(stream);
	}
	kill(getpid(), SIGHUP);
	return 0;
}

static void blocked_program(int unused)
{
	sigset_t set, pending;

	signal(SIGHUP, count_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	root_task = reads_what_is_blocked;
	root_program(unused);
	MUST(seen->handled == 0);
	sigpending(&pending);
	MUST(sigismember(&pending, SIGHUP) == 1);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	MUST(seen->handled == 1);
}

Test(stream, I4_a_signal_that_the_program_blocks_is_let_in)
{
	struct program p;

	start(&p, blocked_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, 0);
}

/* ---- interrupts ---------------------------------------------------------------------- */

static int takes_interrupts(void *arg)
{
	struct scope_signal *stream;
	int i;

	(void)arg;
	MUST(scope_signal_open(SIGINT, &stream) == 0);
	for (i = 0; i < 5; i++) {
		kill(getpid(), SIGINT);
		MUST(scope_signal_next(stream) == 0);
	}
	MUST(scope_checkpoint() == 0);
	scope_signal_close(stream);
	return 0;
}

Test(stream, I4_a_stream_takes_interrupts_from_the_run)
{
	run_alone(takes_interrupts, 0);
}

static int interrupted_afterwards(void *arg)
{
	takes_interrupts(arg);
	kill(getpid(), SIGINT);
	seen->told = scope_sleep_until(SCOPE_NEVER);
	return 0;
}

static void interrupted_program(int unused)
{
	(void)unused;
	run_seeing(interrupted_afterwards, NULL);
}

Test(stream, I4_closing_gives_interrupts_back_to_the_run)
{
	struct program p;

	start(&p, interrupted_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->signal, SIGINT);
}

/* ---- closing ------------------------------------------------------------------------- */

static int restores(void *arg)
{
	struct scope_signal *stream;

	(void)arg;
	MUST(scope_signal_open(SIGUSR2, &stream) == 0);
	kill(getpid(), SIGUSR2);
	MUST(scope_signal_next(stream) == 0);
	MUST(seen->handled == 0);
	scope_signal_close(stream);
	raise(SIGUSR2); /* to this thread, which may be one that blocks everything */
	return 0;
}

static void restoring_program(int unused)
{
	struct scope_config config = {.workers = 1};
	struct sigaction action = {.sa_handler = count_signal}, now;

	(void)unused;
	sigaction(SIGUSR2, &action, NULL);
	seen->rc = scope_run(restores, NULL, &config);
	seen->returned = 1;
	MUST(seen->handled == 1);
	sigaction(SIGUSR2, NULL, &now);
	MUST(now.sa_handler == count_signal);
}

Test(stream, I4_closing_restores_the_old_disposition)
{
	struct program p;

	start(&p, restoring_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, 0);
}

static int leaves_streams_open(void *arg)
{
	struct scope_signal *stream;

	(void)arg;
	MUST(scope_signal_open(SIGINT, &stream) == 0);
	MUST(scope_signal_open(SIGUSR2, &stream) == 0);
	raise(SIGUSR2); /* to this thread: else another may take it, and be late */
	return 0;
}

static void leaving_program(int unused)
{
	struct sigaction now;
	int i;

	(void)unused;
	signal(SIGUSR2, count_signal);
	for (i = 0; i < 10; i++) {
		run_seeing(leaves_streams_open, NULL);
		MUST(seen->rc == 0 && seen->signal == 0);
	}
	MUST(seen->handled == 0);
	sigaction(SIGUSR2, NULL, &now);
	MUST(now.sa_handler == count_signal);
	sigaction(SIGINT, NULL, &now);
	MUST(now.sa_handler == SIG_DFL);
}

Test(stream, I4_a_stream_left_open_ends_with_the_run)
{
	struct program p;

	start(&p, leaving_program, 0);
	expect_exit(&p);
}

/* ---- errors -------------------------------------------------------------------------- */

static struct scope_signal *shared; /* in the program */
static atomic_int told;

static int read_one(void *arg)
{
	(void)arg;
	told = scope_signal_next(shared);
	return 0;
}

/* What a task gets that waits for a signal that does not come, when `end` is called. */
static void waits_in_vain(void (*end)(struct scope *s), int want)
{
	struct scope s;

	MUST(scope_signal_open(SIGUSR1, &shared) == 0);
	scope_open(&s);
	told = 1;
	MUST(scope_spawn_with(&s, read_one, NULL, &concurrent) == 0);
	MUST(scope_sleep_for(5 * SCOPE_MS) == 0);
	end(&s);
	MUST(scope_close(&s) == 0);
	MUST(told == want);
}

static void end_by_close(struct scope *s)
{
	(void)s;
	scope_signal_close(shared);
}

static void end_by_cancel(struct scope *s)
{
	scope_cancel(s);
}

static void end_by_shutdown(struct scope *s)
{
	scope_shutdown(s, SCOPE_NEVER);
}

static int waits_in_vain_three_times(void *arg)
{
	(void)arg;
	waits_in_vain(end_by_close, -EBADF);
	waits_in_vain(end_by_cancel, -ECANCELED);
	kill(getpid(), SIGUSR1);
	MUST(scope_signal_next(shared) == 0); /* nothing was taken */
	scope_signal_close(shared);
	waits_in_vain(end_by_shutdown, -ESHUTDOWN);
	MUST(scope_checkpoint() == 0);
	MUST(scope_soft_end() == -EPERM);
	scope_signal_close(shared);
	return 0;
}

Test(stream, I4_next_of_a_closed_stream_ebadf)
{
	run_alone(waits_in_vain_three_times, 0);
}

Test(stream, I4_next_in_a_cancelled_place_ecanceled)
{
	run_alone(waits_in_vain_three_times, SCOPE_VIRTUAL_CLOCK);
}

Test(stream, G2_next_is_soft_eshutdown)
{
	run_alone(waits_in_vain_three_times, SCOPE_DETECT_DEADLOCK | SCOPE_VIRTUAL_CLOCK);
}

static int reads_in_a_stopped_place(void *arg)
{
	struct scope_signal *stream;
	struct scope s;
	int i;

	(void)arg;
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	kill(getpid(), SIGUSR1);
	scope_open(&s);
	scope_shutdown(&s, SCOPE_NEVER);
	for (i = 0; i < 31; i++)
		MUST(scope_soft_begin() == 0);
	MUST(scope_signal_next(stream) == -ESHUTDOWN);
	for (i = 0; i < 31; i++)
		MUST(scope_soft_end() == 0);
	MUST(scope_signal_next(stream) == -ESHUTDOWN);
	scope_cancel(&s);
	MUST(scope_signal_next(stream) == -ECANCELED);
	MUST(scope_close(&s) == 0);
	MUST(scope_signal_next(stream) == 0);
	scope_signal_close(stream);
	return 0;
}

Test(stream, G2_next_in_a_stopped_place_takes_nothing_eshutdown)
{
	run_alone(reads_in_a_stopped_place, 0);
}

static int opens_twice(void *arg)
{
	struct scope_signal *stream, *second = NULL;
	struct scope s;

	(void)arg;
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	MUST(scope_signal_open(SIGUSR1, &second) == -EBUSY);
	MUST(second == NULL);
	shared = stream;
	scope_open(&s);
	MUST(scope_spawn_with(&s, read_one, NULL, &concurrent) == 0);
	MUST(scope_sleep_for(5 * SCOPE_MS) == 0);
	MUST(scope_signal_next(stream) == -EBUSY);
	kill(getpid(), SIGUSR1);
	MUST(scope_close(&s) == 0);
	MUST(told == 0);
	scope_signal_close(stream);
	MUST(scope_signal_open(SIGUSR1, &stream) == 0);
	scope_signal_close(stream);
	return 0;
}

Test(stream, I4_open_or_next_by_a_second_receiver_ebusy)
{
	run_alone(opens_twice, SCOPE_VIRTUAL_CLOCK);
}

static int opens_wrong(void *arg)
{
	static const int wrong[] = {0, -1, 65, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE,
				    SIGILL, SIGTRAP, SIGSYS, SIGABRT, 32, 33};
	struct scope_signal *stream = NULL;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		MUST(scope_signal_open(wrong[i], &stream) == -EINVAL);
		MUST(scope_signal_open(wrong[i], &stream) == -EINVAL);
	}
	MUST(scope_signal_open(SIGRTMIN + 3, &stream) == -EINVAL);
	MUST(scope_signal_open(SIGRTMIN + 4, &stream) == -EINVAL);
	MUST(scope_signal_open(SIGUSR1, NULL) == -EINVAL);
	MUST(stream == NULL);
	return 0;
}

Test(stream, I4_open_of_what_no_handler_can_have_einval)
{
	run_alone(opens_wrong, 0);
}

Test(stream, I4_outside_a_run_enotconn)
{
	struct scope_signal *stream = NULL;

	cr_assert_eq(scope_signal_open(SIGUSR1, &stream), -ENOTCONN);
	cr_assert_eq(scope_signal_next(stream), -ENOTCONN);
	scope_signal_close(stream);
}
