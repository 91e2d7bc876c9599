/* tests/unit/test_storm.c: scenario 14: the cancel of very many parked tasks is linear, allocates
 * nothing, and needs no more of a stack for many than for few.
 */
#include "api/task_check.h"

#include "base/atomic.h"
#include "os/os.h"

#include <stdlib.h>

TestSuite(scenario, .timeout = 600);

/* STORM_TASKS=1000000 for all of them: that takes 9 GB. */
static int tasks(void)
{
	const char *text = getenv("STORM_TASKS");

	return text && atoi(text) > 0 ? atoi(text) : CHECKED ? 1000 : 50000;
}

static uint32_t allocs; /* atomic */

static void *counting_alloc(size_t size)
{
	at_add_rlx(&allocs, 1);
	return sc_os_system.alloc(size);
}

static int waits(void *arg)
{
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return count(arg);
}

/* Two tasks: this one is parked in the close of a scope of its own. */
static int waits_for_one(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, waits, arg, &concurrent);
	return scope_close(&s);
}

/* Of the only worker: time that others took from it says nothing about the cancel. */
static int64_t own_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * SCOPE_SEC + t.tv_nsec;
}

struct storm {
	int tasks;
	int64_t took_ns;
	uint32_t allocs;
};

static int cancel_all(void *arg)
{
	struct storm *storm = arg;
	struct scope s;
	int i;

	scope_open(&s);
	for (i = 0; i < storm->tasks / 2; i++) {
		CHECK_EQ(scope_spawn_with(&s, waits_for_one, NULL, &concurrent), 0);
		if (i % 1000 == 0)
			scope_yield();
	}
	scope_sleep_for(SCOPE_MS); /* virtual: all of them are parked */
	storm->allocs = at_load_rlx(&allocs);
	storm->took_ns = own_time();
	scope_cancel(&s);
	storm->took_ns = own_time() - storm->took_ns;
	storm->allocs = at_load_rlx(&allocs) - storm->allocs;
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, storm->tasks / 2);
	return 0;
}

/* *best: the smallest so far. */
static void cancel_of(int count, int64_t *best)
{
	struct scope_config config = {
		.workers = 1, .flags = SCOPE_VIRTUAL_CLOCK, .stack_size = 16384};
	struct storm storm = {.tasks = count};

	ran = 0;
	cr_assert_eq(run_config(cancel_all, &storm, config), 0);
	cr_expect_eq(storm.allocs, 0, "%u allocations", storm.allocs);
	if (storm.took_ns < *best)
		*best = storm.took_ns;
}

/* The canceller has a stack of 16 KiB, whatever the number is. */
Test(scenario, s14_cancel_of_very_many_parked_tasks_is_linear)
{
	int64_t some = INT64_MAX, many = INT64_MAX;
	int i, least = tasks() > 100000 ? 1 : 3;

	sc_os.alloc = counting_alloc;
	/* Four times as many; squared it would be sixteen times, and never less.  Others use the
	 * caches too, in which some of them lie and many do not. */
	for (i = 0; i < 12 && (i < least || many >= 10 * some); i++) {
		cancel_of(tasks() / 4, &some);
		cancel_of(tasks(), &many);
	}
	sc_os.alloc = sc_os_system.alloc;
	cr_expect(CHECKED || many < 10 * some, "%lld ns became %lld", (long long)some,
		  (long long)many);
	printf("# %d: %.1f ns each\n", tasks(), (double)many / tasks());
}
