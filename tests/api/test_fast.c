/* tests/api/test_fast.c: scope_fast.h keeps the contracts of the calls that it inlines. */
#include "task_check.h"

#include <pthread.h>

#include <scope_fast.h>
#include <scope_parallel.h>

TestSuite(fast, .timeout = 60);

/* ---- results ----------------------------------------------------------------------------- */

struct fib {
	long n, result;
};

static int fib_fork(void *arg)
{
	struct fib *f = arg, left, right;
	struct scope s;
	int rc;

	f->result = f->n;
	if (f->n < 2)
		return 0;
	left.n = f->n - 1;
	right.n = f->n - 2;
	CHECK(scope_fast_fork(&s, fib_fork, &left) == 0);
	CHECK(fib_fork(&right) == 0);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

static int fib_open(void *arg)
{
	struct fib *f = arg, left, right;
	struct scope s;
	int rc;

	f->result = f->n;
	if (f->n < 2)
		return 0;
	left.n = f->n - 1;
	right.n = f->n - 2;
	scope_open(&s);
	CHECK(scope_spawn(&s, fib_open, &left) == 0);
	CHECK(scope_spawn(&s, fib_open, &right) == 0);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

/* Parks now and then, so that stacks change hands below a close. */
static int fib_both(void *arg)
{
	struct fib *f = arg, left, right;
	int rc;

	f->result = f->n;
	if (f->n % 7 == 3)
		scope_yield();
	if (f->n % 11 == 5)
		scope_sleep_for(1 + f->n);
	if (f->n < 2)
		return 0;
	left.n = f->n - 1;
	right.n = f->n - 2;
	rc = scope_both(fib_both, &left, fib_both, &right);
	f->result = left.result + right.result;
	return rc;
}

static int fib_root(void *arg)
{
	int n = SIMULATED ? 11 : 20;
	struct fib f[3] = {{n, 0}, {n, 0}, {SIMULATED ? 11 : 14, 0}};

	(void)arg;
	CHECK(fib_fork(&f[0]) == 0);
	CHECK(fib_open(&f[1]) == 0);
	CHECK(fib_both(&f[2]) == 0);
	CHECK(f[0].result == (SIMULATED ? 89 : 6765));
	CHECK(f[1].result == (SIMULATED ? 89 : 6765));
	CHECK(f[2].result == (SIMULATED ? 89 : 377));
	return 0;
}

Test(fast, results_on_one_worker)
{
	cr_assert_eq(run(fib_root, NULL, 1), 0);
}

Test(fast, results_on_four_workers)
{
	int i;

	for (i = 0; i < (SIMULATED ? 4 : 20); i++)
		cr_assert_eq(run(fib_root, NULL, 4), 0);
}

/* ---- stealing ---------------------------------------------------------------------------- */

static atomic_int here;

/* Returns when all four run at once, which takes four workers. */
static int meet(void *arg)
{
	(void)arg;
	atomic_fetch_add(&here, 1);
	while (atomic_load(&here) < 4)
		CHECK(scope_checkpoint() == 0);
	return 0;
}

static int steal_root(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 3; i++)
		CHECK(scope_spawn(&s, meet, NULL) == 0);
	CHECK(meet(NULL) == 0);
	return scope_close(&s);
}

Test(fast, others_steal_what_was_spawned)
{
	int i;

	for (i = 0; i < 20; i++) {
		here = 0;
		cr_assert_eq(run(steal_root, NULL, 4), 0);
	}
}

/* ---- many children, a full deque --------------------------------------------------------- */

static int many_root(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100000; i++)
		CHECK(scope_spawn(&s, count, NULL) == 0);
	return scope_close(&s);
}

Test(fast, every_task_of_many_runs_once)
{
	ran = 0;
	cr_assert_eq(run(many_root, NULL, 0), 0);
	cr_assert_eq(ran, 100000);
}

/* Deeper than the stack: inlining ends, the rest runs on other stacks. */
static int deep(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	struct scope s;

	if (n == 0)
		return 0;
	scope_fast_fork(&s, deep, (void *)(n - 1));
	return scope_close(&s);
}

static int deep_root(void *arg)
{
	(void)arg;
	return deep((void *)20000);
}

Test(fast, P7_depth_does_not_overflow)
{
	cr_assert_eq(run(deep_root, NULL, 0), 0);
}

/* ---- errors, cancel ---------------------------------------------------------------------- */

static int error_root(void *arg)
{
	int code = -EIO, positive = 7;
	const struct scope_error *error;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	CHECK(scope_close(&s) == -EIO);
	error = scope_last_error();
	CHECK(error && error->code == -EIO);
	/* The spawn site lies in this function. */
	CHECK(error && (uintptr_t)error->site - (uintptr_t)error_root < 4096);
	CHECK(scope_both(count, NULL, fail_with, &positive) == 7);
	CHECK(scope_both(fail_with, &code, count, NULL) == -EIO);
	CHECK(scope_both(count, NULL, count, NULL) == 0);
	return 0;
}

