/* tests/api/test_words.c: calls without a scope or a function, variables that make no sense. */
#define _GNU_SOURCE
#include "task_check.h"

#include <scope_parallel.h>
#include <stdlib.h>
#include <string.h>

TestSuite(words, .timeout = 60);

/* ---- NULL ------------------------------------------------------------------------------- */

#ifndef SC_DEBUG /* which ends the program at such a call */
static int calls_with_null(void *arg)
{
	int value = 0;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(NULL, NULL), -EINVAL);
	scope_open(&s);
	CHECK_EQ(scope_spawn(NULL, never_called, NULL), -EINVAL);
	CHECK_EQ(scope_spawn_with(NULL, never_called, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_spawn_with(&s, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_spawn_copy(NULL, never_called, &value, sizeof value), -EINVAL);
	CHECK_EQ(scope_spawn_copy(&s, NULL, &value, sizeof value), -EINVAL);
	CHECK_EQ(scope_spawn_n(NULL, never_called, NULL, 0, 2), -EINVAL);
	CHECK_EQ(scope_spawn_n(&s, NULL, NULL, 0, 2), -EINVAL);
	CHECK_EQ(scope_close(NULL), -EINVAL);
	CHECK_EQ(scope_wait_until(NULL, 0), -EINVAL);
	CHECK_EQ(scope_fail(NULL, -EIO, NULL), -EINVAL);
	CHECK_EQ(scope_set_shield(NULL, true), -EINVAL);
	CHECK_EQ(scope_set_deadline(NULL, SCOPE_NEVER), -EINVAL);
	scope_cancel(NULL);
	CHECK_EQ(scope_within(SCOPE_SEC, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_for(0, 9, 0, NULL, NULL), -EINVAL);
	/* Nothing has happened. */
	CHECK_EQ(scope_checkpoint(), 0);
	return scope_close(&s);
}

Test(words, S9_calls_without_a_scope_or_a_function_einval)
{
	cr_assert_eq(run(calls_with_null, NULL, 1), 0);
	cr_assert_eq(scope_run(NULL, NULL, NULL), -EINVAL);
}
#endif

/* ---- the environment -------------------------------------------------------------------- */

static char said[4096];

static void keep_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	strncat(said, text, length < sizeof(said) - strlen(said) ? length : 0);
}

static int run_with(const char *name, const char *value, scope_task_fn *fn)
{
	struct scope_config config = {.report = keep_report};
	const char *before = getenv(name);
	char *kept = before ? strdup(before) : NULL;
	int rc;

	setenv(name, value, 1);
	said[0] = '\0';
	rc = run_config(fn, NULL, config);
	if (kept)
		setenv(name, kept, 1);
	else
		unsetenv(name);
	free(kept);
	return rc;
}

/* Said in the first run that meets it, and no more. */
static void is_said_once(const char *name, const char *value, const char *wanted)
{
	char expected[200];

	snprintf(expected, sizeof(expected),
		 "libscope: %s=%s in the environment is not %s: it is ignored\n", name, value,
		 wanted);
	cr_expect_eq(run_with(name, value, count), 0);
	cr_expect_str_eq(said, expected);
	cr_expect_eq(run_with(name, value, count), 0);
	cr_expect_str_eq(said, "");
}

Test(words, S2_a_number_of_workers_that_is_none_is_reported)
{
	is_said_once("SCOPE_WORKERS", "two", "a number up to 1024");
}

Test(words, Z2_a_seed_that_is_no_number_is_reported)
{
	is_said_once("SCOPE_SEED", "0x12 or so", "a number");
}

Test(words, Z3_another_value_than_one_and_zero_is_reported)
{
	is_said_once("SCOPE_DETECT_DEADLOCK", "yes", "0 or 1");
}

Test(words, S2_good_and_empty_variables_are_not_reported)
{
	static const char *const good[][2] = {
		{"SCOPE_WORKERS", ""}, {"SCOPE_WORKERS", "0"},      {"SCOPE_WORKERS", "3"},
		{"SCOPE_SEED", "0"},   {"SCOPE_SEED", "0xfffffff"}, {"SCOPE_DETECT_DEADLOCK", "0"},
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		cr_expect_eq(run_with(good[i][0], good[i][1], count), 0);
		cr_expect_str_eq(said, "");
	}
}

static int waits_for_nothing(void *arg)
{
	(void)arg;
	scope_sleep_until(SCOPE_NEVER);
	return 0;
}

Test(words, Z3_the_environment_asks_for_detection_of_deadlocks)
{
	cr_assert_eq(run_with("SCOPE_DETECT_DEADLOCK", "1", waits_for_nothing), -EDEADLK);
	cr_assert_not_null(strstr(said, "libscope: deadlock: every task is parked"), "%s", said);
}
