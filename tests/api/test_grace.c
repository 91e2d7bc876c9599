/* tests/api/test_grace.c: interrupts of a program with a grace period: rule I3. */
#define _GNU_SOURCE
#include "child.h"

TestSuite(grace, .timeout = 60);

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

static void run_with_grace(scope_task_fn *fn, int64_t grace_ns, int64_t kill_after_ns)
{
	struct scope_config config = {
		.grace_ns = grace_ns, .kill_after_ns = kill_after_ns, .out_signal = &seen->signal};

	seen->signal = -1;
	seen->rc = scope_run(fn, NULL, &config);
	seen->returned = 1;
}

/* ---- a small server ------------------------------------------------------------------ */

static int soft_told, work_told; /* in the program */
static int work_takes_ms;

/* Waits for the next job. */
static int receptionist(void *arg)
{
	(void)arg;
	MUST(scope_soft_begin() == 0);
	say_ready();
	soft_told = scope_sleep_until(SCOPE_NEVER);
	MUST(scope_soft_end() == 0);
	say_ready();
	return soft_told;
}

/* Is at one, behind no shield. */
static int clerk(void *arg)
{
	(void)arg;
	work_told = scope_sleep_for(work_takes_ms * SCOPE_MS);
	return work_told == -ECANCELED ? -EIO : 0;
}

static int server(void *arg)
{
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	MUST(scope_spawn_with(&s, clerk, NULL, &concurrent) == 0);
	MUST(scope_spawn_with(&s, receptionist, NULL, &concurrent) == 0);
	rc = scope_close(&s);
	seen->told = scope_last_error() ? (int)scope_last_error()->cause : 0;
	return rc;
}

static void server_program(int takes_ms)
{
	work_takes_ms = takes_ms;
	run_with_grace(server, takes_ms < 1000 ? 30 * SCOPE_SEC : 100 * SCOPE_MS, 0);
	MUST(soft_told == -ESHUTDOWN);
	MUST(work_told == (takes_ms < 1000 ? 0 : -ECANCELED));
}

Test(grace, I3_first_signal_lets_tasks_finish)
{
	struct program p;

	start(&p, server_program, 300);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, 0);
	cr_assert_eq(p.seen->signal, SIGINT);
}

Test(grace, I3_tasks_are_cancelled_when_the_grace_is_over)
{
	struct program p;

	start(&p, server_program, 30000);
	wait_ready(&p);
	kill(p.pid, SIGTERM);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, -EIO);
	cr_assert_eq(p.seen->told, SCOPE_CAUSE_SHUTDOWN);
	cr_assert_eq(p.seen->signal, SIGTERM);
}

static void slow_server_program(int unused)
{
	(void)unused;
	work_takes_ms = 30000;
	run_with_grace(server, SCOPE_NEVER, 0);
	MUST(soft_told == -ESHUTDOWN);
	MUST(work_told == -ECANCELED);
}

Test(grace, I3_second_signal_cancels)
{
	struct program p;

	start(&p, slow_server_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	wait_ready(&p); /* it has been told */
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->rc, -EIO);
	cr_assert_eq(p.seen->told, SCOPE_CAUSE_INTERRUPT);
	cr_assert_eq(p.seen->signal, SIGINT);
}

/* ---- a script that never thought of it ----------------------------------------------- */

static int plain_main(void *arg)
{
	(void)arg;
	say_ready();
	seen->told = scope_sleep_for(300 * SCOPE_MS);
	return 0;
}

static void plain_program(int unused)
{
	(void)unused;
	run_with_grace(plain_main, 30 * SCOPE_SEC, 0);
}

Test(grace, I3_who_has_no_region_runs_to_its_end)
{
	struct program p;

	start(&p, plain_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, 0);
	cr_assert_eq(p.seen->rc, 0);
	cr_assert_eq(p.seen->signal, SIGINT);
}

/* ---- for (;;) ------------------------------------------------------------------------ */

static void spinning_program(int kill_after_ms)
{
	run_with_grace(spinning_main, kill_after_ms ? 100 * SCOPE_MS : SCOPE_NEVER,
		       kill_after_ms ? kill_after_ms * SCOPE_MS : 60 * SCOPE_SEC);
}

Test(grace, I3_third_signal_ends_an_endless_loop_and_names_it)
{
	struct program p;
	int status, times;

	skip_racy_report();
	start(&p, spinning_program, 0);
	wait_ready(&p);
	times = press_until_dead(&p, SIGINT, &status);
	collect(&p);
	cr_assert_geq(times, 3, "ended at signal %d", times);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT, "status %x: %s",
		  (unsigned)status, p.text);
	cr_assert_not_null(strstr(p.text, "/spinning_main/spinner"), "%s", p.text);
}

Test(grace, I3_no_progress_after_the_grace_ends_the_process)
{
	struct program p;
	int64_t start_ns;
	int status;

	skip_racy_report();
	start(&p, spinning_program, 300);
	wait_ready(&p);
	start_ns = real_now();
	kill(p.pid, SIGTERM);
	status = finish(&p);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGTERM, "status %x: %s",
		  (unsigned)status, p.text);
	cr_assert_geq(real_now() - start_ns, 400 * SCOPE_MS);
	cr_assert_not_null(strstr(p.text, "/spinning_main/spinner"), "%s", p.text);
}

/* All workers sleep when the grace is over, and the clean-up behind a shield takes longer than
 * kill_after: it makes progress. */
static int long_clean_up(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;
	int i;

	(void)arg;
	say_ready();
	seen->told = scope_sleep_until(SCOPE_NEVER);
	MUST(scope_open_with(&s, &options) == 0);
	for (i = 0; i < 60; i++)
		MUST(scope_sleep_for(10 * SCOPE_MS) == 0);
	MUST(scope_close(&s) == 0);
	return 0;
}

static void clean_up_program(int unused)
{
	(void)unused;
	run_with_grace(long_clean_up, 100 * SCOPE_MS, 300 * SCOPE_MS);
}

Test(grace, I3_clean_up_after_the_grace_is_progress)
{
	struct program p;

	start(&p, clean_up_program, 0);
	wait_ready(&p);
	kill(p.pid, SIGINT);
	expect_exit(&p);
	cr_assert_eq(p.seen->told, -ECANCELED);
	cr_assert_eq(p.seen->rc, 0);
}
