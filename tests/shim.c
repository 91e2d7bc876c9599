/* tests/shim.c: runs the tests of a program without Criterion and prints TAP.
 *
 * Usage: PROGRAM [--fork] [-jN] [--timeout SECONDS] [--filter GLOB] [--list] [-v]
 *
 * Without --fork a test runs in this process, and one that fails on a stack or thread of
 * its own ends the program.  With --fork each test has a process, -jN of them at a time;
 * tests with .signal or .exit_code always have one.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <fnmatch.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How a test's process tells its end; beyond what a test would use as .exit_code. */
enum { EXIT_TEST_FAILED = 125, EXIT_TEST_SKIPPED = 124 };
enum { MAX_JOBS = 64 };

/* A test that runs in a process of its own. */
struct job {
	struct sc_test *test; /* NULL: free */
	pid_t pid;
	FILE *output; /* what it prints */
	double start;
};

void (*sc_test_on_fail)(int fatal);
void (*sc_test_around)(struct sc_test *test, void (*run)(struct sc_test *test));

static struct sc_test *first, **last = &first; /* written by constructors only */
static int failed;                             /* set by any thread of the running test */
static int in_child;
static jmp_buf leave;     /* where a test of this process continues after a fatal failure */
static pthread_t thread;  /* the thread that may jump there ... */
static char *stack_base;  /* ... from a stack that lies below this */
static const char *current_suite, *current_name;

static int forking, verbose, jobs = 1, failures;
static double timeout_all;