Test(fast, E1_errors_and_their_sites)
{
	cr_assert_eq(run(error_root, NULL, 1), 0);
	cr_assert_eq(run(error_root, NULL, 4), 0);
}

static int sleep_long(void *arg)
{
	(void)arg;
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	return 0;
}

static int cancel_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, sleep_long, NULL) == 0);
	CHECK(scope_spawn(&s, sleep_long, NULL) == 0);
	CHECK(scope_sleep_for(SCOPE_MS) == 0);
	scope_cancel(&s);
	CHECK(scope_spawn(&s, sleep_long, NULL) == -ECANCELED);
	CHECK(scope_close(&s) == 0);
	return 0;
}

Test(fast, S6_spawn_into_a_cancelled_scope_ecanceled)
{
	cr_assert_eq(run(cancel_root, NULL, 0), 0);
}

/* ---- parking children -------------------------------------------------------------------- */

static int nap(void *arg)
{
	scope_sleep_for((int64_t)(uintptr_t)arg);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int park_root(void *arg)
{
	uintptr_t i;
	struct scope s;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 200; i++)
		CHECK(scope_spawn(&s, i % 3 ? nap : count, (void *)(i * 1000)) == 0);
	return scope_close(&s);
}

Test(fast, P4_children_that_park)
{
	ran = 0;
	cr_assert_eq(run(park_root, NULL, 0), 0);
	cr_assert_eq(ran, 200);
	cr_assert_eq(run(park_root, NULL, 4), 0);
	cr_assert_eq(ran, 400);
}

/* ---- leaked scopes ----------------------------------------------------------------------- */

/* Runs in a frame that is dead when it looks at what lies there. */
static int late_reader(void *arg)
{
	volatile int *word = arg;

	CHECK(*word == 4711);
	CHECK(scope_sleep_for(SCOPE_MS) == -ECANCELED);
	CHECK(*word == 4711);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static __attribute__((noinline)) int leak(void *arg)
{
	volatile int word = 4711;
	struct scope outer, s;

	scope_open(&outer);
	CHECK(scope_spawn(&outer, late_reader, (void *)&word) == 0);
	scope_fast_fork(&s, late_reader, (void *)&word);
	return arg ? *(int *)arg : 0;
}

static int leak_root(void *arg)
{
	int code = -EIO, round;
	struct scope s;

	(void)arg;
	for (round = 0; round < 100; round++) {
		scope_open(&s);
		CHECK(scope_spawn(&s, count, NULL) == 0);
		CHECK(scope_spawn(&s, leak, round % 2 ? &code : NULL) == 0);
		CHECK(scope_close(&s) == -EPROTO);
		CHECK(scope_both(leak, NULL, count, NULL) == -EPROTO);
		CHECK(scope_both(count, NULL, leak, NULL) == -EPROTO);
	}
	CHECK(scope_checkpoint() == 0);
	return 0;
}

Test(fast, S11_leaked_scopes_are_joined_eproto)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(leak_root, NULL, 1), 0);
	cr_assert_eq(run(leak_root, NULL, 4), 0);
}

/* ---- misuse ------------------------------------------------------------------------------ */

static struct scope *shared;

static int close_as_member(void *arg)
{
	(void)arg;
	CHECK(scope_close(shared) == -EDEADLK);
	CHECK(scope_spawn(shared, count, NULL) == 0);
	return 0;
}

static int misuse_root(void *arg)
{
	struct scope s, younger;

	(void)arg;
	shared = &s;
	scope_open(&s);
	CHECK(scope_spawn(&s, close_as_member, NULL) == 0);
	scope_open(&younger);
	CHECK(scope_close(&s) == -EBUSY);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_spawn(&younger, count, NULL) == 0);
	CHECK(scope_close(&younger) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(scope_close(&s) == -ESTALE);
	CHECK(scope_spawn(&s, count, NULL) == -ESTALE);
	return 0;
}

Test(fast, S9_misuse_ebusy_edeadlk_estale)
{
	ran = 0;
	cr_assert_eq(run(misuse_root, NULL, 1), 0);
	cr_assert_eq(ran, 3);
	cr_assert_eq(run(misuse_root, NULL, 4), 0);
	cr_assert_eq(ran, 6);
}

static void *outside(void *arg)
{
	struct scope s = {{0}};

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, count, NULL) == -ENOTCONN);
	CHECK(scope_close(&s) == -ENOTCONN);
	CHECK(scope_fast_fork(&s, count, NULL) == -ENOTCONN);
	CHECK(scope_close(&s) == -ENOTCONN);
	CHECK(scope_both(count, NULL, count, NULL) == -ENOTCONN);
	return NULL;
}

static int outside_root(void *arg)
{
	pthread_t thread;

	(void)arg;
	CHECK(pthread_create(&thread, NULL, outside, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}

Test(fast, S2_outside_a_run_enotconn)
{
	outside(NULL);
	cr_assert_eq(run(outside_root, NULL, 0), 0);
	cr_assert_eq(ran, 0);
}
