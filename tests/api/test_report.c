/* tests/api/test_report.c: what is printed when it is long, or can't be: E4, E7, Z3, I3. */
#define _GNU_SOURCE
#include "task_check.h"

#include <scope_observe.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(report, .timeout = 60);

/* ---- cut texts -------------------------------------------------------------------------- */

enum { LEVELS = 40, NAME = 60 };

static struct {
	char path[4096];
	int code;
} last;

static int descend(void *arg)
{
	struct scope_spawn_options options = {0};
	int level = *(int *)arg, below = level + 1;
	char name[NAME + 1];
	struct scope s;

	if (level == LEVELS)
		return -EIO;
	memset(name, 'a' + level % 26, NAME);
	name[NAME] = '\0';
	options.name = name;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, descend, &below, &options), 0);
	return scope_close(&s);
}

static int long_path(void *arg)
{
	const struct scope_error *error;
	int level = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, descend, &level), 0);
	last.code = scope_close(&s);
	error = scope_last_error();
	CHECK(error != NULL);
	if (error)
		snprintf(last.path, sizeof(last.path), "%s", error->path);
	return 0;
}

Test(report, E4_a_path_too_long_for_its_record_is_cut)
{
	cr_assert_eq(run(long_path, NULL, 1), 0);
	cr_assert_eq(last.code, -EIO);
	cr_expect_gt(strlen(last.path), 900);
	cr_expect_lt(strlen(last.path), 1024);
	/* Both ends are there, with the most of the inner one. */
	cr_expect_eq(strncmp(last.path, "/long_path/descend/aaaaaaaa", 27), 0, "%s", last.path);
	cr_expect_not_null(strstr(last.path, "/…/"), "%s", last.path);
	cr_expect_eq(last.path[strlen(last.path) - 1], 'a' + (LEVELS - 1) % 26, "%s", last.path);
	cr_expect_gt(strlen(strstr(last.path, "/…/")), 700);
}

/* What scope_error_print wrote of the last error. */
static char printed[65536];

static void print_last(void)
{
	FILE *file = tmpfile();
	size_t length;

	CHECK_EQ(scope_error_print(scope_last_error(), file), 0);
	rewind(file);
	length = fread(printed, 1, sizeof(printed) - 1, file);
	printed[length] = '\0';
	fclose(file);
}

static int fail_by_long_names(void *arg)
{
	struct scope_spawn_options options = {0};
	int codes[60], i;
	char name[400];
	struct scope s;

	(void)arg;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	options.name = name;
	scope_open(&s);
	for (i = 0; i < 60; i++) {
		codes[i] = i + 1;
		CHECK_EQ(scope_spawn_with(&s, fail_with, &codes[i], &options), 0);
	}
	scope_close(&s);
	print_last();
	return 0;
}

Test(report, E7_a_tree_too_long_to_print_is_cut)
{
	cr_assert_eq(run(fail_by_long_names, NULL, 1), 0);
	cr_expect_gt(strlen(printed), 16384);
	cr_expect_lt(strlen(printed), 16384 + 2 * 2048);
	cr_expect_not_null(strstr(printed, "\n  and more, which is not printed\n"), "%s", printed);
}

static int chain(void *arg)
{
	int code = *(int *)arg, below = code + 1;
	struct scope s;

	if (code == 20)
		return code;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, chain, &below), 0);
	scope_close(&s);
	return code;
}

static int print_chain(void *arg)
{
	int code = 1;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, chain, &code), 0);
	CHECK_EQ(scope_close(&s), 1);
	print_last();
	return 0;
}

Test(report, E7_contexts_are_printed_eight_deep)
{
	cr_assert_eq(run(print_chain, NULL, 1), 0);
	cr_expect_not_null(strstr(printed, "result 9\n"), "%s", printed);
	cr_expect_null(strstr(printed, "result 10\n"), "%s", printed);
}

static int print_unbuffered(void *arg)
{
	FILE *full = fopen("/dev/full", "w");
	int code = -EIO;
	struct scope s;

	(void)arg;
	CHECK(full != NULL);
	setvbuf(full, NULL, _IONBF, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_error_print(scope_last_error(), full), -EIO);
	fclose(full);
	return 0;
}

