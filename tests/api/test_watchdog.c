/* tests/api/test_watchdog.c: tasks that do not obey their cancel are named, once: O3. */
#include "task_check.h"

#include <scope_offload.h>
#include <string.h>

TestSuite(watchdog, .timeout = 60);

/* ---- what was reported ------------------------------------------------------------------ */

static char said[1 << 16];
static size_t used; /* the reporter calls one at a time */
static atomic_int warnings;

static void take_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (used + length < sizeof(said))
		memcpy(said + used, text, length);
	used += length;
	/* What follows the headline; where a task is has been found out then. */
	if (length > 3 && memcmp(text, "  /", 3) == 0)
		atomic_fetch_add(&warnings, 1);
}

/* A fifth of a second is allowed: this machine may hold a task up for a while. */
static void watched(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {
		.workers = 2, .watchdog_ns = 200 * SCOPE_MS, .report = take_report};

	memset(said, 0, sizeof(said));
	used = 0;
	atomic_store(&warnings, 0);
	cr_assert_eq(run_config(fn, arg, config), 0);
}

/* Computes until so many warnings came, then for some looks of the watchdog more. */
static void compute_until(int many)
{
	int64_t end;

	while (atomic_load(&warnings) < many)
		;
	end = real_now() + 300 * SCOPE_MS;
	while (real_now() < end)
		;
}

/* ---- tasks that compute ----------------------------------------------------------------- */

static atomic_int begun;

static int computes(void *arg)
{
	atomic_store(&begun, 1);
	compute_until(1);
	(void)arg;
	return 0;
}

static int cancel_a_loop(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	scope_open_with(&s, &options);
	CHECK_EQ(scope_spawn_with(&s, computes, arg, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	scope_cancel(&s);
	/* Not in close, which would be told of too. */
	while (atomic_load(&warnings) < 1)
		scope_checkpoint();
	return scope_close(&s);
}

static void watch_a_loop(void)
{
	atomic_store(&begun, 0);
	watched(cancel_a_loop, NULL);
}

Test(watchdog, O3_a_task_that_computes_is_named_with_its_stack)
{
	watch_a_loop();
	cr_expect_not_null(strstr(said, "libscope: watchdog: this task called no checkpoint "),
			   "%s", said);
	cr_expect_not_null(strstr(said, "\n  /cancel_a_loop/computes: running, on worker "),
			   "%s", said);
#ifndef SC_TEST_CHECKED /* which run handlers late */
	while (!strstr(said, "\n      at compute")) /* it answers when the system lets it run */
		watch_a_loop();
#endif
}

static int computes_itself(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	compute_until(1);
	return scope_close(&s);
}

Test(watchdog, O3_each_is_named_once)
{
	watched(computes_itself, NULL);
	cr_expect_eq(warnings, 1, "%s", said);
}

/* ---- closes ----------------------------------------------------------------------------- */

static int sleeps_on(void *arg)
{
	struct scope_options options = {.shield = true, .name = "stubborn"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	atomic_store(&begun, 1);
	while (atomic_load(&warnings) < 1)
		scope_sleep_for(SCOPE_MS);
	scope_sleep_for(300 * SCOPE_MS);
	return scope_close(&s);
}

static int closes_over_a_shield(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	scope_open_with(&s, &options);
	CHECK_EQ(scope_spawn_with(&s, sleeps_on, arg, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	scope_cancel(&s);
	return scope_close(&s);
}

Test(watchdog, O3_a_close_that_waits_is_named_with_those_it_waits_for)
{
	watched(closes_over_a_shield, NULL);
	cr_expect_eq(warnings, 1, "%s", said);
	cr_expect_not_null(strstr(said, "libscope: watchdog: a close still waits for these tasks "),
			   "%s", said);
	cr_expect_not_null(strstr(said, "\n  /closes_over_a_shield: in close"), "%s", said);
	cr_expect_not_null(strstr(said, ", 1 task left, cancelled (cancelled)\n"), "%s", said);
	cr_expect_not_null(strstr(said, "\n  /closes_over_a_shield/sleeps_on: "), "%s", said);
	cr_expect_not_null(strstr(said, "scope \"stubborn\" opened at sleeps_on"), "%s", said);
}

/* ---- calls ------------------------------------------------------------------------------ */

static int blocks(void *arg)
{
	(void)arg;
	atomic_store(&begun, 1);
	compute_until(1);
	return 0;
}

static int offloads(void *arg)
{
	return scope_offload(blocks, arg, NULL);
}

static int cancel_a_call(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, offloads, arg, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	scope_cancel(&s);
	while (atomic_load(&warnings) < 1)
		scope_checkpoint();
	return scope_close(&s);
}

Test(watchdog, O3_a_call_that_goes_on_is_named)
{
	watched(cancel_a_call, NULL);
	cr_expect_not_null(strstr(said, "libscope: watchdog: an offloaded call goes on "), "%s",
			   said);
	cr_expect_not_null(strstr(said, "\n  /cancel_a_call/offloads: in an offloaded call of "
					"blocks"), "%s", said);
}

/* ---- those that are left alone ------------------------------------------------------------- */

static int obeys(void *arg)
{
	int64_t end = real_now() + 400 * SCOPE_MS;
	struct scope s;

	(void)arg;
	/* A long computation that nobody cancelled, then checkpoints in a cancelled place. */
	while (real_now() < end)
		;
	scope_open(&s);
	scope_cancel(&s);
	for (end += 400 * SCOPE_MS; real_now() < end;)
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
	return scope_close(&s);
}

Test(watchdog, O3_a_task_that_obeys_is_not_named)
{
	watched(obeys, NULL);
	cr_expect_eq(warnings, 0, "%s", said);
}

static int computes_for_long(void *arg)
{
	int64_t end = real_now() + 400 * SCOPE_MS;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	while (real_now() < end)
		;
	return scope_close(&s);
}

Test(watchdog, O3_nothing_is_watched_by_default)
{
	struct scope_config config = {.report = take_report};

	cr_assert_eq(run_config(computes_for_long, NULL, config), 0);
	cr_expect_eq(warnings, 0, "%s", said);
}
