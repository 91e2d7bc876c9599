/* tests/stress/test_many.c: very many children of one scope, steals of them, and tasks that
 * compute without calling in while other workers are hungry. */
#include "harness.h"

#include <scope.h>
#include <scope_observe.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The shim is for builds that are slow. */
#ifdef SC_TEST_SHIM
enum { STEALS = 3000, CHILDREN = 100000 };
#else
enum { STEALS = 300000, CHILDREN = 10000000 };
#endif
enum { WORKERS = 8, GROUP = 100000 };

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double budget(void)
{
	const char *text = getenv("STRESS_SECONDS");

	return text && atoi(text) > 0 ? atoi(text) : 5;
}

static int run(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {.workers = WORKERS, .flags = SCOPE_NO_SIGNALS};

	return scope_run(fn, arg, &config);
}

/* One line of the cache each would cost more than it saves: the sum is what is asked for. */
static uint64_t ran; /* atomic */

static int count_run(void *arg)
{
	(void)arg;
	__atomic_add_fetch(&ran, 1, __ATOMIC_RELAXED);
	return 0;
}

/* ---- ten million children ------------------------------------------------------------ */

static int many_spawned(void *arg)
{
	struct scope s;
	int i, rc = 0;

	(void)arg;
	scope_open(&s);
	for (i = 1; i <= CHILDREN && rc == 0; i++) {
		rc = scope_spawn(&s, count_run, NULL);
		/* Some of them end while the scope is open: its count goes up and down. */
		if (i % GROUP == 0 && i / GROUP % 10 == 0)
			rc = scope_wait_until(&s, SCOPE_NEVER);
	}
	scope_fail(&s, rc, NULL);
	return scope_close(&s);
}

Test(stress, ten_million_children_of_one_scope)
{
	ran = 0;
	cr_assert_eq(run(many_spawned, NULL), 0);
	cr_assert_eq(ran, (uint64_t)CHILDREN, "%llu ran", (unsigned long long)ran);
}

static int mark_run(void *arg)
{
	__atomic_add_fetch((unsigned char *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

static int many_in_a_range(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_fail(&s, scope_spawn_n(&s, mark_run, arg, 1, CHILDREN), NULL);
	return scope_close(&s);
}

Test(stress, ten_million_children_of_one_range_run_once)
{
	unsigned char *cell = calloc(CHILDREN, 1);
	size_t i, bad = 0;

	cr_assert_not_null(cell);
	cr_assert_eq(run(many_in_a_range, cell), 0);
	for (i = 0; i < CHILDREN; i++)
		bad += cell[i] != 1;
	cr_assert_eq(bad, 0u, "%zu children did not run once", bad);
	free(cell);
}

/* ---- steals -------------------------------------------------------------------------- */

struct steals {
	uint64_t spawned, stolen;
};

static void compute(unsigned turns)
{
	volatile unsigned i;

	for (i = 0; i < turns; i++)
		;
}

static int short_work(void *arg)
{
	compute(200);
	return count_run(arg);
}

/* All in one scope, which stays open; who waits leaves what it has to the others. */
static int steal_often(void *arg)
{
	struct steals *steals = arg;
	struct scope_stats stats = {0};
	double end = seconds() + 60;
	struct scope s;
	int i, rc = 0;

	scope_open(&s);
	while (rc == 0 && stats.tasks_stolen < STEALS && seconds() < end) {
		for (i = 0; i < 2000 && rc == 0; i++, steals->spawned++)
			rc = scope_spawn(&s, short_work, NULL);
		if (rc == 0)
			rc = scope_wait_until(&s, SCOPE_NEVER);
		scope_stats_get(&stats);
	}
	steals->stolen = stats.tasks_stolen;
	scope_fail(&s, rc, NULL);
	return scope_close(&s);
}

Test(stress, many_steals_of_one_scope)
{
	struct steals steals = {0, 0};

	ran = 0;
	cr_assert_eq(run(steal_often, &steals), 0);
	cr_assert_eq(ran, steals.spawned, "%llu of %llu ran", (unsigned long long)ran,
		     (unsigned long long)steals.spawned);
	cr_assert_geq(steals.stolen, (uint64_t)STEALS, "only %llu steals",
		      (unsigned long long)steals.stolen);
}

/* ---- work of tasks that do not call in ----------------------------------------------- */

enum { BATCH = 64 };

struct soak {
	double end;
	uint64_t accepted;
	int wrong;
};

/* A tree whose results are known: each interrupted push and pop that goes wrong shows. */
struct fib {
	int n;
	long result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left = {f->n - 1, 0}, right = {f->n - 2, 0};
	struct scope s;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	scope_open(&s);
	scope_spawn(&s, fib, &left);
	scope_fail(&s, fib(&right), NULL);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

/* Spawns, then computes for longer than a hungry worker waits: its slots have to be taken
 * from it by the signal, at whatever instruction it is. */
static int hoard_and_compute(void *arg)
{
	struct soak *soak = arg;
	struct fib f = {18, 0};
	struct scope s;
	int i, rc = 0;

	scope_open(&s);
	for (i = 0; i < BATCH && rc == 0; i++) {
		rc = scope_spawn(&s, short_work, NULL);
		__atomic_add_fetch(&soak->accepted, rc == 0, __ATOMIC_RELAXED);
		compute(2000);
	}
	compute(200000);
	scope_fail(&s, rc, NULL);
	rc = scope_close(&s);
	if (fib(&f) != 0 || f.result != 2584)
		__atomic_store_n(&soak->wrong, 1, __ATOMIC_RELAXED);
	return rc;
}

static int soak_signals(void *arg)
{
	struct soak *soak = arg;
	struct scope s;
	int i, rc = 0;

	while (rc == 0 && seconds() < soak->end) {
		scope_open(&s);
		/* Fewer hoarders than workers, so that some are always hungry. */
		for (i = 0; i < 3; i++)
			scope_spawn(&s, hoard_and_compute, soak);
		rc = scope_close(&s);
	}
	return rc;
}

Test(stress, signals_expose_the_work_of_tasks_that_compute)
{
	struct soak soak = {.end = seconds() + budget()};

	ran = 0;
	cr_assert_eq(run(soak_signals, &soak), 0);
	cr_assert_eq(soak.wrong, 0);
	cr_assert_gt(ran, 0u);
	cr_assert_eq(ran, soak.accepted, "%llu of %llu ran", (unsigned long long)ran,
		     (unsigned long long)soak.accepted);
}
