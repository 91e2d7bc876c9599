/* tests/unit/test_offload.c: the pool of threads when the system refuses some, or they idle. */
#include "harness.h"

#include "base/atomic.h"
#include "os/os.h"

#include <errno.h>
#include <scope.h>
#include <scope_offload.h>

TestSuite(pool, .timeout = 60);

/* atomic: threads of the pool that were started, those that may still be */
static int32_t started, may_start;
static int32_t dropped;
static int armed;

static int start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	if (at_load_rlx(&armed)) {
		if (at_sub_rlx(&may_start, 1) <= 0)
			return -EAGAIN;
		at_add_rlx(&started, 1);
	}
	return sc_os_system.thread_start(thread, entry, arg);
}

/* A run whose threads all stand when the first task begins. */
static void run_with(scope_task_fn *fn, int threads)
{
	struct scope_config config = {.workers = 2, .flags = SCOPE_NO_SIGNALS};

	at_store_rlx(&started, 0);
	at_store_rlx(&may_start, threads);
	at_store_rlx(&armed, 0);
	sc_os.thread_start = start;
	cr_assert_eq(scope_run(fn, NULL, &config), 0);
	sc_os = sc_os_system;
}

static int seven(void *arg)
{
	(void)arg;
	return 7;
}

static void drop(void *arg, int result)
{
	(void)arg;
	(void)result;
	at_add_rlx(&dropped, 1);
}

static int refused(void *arg)
{
	const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON, .drop = drop};

	(void)arg;
	at_store_rlx(&armed, 1);
	if (scope_offload(seven, NULL, NULL) != -EAGAIN ||
	    scope_offload(seven, NULL, &options) != -EAGAIN || at_load_rlx(&dropped))
		return 1;
	/* Later there may be one. */
	at_store_rlx(&may_start, 1);
	return scope_offload(seven, NULL, NULL) == 7 ? 0 : 2;
}

Test(pool, B1_no_thread_can_be_started_eagain)
{
	run_with(refused, 0);
}

static int offload_seven(void *arg)
{
	(void)arg;
	return scope_offload(seven, NULL, NULL) == 7 ? 0 : 3;
}

static int many(void *arg)
{
	struct scope s;

	at_store_rlx(&armed, 1);
	if (offload_seven(arg))
		return 4;
	scope_open(&s);
	scope_spawn_n(&s, offload_seven, NULL, 0, 50);
	return scope_close(&s);
}

/* Refused or not, the calls queue for the thread that there is. */
Test(pool, B1_calls_wait_for_the_threads_that_could_be_started)
{
	run_with(many, 1);
	cr_expect_eq(started, 1);
}

Test(pool, B1_threads_are_used_again)
{
	run_with(many, 1000);
	cr_expect_leq(started, 51);
	cr_expect_geq(started, 1);
}

/* ---- a clock that is set ahead --------------------------------------------------------------- */

static int64_t ahead; /* atomic */

static int64_t fast_now(void)
{
	return sc_os_system.now() + at_load_rlx(&ahead);
}

/* May return early: each millisecond somebody looks at the time. */
static void short_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
	int64_t soon = sc_os_system.now() + 1000000;

	(void)deadline;
	sc_os_system.wait(word, expected, soon);
}

static int idle_for_long(void *arg)
{
	int rc = 0;

	at_store_rlx(&armed, 1);
	while (rc == 0 && at_load_rlx(&started) < 3) {
		rc = offload_seven(arg);
		at_add_rlx(&ahead, 6 * SCOPE_SEC);
		scope_sleep_for(2 * SCOPE_MS);
	}
	return rc;
}

Test(pool, B1_an_idle_thread_ends_after_a_while)
{
	sc_os.now = fast_now;
	sc_os.wait = short_wait;
	run_with(idle_for_long, 1000);
}