Test(report, E4_error_print_to_a_full_unbuffered_device_eio)
{
	cr_assert_eq(run(print_unbuffered, NULL, 1), 0);
}

/* ---- many parked tasks ------------------------------------------------------------------ */

enum { CROWD = 250 };

static struct {
	char text[262144];
	size_t used;
} reported;

static void take_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (length > sizeof(reported.text) - 1 - reported.used)
		length = sizeof(reported.text) - 1 - reported.used;
	memcpy(reported.text + reported.used, text, length);
	reported.used += length;
}

static int never_ends(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

static int crowd(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < CROWD; i++)
		CHECK_EQ(scope_spawn_with(&s, never_ends, NULL, &concurrent), 0);
	return scope_close(&s);
}

/* Its outer scopes are linked, but nobody waits in them. */
static int sleeps_three_scopes_deep(void *arg)
{
	struct scope s[3];
	int i, rc;

	(void)arg;
	for (i = 0; i < 3; i++)
		scope_open(&s[i]);
	rc = scope_sleep_until(SCOPE_NEVER);
	while (i-- > 0)
		scope_close(&s[i]);
	return rc;
}

static int closes_over_a_sleeper(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, never_ends, arg, &concurrent), 0);
	return scope_close(&s);
}

static int many_closers(void *arg)
{
	struct scope s;
	int i;

	scope_open(&s);
	for (i = 0; i < CROWD; i++)
		CHECK_EQ(scope_spawn_with(&s, closes_over_a_sleeper, arg, &concurrent), 0);
	return scope_close(&s);
}

static int times_said(const char *what)
{
	const char *at = reported.text;
	int n = 0;

	while ((at = strstr(at, what))) {
		at += strlen(what);
		n++;
	}
	return n;
}

static void report_deadlock(scope_task_fn *fn)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK,
				      .report = take_report};

	memset(&reported, 0, sizeof(reported));
	cr_assert_eq(run_config(fn, NULL, config), -EDEADLK);
}

Test(report, Z3_two_hundred_parked_tasks_are_named_and_the_rest_is_counted)
{
	report_deadlock(crowd);
	/* The root that closes is the first of them. */
	cr_expect_eq(times_said("\n  /crowd"), 200);
	cr_expect_eq(times_said("\n  /crowd/never_ends"), 199);
	cr_expect_eq(times_said("and 51 more"), 1);
}

Test(report, Z3_open_scopes_in_which_nobody_waits_are_not_named)
{
	report_deadlock(sleeps_three_scopes_deep);
	cr_expect_eq(times_said("\n  /"), 1, "%s", reported.text);
}

Test(report, Z3_closers_count_among_the_two_hundred)
{
	report_deadlock(many_closers);
	cr_expect_eq(times_said("\n  /many_closers"), 200);
	cr_expect_eq(times_said("and 301 more"), 1);
}

/* ---- programs that die ------------------------------------------------------------------ */

/* The wait status of a child that runs the program. */
static int status_of(void (*program)(void))
{
	static struct rlimit none;
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		sigset_t all;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_CORE, &none);
		alarm(40);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(SIGSEGV, SIG_DFL);
		program();
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void skip_where_faults_are_taken(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip("the sanitizer ends the process at a fault");
#elif defined(SC_VALGRIND)
	cr_skip("memcheck reports the fault as an error, which it is elsewhere");
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
	cr_skip("the sanitizer ends the process at a fault");
#endif
#endif
}

static int reads_nothing(void *arg)
{
	return *(volatile int *)arg;
}

static int interrupts_itself(void *arg)
{
	struct timespec ms = {0, 1000000};

	(void)arg;
	for (;;) {
		kill(getpid(), SIGINT);
		nanosleep(&ms, NULL);
	}
	return 0;
}

static void faulty_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	reads_nothing(arg);
}

static void last_report_faults(void)
{
	struct scope_config config = {.workers = 2, .report = faulty_report};

	scope_run(interrupts_itself, NULL, &config);
}

Test(report, I3_a_fault_in_the_last_report_still_ends_with_the_status)
{
	int status;

	skip_where_faults_are_taken();
	status = status_of(last_report_faults);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGINT, "status %x",
		  (unsigned)status);
}
