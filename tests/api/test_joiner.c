/* tests/api/test_joiner.c: what ends a scope: policies, limits, results: rules R1 to R4, S15. */
#include "task_check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(joiner, .timeout = 60);

/* ---- AWAIT_ALL ----------------------------------------------------------------------------- */

static int codes[] = {-EIO, -EPIPE, -ENOENT};

static int sleep_and_count(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return count(arg);
}

static int fail_later(void *arg)
{
	int *code = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS * (1 + (code - codes))), 0);
	return *code;
}

static int all_are_awaited(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	const struct scope_spawn_options *how = arg;
	const struct scope_error *error;
	struct scope s;
	int i;

	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_spawn_with(&s, sleep_and_count, NULL, how), 0);
		CHECK_EQ(scope_spawn_with(&s, fail_later, &codes[i], how), 0);
	}
	CHECK_EQ(scope_fail(&s, -EDOM, "the body's own"), -EDOM);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_and_count, NULL, how), 0);
	CHECK_EQ(scope_close(&s), -EDOM);
	CHECK_EQ(ran, 4);
	CHECK(!scope_cancel_called(&s));
	error = scope_last_error();
	CHECK_EQ(error->code, -EDOM);
	for (error = error->suppressed, i = 0; error; error = error->next)
		i++;
	CHECK_EQ(i, 3);
	/* Its own cancel acts as ever. */
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, fail_with, &codes[0], how), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	return 0;
}

Test(joiner, R1_await_all_lets_all_end_and_lists_their_errors)
{
	must_run(all_are_awaited, NULL);
	must_run(all_are_awaited, (void *)(uintptr_t)&concurrent);
}

static int unknown_policy(void *arg)
{
	struct scope_options options = {.policy = 17};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), -EINVAL);
	return 0;
}

Test(joiner, R1_an_unknown_policy_einval)
{
	must_run(unknown_policy, NULL);
}
