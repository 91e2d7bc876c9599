/* tests/api/task_check.h: what tasks of a test check, and the runs that tell of it.
 *
 * A task has a stack and a thread that no test can be left from, so the first check that
 * fails is kept, and the functions here that run a root report it afterwards.
 */
#ifndef SC_TESTS_TASK_CHECK_H
#define SC_TESTS_TASK_CHECK_H

#include "harness.h"

#include <errno.h>
#include <scope.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

/* Whether this build is slowed down by checkers, and counts have to be small. */
#ifdef SC_TEST_SHIM
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif
/* In the simulation a test is run hundreds of times, and each access to shared memory counts. */
#ifdef SC_SIM
enum { SIMULATED = 1 };
#else
enum { SIMULATED = 0 };
#endif

/* ---- checks ----------------------------------------------------------------------------- */

#define CHECK(condition) check_eq(__LINE__, #condition, !!(condition), 1)
#define CHECK_EQ(got, want)                                                                        \
	check_eq(__LINE__, #got " is " #want, (long long)(got), (long long)(want))

/* line is atomic and decides who writes the rest. */
static struct {
	atomic_int line;
	const char *text;
	long long got, want;
} first_wrong;

static inline void check_eq(int line, const char *text, long long got, long long want)
{
	int none = 0;

	if (got == want || !atomic_compare_exchange_strong(&first_wrong.line, &none, line))
		return;
	first_wrong.text = text;
	first_wrong.got = got;
	first_wrong.want = want;
}

/* For tests that have more than one run, or threads of their own, beside these two. */
static inline void checks_begin(void)
{
	first_wrong.line = 0;
}

static inline void checks_end(void)
{
	cr_assert_eq(first_wrong.line, 0, "line %d: %s: %lld instead of %lld", first_wrong.line,
		     first_wrong.text, first_wrong.got, first_wrong.want);
}

/* ---- runs ------------------------------------------------------------------------------- */

static inline void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

/* Signals are left alone in all of these. */
static inline int run_config(scope_task_fn *fn, void *arg, struct scope_config config)
{
	int rc;

	config.flags |= SCOPE_NO_SIGNALS;
	checks_begin();
	rc = scope_run(fn, arg, &config);
	checks_end();
	return rc;
}

/* Its errors are asked for and not printed; workers 0: what the environment says. */
static inline int run_flags(scope_task_fn *fn, void *arg, unsigned workers, unsigned flags)
{
	struct scope_config config = {.workers = workers, .flags = flags, .report = no_report};

	return run_config(fn, arg, config);
}

static inline int run(scope_task_fn *fn, void *arg, unsigned workers)
{
	return run_flags(fn, arg, workers, SCOPE_VIRTUAL_CLOCK);
}

/* No error may come out of it, nor may it stand still. */
static inline void must_run(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK};

	cr_assert_eq(run_config(fn, arg, config), 0);
}

/* A task that writes to where nobody reads.  The signal would end the process: it neither comes nor
 * stays, to come when a program that blocks it does no more; but one that was there before is the
 * program's. */
static inline void must_raise_no_sigpipe(scope_task_fn *fn)
{
	sigset_t pending, pipe;

	signal(SIGPIPE, SIG_DFL);
	must_run(fn, NULL);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, NULL);
	must_run(fn, NULL);
	sigpending(&pending);
	cr_assert(!sigismember(&pending, SIGPIPE));
	raise(SIGPIPE);
	must_run(fn, NULL);
	sigpending(&pending);
	cr_assert(sigismember(&pending, SIGPIPE));
}

static inline int64_t real_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SCOPE_SEC + t.tv_nsec;
}

static inline void skip_leaks_where_checked(void)
{
	/* A sanitizer's switch writes below the stack pointer, and it takes the use of a
	 * dead frame for the error that it is in any other program. */
#ifdef SC_TEST_CHECKED
	cr_skip("frames of a leaked scope can't be kept under checkers");
#endif
}

/* Whether a path names these tasks, whatever their numbers. */
static inline int path_is(const char *path, const char *want)
{
	while (*path) {
		if (*path == '#') {
			do
				path++;
			while (*path >= '0' && *path <= '9');
			continue;
		}
		if (*path++ != *want++)
			return 0;
	}
	return *want == '\0';
}

/* ---- tasks ------------------------------------------------------------------------------ */

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
static const struct scope_spawn_options pinned = {.flags = SCOPE_PINNED};

/* Tasks that ran; each test sets it to 0 by its own process or by hand. */
static atomic_int ran;

static inline int count(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
	return 0;
}

static inline int fail_with(void *arg)
{
	return *(int *)arg;
}

static inline int never_called(void *arg)
{
	(void)arg;
	CHECK(!"what was refused ran");
	return 0;
}

#endif