void sc_test_register(struct sc_test *test)
{
	*last = test;
	last = &test->next;
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Tasks run on stacks of their own: only from the test's own stack is a jump out of it sound. */
static bool may_jump(void)
{
	char *here = __builtin_frame_address(0);

	return pthread_equal(thread, pthread_self()) && here < stack_base &&
	       stack_base - here < (8 << 20);
}

static void __attribute__((noreturn)) end_test(int status)
{
	fflush(stdout);
	if (!in_child && may_jump())
		longjmp(leave, status);
	if (!in_child)
		printf("not ok - %s::%s\nBail out! a task failed and can't be taken down\n",
		       current_suite, current_name);
	fflush(stdout);
	_exit(in_child ? status : 1);
}

void sc_test_fail(const char *file, int line, int fatal, const char *expression, const char *format,
		  ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	printf("# %s:%d: failed: %s%s%s\n", file, line, expression, text[1] ? ": " : "", text + 1);
	fflush(stdout);
	__atomic_store_n(&failed, 1, __ATOMIC_RELEASE);
	if (sc_test_on_fail)
		sc_test_on_fail(fatal);
	if (fatal)
		end_test(EXIT_TEST_FAILED);
}

void sc_test_skip(const char *format, ...)
{
	va_list args;

	printf("# skipped:");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	end_test(EXIT_TEST_SKIPPED);
}

static void run_test(struct sc_test *test)
{
	if (test->options.init)
		test->options.init();
	test->function();
	if (test->options.fini)
		test->options.fini();
}

static void call(struct sc_test *test)
{
	if (sc_test_around)
		sc_test_around(test, run_test);
	else
		run_test(test);
}

static void report(const struct sc_test *test, bool ok, const char *why, double since)
{
	printf("%s - %s::%s%s%s (%.2fs)\n", ok ? "ok" : "not ok", test->suite, test->name,
	       *why ? " " : "", why, seconds() - since);
	fflush(stdout);
	failures += !ok;
}

static void run_here(struct sc_test *test)
{
	double start = seconds();
	int status;

	failed = 0;
	thread = pthread_self();
	stack_base = __builtin_frame_address(0);
	current_suite = test->suite;
	current_name = test->name;
	status = setjmp(leave);
	if (!status)
		call(test);
	if (status == EXIT_TEST_SKIPPED)
		report(test, true, "# SKIP", start);
	else
		report(test, !__atomic_load_n(&failed, __ATOMIC_ACQUIRE), "", start);
}

static void start_job(struct job *job, struct sc_test *test)
{
	job->test = test;
	job->output = tmpfile();
	job->start = seconds();
	fflush(NULL);
	job->pid = job->output ? fork() : -1;
	if (job->pid < 0) {
		perror("tests: can't start a process");
		exit(2);
	}
	/* Both do it: whoever comes first, the group is there before it can be killed. */
	setpgid(job->pid, job->pid);
	if (job->pid)
		return;
	in_child = 1;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(fileno(job->output), 1);
	dup2(fileno(job->output), 2);
	call(test);
	/* exit and not _exit: leak checkers look at the process there. */
	exit(failed ? EXIT_TEST_FAILED : 0);
}

static void print_output(FILE *output)
{
	char line[4096];

	rewind(output);
	while (fgets(line, sizeof(line), output))
		printf("%s%s%s", line[0] == '#' ? "" : "# ", line, strchr(line, '\n') ? "" : "\n");
}

static void end_job(struct job *job, int status, bool late)
{
	const struct sc_test_options *o = &job->test->options;
	bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_TEST_SKIPPED;
	char why[64] = "";
	bool ok;

	if (o->signal)
		ok = WIFSIGNALED(status) && WTERMSIG(status) == o->signal;
	else
		ok = skipped || (WIFEXITED(status) && WEXITSTATUS(status) == o->exit_code);
	ok = ok && !late;
	if (late)
		snprintf(why, sizeof(why), "timed out");
	else if (skipped)
		snprintf(why, sizeof(why), "# SKIP");
	else if (!ok && WIFSIGNALED(status))
		snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
	else if (!ok && WEXITSTATUS(status) != EXIT_TEST_FAILED)
		snprintf(why, sizeof(why), "exit status %d", WEXITSTATUS(status));
	if (!ok || verbose || skipped)
		print_output(job->output);
	report(job->test, ok, why, job->start);
	fclose(job->output);
	job->test = NULL;
}

static bool is_late(const struct job *job)
{
	double limit = sc_test_around ? 0 : job->test->options.timeout; /* that of one run */

	if (timeout_all > 0) /* whoever runs the program knows how slow it is */
		limit = timeout_all;
	return limit > 0 && seconds() - job->start > limit;
}

/* Looks once at every running test; waits a little if none ended. */
static int reap(struct job *job)
{
	int running = 0, ended = 0, status;

	for (int i = 0; i < MAX_JOBS; i++) {
		bool late;

		if (!job[i].test)
			continue;
		late = is_late(&job[i]);
		if (late)
			kill(-job[i].pid, SIGKILL);
		if (waitpid(job[i].pid, &status, late ? 0 : WNOHANG) != job[i].pid) {
			running++;
			continue;
		}
		end_job(&job[i], status, late);
		ended = 1;
	}
	if (running && !ended)
		usleep(1000);
	return running;
}

static void run_forked(struct job *job, struct sc_test *test)
{
	while (reap(job) >= jobs)
		;
	for (int i = 0; i < MAX_JOBS; i++) {
		if (!job[i].test) {
			start_job(&job[i], test);
			return;
		}
	}
}

/* What a test leaves open is taken from its suite. */
static void inherit(struct sc_test *test)
{
	for (struct sc_test *s = first; s; s = s->next) {
		if (s->function || strcmp(s->suite, test->suite) != 0)
			continue;
		if (!test->options.init)
			test->options.init = s->options.init;
		if (!test->options.fini)
			test->options.fini = s->options.fini;
		if (test->options.timeout <= 0)
			test->options.timeout = s->options.timeout;
		test->options.disabled |= s->options.disabled;
	}
}

static bool chosen(const struct sc_test *test, const char *filter)
{
	char name[512];

	if (!test->function)
		return false;
	snprintf(name, sizeof(name), "%s/%s", test->suite, test->name);
	return !filter || fnmatch(filter, name, 0) == 0;
}

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s [--fork] [-jN] [--timeout SECONDS] [--filter SUITE/NAME] [--list] "
			"[-v]\n",
		program);
	return 2;
}

int main(int argc, char **argv)
{
	static struct job job[MAX_JOBS];
	const char *filter = NULL;
	int list = 0, plan = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--fork"))
			forking = 1;
		else if (!strcmp(argv[i], "--list"))
			list = 1;
		else if (!strcmp(argv[i], "-v"))
			verbose = 1;
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			filter = argv[++i];
		else if (!strcmp(argv[i], "--timeout") && i + 1 < argc)
			timeout_all = atof(argv[++i]);
		else if (!strncmp(argv[i], "-j", 2) && atoi(argv[i] + 2) > 0)
			jobs = atoi(argv[i] + 2);
		else
			return usage(argv[0]);
	}
	if (jobs > MAX_JOBS)
		jobs = MAX_JOBS;
	for (struct sc_test *t = first; t; t = t->next) {
		plan += chosen(t, filter);
		if (list && chosen(t, filter))
			printf("%s/%s\n", t->suite, t->name);
	}
	if (list)
		return 0;
	printf("TAP version 13\n1..%d\n", plan);
	for (struct sc_test *t = first; t; t = t->next) {
		if (!chosen(t, filter))
			continue;
		inherit(t);
		if (t->options.disabled)
			report(t, true, "# SKIP disabled", seconds());
		else if (forking || t->options.signal || t->options.exit_code)
			run_forked(job, t);
		else
			run_here(t);
	}
	while (reap(job))
		;
	return failures ? 1 : 0;
}
