/* tests/api/test_interrupt.c: SIGINT and SIGTERM: rules I1 to I3, in processes of their own. */
#define _GNU_SOURCE
#include "child.h"

#include <pthread.h>

TestSuite(interrupt, .timeout = 60);

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

/* ---- I1: who is told ----------------------------------------------------------------- */

static int sleeping_main(void *arg)
{
	(void)arg;
	say_ready();
	return seen->told = scope_sleep_until(SCOPE_NEVER);
}

static int checking_main(void *arg)
{
	(void)arg;
	say_ready();
	while ((seen->told = scope_checkpoint()) == 0)
		;
	return seen->told;
}

static int asking_main(void *arg)
{
	(void)arg;
	say_ready();
	while (!scope_cancelled())
		;
	return seen->told = scope_checkpoint();
}

static int sleep_for_ever(void *arg)
{
	*(int *)arg = scope_sleep_until(SCOPE_NEVER);
	return 0;
}

/* In close, with tasks parked on every worker. */
static int closing_main(void *arg)
{
	int result[50], i;
	struct scope s;

	(void)arg;
	memset(result, 0, sizeof(result));
	scope_open(&s);
	for (i = 0; i < 50; i++)
		MUST(scope_spawn_with(&s, sleep_for_ever, &result[i], &concurrent) == 0);
	say_ready();
	MUST(scope_close(&s) == -ECANCELED);
	for (i = 0; i < 50; i++)
		MUST(result[i] == -ECANCELED);
	return seen->told = scope_checkpoint();
}

static scope_task_fn *const mains[] = {sleeping_main, checking_main, asking_main, closing_main};

static void run_main(int which)
{
	run_seeing(mains[which], NULL);
}

static void interrupt_with(int which, int signal)
{
	struct program p;

	start(&p, run_main, which);
	wait_ready(&p);
	kill(p.pid, signal);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->rc, -ECANCELED, "the run gave %d", p.seen->rc);
	cr_assert_eq(p.seen->signal, signal);
}

Test(interrupt, I1_a_signal_wakes_who_sleeps)
{
	interrupt_with(0, SIGINT);
	interrupt_with(0, SIGTERM);
}

Test(interrupt, I1_a_signal_reaches_who_computes)
{
	interrupt_with(1, SIGINT);
	interrupt_with(1, SIGTERM);
	interrupt_with(2, SIGINT);
	interrupt_with(2, SIGTERM);
}

Test(interrupt, I1_a_signal_reaches_the_tasks_of_a_closing_scope)
{
	interrupt_with(3, SIGINT);
	interrupt_with(3, SIGTERM);
}

static int signals_are_blocked(void *arg)
{
	sigset_t set;

	(void)arg;
	MUST(pthread_sigmask(SIG_SETMASK, NULL, &set) == 0);
	MUST(sigismember(&set, SIGINT) == 1);
	MUST(sigismember(&set, SIGTERM) == 1);
	return 0;
}

static int look_on_every_worker(void *arg)
{
	struct scope s;
	int i;

	scope_open(&s);
	signals_are_blocked(arg);
	for (i = 0; i < 100; i++)
		MUST(scope_spawn_with(&s, signals_are_blocked, NULL, &concurrent) == 0);
	return scope_close(&s);
}

static void mask_program(int unused)
{
	sigset_t before, after;

	(void)unused;
	sigprocmask(SIG_SETMASK, NULL, &before);
	run_seeing(look_on_every_worker, NULL);
	sigprocmask(SIG_SETMASK, NULL, &after);
	MUST(sigismember(&before, SIGINT) == sigismember(&after, SIGINT));
	MUST(sigismember(&before, SIGTERM) == sigismember(&after, SIGTERM));
}

Test(interrupt, I1_no_worker_receives_the_signals)
{
	struct program p;

	start(&p, mask_program, 0);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, 0);
	cr_assert_eq(p.seen->signal, 0);
}

/* ---- I2: the interrupt beside the result --------------------------------------------- */

/* Sends itself the signal as the last thing that it does. */
static int signal_at_the_end(void *arg)
{
	kill(getpid(), SIGINT);
	return *(int *)arg;
}

static void late_program(int result)
{
#ifdef SC_TEST_SHIM
	enum { RUNS = 20 };
#else
	enum { RUNS = 200 };
#endif
	int i;

	for (i = 0; i < RUNS; i++) {
		run_seeing(signal_at_the_end, &result);
		MUST(seen->rc == result);
		MUST(seen->signal == SIGINT);
	}
}

Test(interrupt, I2_signal_after_main_returned_is_seen)
{
	struct program p;

	start(&p, late_program, 0);
	expect_exit(&p);
}

Test(interrupt, I2_error_and_signal_at_once_both_are_seen)
{
	struct program p;

	start(&p, late_program, -EIO);
	expect_exit(&p);
}

static int told_at_once(void *arg)
{
	(void)arg;
	return seen->told = scope_sleep_until(SCOPE_NEVER);
}

/* The signal is pending when the run begins. */
static void early_program(int unused)
{
	sigset_t set, old;
	int i;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	for (i = 0; i < 50; i++) {
		sigprocmask(SIG_BLOCK, &set, &old);
		kill(getpid(), SIGTERM);
		run_seeing(told_at_once, NULL);
		sigprocmask(SIG_SETMASK, &old, NULL);
		MUST(seen->told == -ECANCELED);
		MUST(seen->rc == -ECANCELED);
		MUST(seen->signal == SIGTERM);
	}
}

Test(interrupt, I2_signal_before_main_started_is_seen)
{
	struct program p;

	start(&p, early_program, 0);
	expect_exit(&p);
}

/* Main notices, cleans up, and gives its own result. */
static int give_after_signal(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	say_ready();
	seen->told = scope_sleep_until(SCOPE_NEVER);
	MUST(scope_open_with(&s, &options) == 0);
	MUST(scope_sleep_for(SCOPE_MS) == 0);
	MUST(scope_close(&s) == 0);
	return *(int *)arg;
}

static void give_program(int result)
{
	run_seeing(give_after_signal, &result);
}

static void interrupted_run_gives(int result)
{
	struct program p;

	start(&p, give_program, result);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->rc, result, "the run gave %d instead of %d", p.seen->rc, result);
	cr_assert_eq(p.seen->signal, SIGINT);
}

Test(interrupt, I2_run_returns_the_result_of_an_interrupted_main)
{
	interrupted_run_gives(0);
	interrupted_run_gives(7);
}

Test(interrupt, I2_error_after_the_signal_hides_nothing)
{
	interrupted_run_gives(-EIO);
}

static int fail_then_wait(void *arg)
{
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, NULL);
	rc = scope_close(&s);
	say_ready();
	scope_sleep_until(SCOPE_NEVER);
	return rc;
}

static void fail_program(int unused)
{
	(void)unused;
	run_seeing(fail_then_wait, NULL);
}

Test(interrupt, I2_signal_after_the_error_hides_nothing)
{
	struct program p;

	start(&p, fail_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGTERM);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, -EIO);
	cr_assert_eq(p.seen->signal, SIGTERM);
}

static int quiet_main(void *arg)
{
	(void)arg;
	return 0;
}

static void quiet_program(int unused)
{
	struct scope_config wrong = {.out_signal = &seen->signal, .flags = ~0u};

	(void)unused;
	run_seeing(quiet_main, NULL);
	MUST(seen->rc == 0);
	MUST(seen->signal == 0);
	seen->signal = -1;
	MUST(scope_run(quiet_main, NULL, &wrong) == -EINVAL);
	MUST(seen->signal == 0);
	/* One run's signal is not the next one's. */
	run_seeing(signal_at_the_end, &(int){0});
	MUST(seen->signal == SIGINT);
	run_seeing(quiet_main, NULL);
	MUST(seen->signal == 0);
}

Test(interrupt, I2_out_signal_is_always_set)
{
	struct program p;

	start(&p, quiet_program, 0);
	expect_exit(&p);
}

/* ---- I2: without out_signal ---------------------------------------------------------- */

static void default_program(int which)
{
	seen->rc = scope_run(mains[which], NULL, NULL);
	seen->returned = 1;
}

static void dies_by(int signal)
{
	struct program p;
	int status;

	start(&p, default_program, 0);
	wait_ready(&p);
	kill(p.pid, signal);
	status = finish(&p);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == signal, "status %x: %s",
		  (unsigned)status, p.text);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_not(p.seen->returned);
}

Test(interrupt, I2_without_out_signal_the_process_dies_of_it)
{
	dies_by(SIGINT);
	dies_by(SIGTERM);
}

static void reporting_program(int unused)
{
	(void)unused;
	scope_run(fail_then_wait, NULL, NULL);
	seen->returned = 1;
}

Test(interrupt, I2_the_error_is_reported_before_the_process_dies)
{
	struct program p;
	int status;

	start(&p, reporting_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	status = finish(&p);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT, "status %x", (unsigned)status);
	cr_assert_not_null(strstr(p.text, "EIO"), "%s", p.text);
}

static void count_signal(int signal)
{
	(void)signal;
	seen->handled++;
}

/* The program's own handler gets the signal once, when the run is over. */
static void handler_program(int with_out_signal)
{
	struct sigaction action = {.sa_handler = count_signal}, now;

	sigaction(SIGINT, &action, NULL);
	if (with_out_signal)
		run_seeing(sleeping_main, NULL);
	else
		default_program(0);
	MUST(seen->handled == !with_out_signal);
	MUST(seen->told == -ECANCELED);
	MUST(seen->rc == -ECANCELED);
	sigaction(SIGINT, NULL, &now);
	MUST(now.sa_handler == count_signal);
	raise(SIGINT);
	MUST(seen->handled == 1 + !with_out_signal);
	sigaction(SIGTERM, NULL, &now);
	MUST(now.sa_handler == SIG_DFL);
}

static void run_handler_program(int with_out_signal)
{
	struct program p;

	start(&p, handler_program, with_out_signal);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
}

Test(interrupt, I2_old_disposition_gets_the_signal_after_the_run)
{
	run_handler_program(0);
}

Test(interrupt, I2_with_out_signal_the_old_disposition_gets_nothing)
{
	run_handler_program(1);
}

static int signal_and_look(void *arg)
{
	(void)arg;
	kill(getpid(), SIGINT);
	MUST(seen->handled == 1);
	MUST(scope_checkpoint() == 0);
	return scope_sleep_for(SCOPE_MS);
}

static void no_signals_program(int unused)
{
	struct scope_config config = {
		.workers = 1, .flags = SCOPE_NO_SIGNALS, .out_signal = &seen->signal};

	(void)unused;
	signal(SIGINT, count_signal);
	seen->rc = scope_run(signal_and_look, NULL, &config);
	seen->returned = 1;
	MUST(seen->rc == 0);
	MUST(seen->signal == 0);
}

Test(interrupt, I1_no_signals_leaves_them_alone)
{
	struct program p;

	start(&p, no_signals_program, 0);
	expect_exit(&p);
}

/* ---- I3 ------------------------------------------------------------------------------ */

static int fail_when_cancelled(void *arg)
{
	(void)arg;
	say_ready();
	return scope_sleep_until(SCOPE_NEVER) == -ECANCELED ? -EIO : 0;
}

static int cause_main(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, fail_when_cancelled, NULL);
	MUST(scope_close(&s) == -EIO);
	seen->told = scope_last_error() ? (int)scope_last_error()->cause : -1;
	return 0;
}

static void cause_program(int unused)
{
	(void)unused;
	run_seeing(cause_main, NULL);
}

Test(interrupt, I3_first_signal_cancels_with_cause_interrupt)
{
	struct program p;

	start(&p, cause_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, SCOPE_CAUSE_INTERRUPT, "the cause is %d", p.seen->told);
}

/* Cleans up behind a shield while the second signal comes. */
static int clean_up_shielded(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	(void)arg;
	say_ready();
	seen->told = scope_sleep_until(SCOPE_NEVER);
	MUST(scope_open_with(&s, &options) == 0);
	say_ready();
	MUST(scope_sleep_for(200 * SCOPE_MS) == 0);
	MUST(scope_close(&s) == 0);
	return -EIO;
}

static void clean_up_program(int unused)
{
	(void)unused;
	run_seeing(clean_up_shielded, NULL);
}

Test(interrupt, I3_second_signal_lets_a_shielded_clean_up_end)
{
	struct program p;

	start(&p, clean_up_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->rc, -EIO);
	cr_assert_eq(p.seen->signal, SIGINT);
}

static void spinning_program(int kill_after_ms)
{
	struct scope_config config = {.out_signal = &seen->signal,
				      .kill_after_ns = kill_after_ms * SCOPE_MS};

	seen->rc = scope_run(spinning_main, NULL, &config);
	seen->returned = 1;
}

static void third_signal(int signal)
{
	struct program p;
	int status, times;

	start(&p, spinning_program, 60000);
	wait_ready(&p);
	times = press_until_dead(&p, signal, &status);
	collect(&p);
	cr_assert_geq(times, 3, "ended at signal %d", times);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + signal, "status %x: %s",
		  (unsigned)status, p.text);
	cr_assert_not(p.seen->returned);
	cr_assert_not_null(strstr(p.text, "/spinning_main/spinner"), "%s", p.text);
}

Test(interrupt, I3_third_signal_ends_an_endless_loop_and_names_it)
{
	skip_racy_report();
	third_signal(SIGINT);
	third_signal(SIGTERM);
}

Test(interrupt, I3_no_progress_for_kill_after_ends_the_process)
{
	struct program p;
	int64_t start_ns;
	int status;

	skip_racy_report();

	start(&p, spinning_program, 300);
	wait_ready(&p);
	start_ns = real_now();
	kill(p.pid, SIGINT);
	status = finish(&p);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 130, "status %x: %s",
		  (unsigned)status, p.text);
	cr_assert_geq(real_now() - start_ns, 300 * SCOPE_MS);
	cr_assert_not_null(strstr(p.text, "/spinning_main/spinner"), "%s", p.text);
}

/* Does not care for the cancel, but calls in: that is progress. */
static int stubborn_main(void *arg)
{
	int64_t end;

	(void)arg;
	say_ready();
	seen->told = scope_sleep_until(SCOPE_NEVER);
	end = real_now() + 2500 * SCOPE_MS;
	while (real_now() < end)
		MUST(scope_checkpoint() == -ECANCELED);
	return 0;
}

static void stubborn_program(int unused)
{
	struct scope_config config = {.out_signal = &seen->signal,
				      .kill_after_ns = SCOPE_SEC};

	(void)unused;
	seen->rc = scope_run(stubborn_main, NULL, &config);
	seen->returned = 1;
}

Test(interrupt, I3_progress_keeps_kill_after_off)
{
	struct program p;

	start(&p, stubborn_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->signal, SIGINT);
}
