/* tests/api/test_cause.c: what cancelled what, and who did it: rule C10. */
#include "task_check.h"

#include <string.h>

TestSuite(cause, .timeout = 60);

static struct scope_cause_info info;

static int lies_in(const void *site, scope_task_fn *fn)
{
	return (const char *)site > (const char *)(uintptr_t)fn &&
	       (const char *)site < (const char *)(uintptr_t)fn + 4096;
}

static int wait_for_cancel(void *arg)
{
	(void)arg;
	scope_sleep_until(SCOPE_NEVER);
	return 0;
}

/* ---- scope_cancel ----------------------------------------------------------------------- */

static int stopper(void *arg)
{
	scope_cancel(arg);
	return 0;
}

static int is_cancelled_by_a_child(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_NONE);
	CHECK_EQ(info.origin, SCOPE_CAUSE_NONE);
	CHECK_EQ(strlen(info.path), 0);
	CHECK_EQ(scope_spawn_with(&s, stopper, &s, arg), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(info.cause, SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(info.origin, SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(strcmp(info.scope, "pool"), 0);
	CHECK_EQ(strcmp(info.text, ""), 0);
	CHECK(lies_in(info.site, stopper));
	/* A second call changes nothing, and its caller is not who did it. */
	scope_cancel(&s);
	CHECK_EQ(scope_cause(&s, NULL), SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int cancelled_by_a_child(void *arg)
{
	struct scope_spawn_options named = {.name = "the stopper, whose name is long"};

	(void)arg;
	is_cancelled_by_a_child(NULL);
	CHECK_EQ(strcmp(info.path, "/cancelled_by_a_child/stopper"), 0);
	is_cancelled_by_a_child(&named);
	/* Names of tasks that have ended are kept as far as there is room. */
	CHECK_EQ(strcmp(info.path, "/cancelled_by_a_child/the stopper, whose name"), 0);
	named.flags = SCOPE_CONCURRENT;
	is_cancelled_by_a_child(&named);
	CHECK_EQ(strcmp(info.path, "/cancelled_by_a_child/the stopper, whose name#2"), 0);
	return 0;
}

Test(cause, C10_of_a_cancel_by_call_has_the_scope_and_the_caller)
{
	cr_assert_eq(run(cancelled_by_a_child, NULL, 1), 0);
	cr_assert_eq(run(cancelled_by_a_child, NULL, 2), 0);
}

static int forgets_the_oldest(void *arg)
{
	enum { SCOPES = 65 };
	struct scope s[SCOPES];
	struct scope_options shield = {.shield = true};
	int i;

	(void)arg;
	for (i = 0; i < SCOPES; i++) {
		CHECK_EQ(scope_open_with(&s[i], &shield), 0);
		scope_cancel(&s[i]);
	}
	CHECK_EQ(scope_cause(&s[0], &info), SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(strcmp(info.path, ""), 0);
	CHECK_EQ(scope_cause(&s[1], &info), SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(strcmp(info.path, "/forgets_the_oldest"), 0);
	while (i-- > 0)
		CHECK_EQ(scope_close(&s[i]), 0);
	return 0;
}

Test(cause, C10_of_the_last_sixty_four_calls_the_caller_is_known)
{
	cr_assert_eq(run(forgets_the_oldest, NULL, 1), 0);
}

static int cancels_deep_below(void *arg)
{
	static int depth;
	struct scope s;

	if (depth++ == 20) {
		scope_cancel(arg);
		return 0;
	}
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, cancels_deep_below, arg), 0);
	scope_close(&s);
	depth = 0;
	return 0;
}

static int cancelled_from_deep_below(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, cancels_deep_below, &s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_EXPLICIT);
	CHECK(strncmp(info.path, "/cancelled_from_deep_below/cancels_deep_below", 45) == 0);
	CHECK(strstr(info.path, "/…/") != NULL);
	CHECK(path_is(strrchr(info.path, '/'), "/cancels_deep_below"));
	scope_close(&s);
	return 0;
}

Test(cause, C10_the_path_of_a_deep_caller_is_cut_in_the_middle)
{
	cr_assert_eq(run(cancelled_from_deep_below, NULL, 1), 0);
}

/* ---- other causes ----------------------------------------------------------------------- */

static int by_deadline(void *arg)
{
	struct scope_options options = {.name = "fetch",
					.deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_DEADLINE);
	CHECK_EQ(strcmp(info.scope, "fetch"), 0);
	CHECK_EQ(strcmp(info.path, "/by_deadline"), 0);
	CHECK(lies_in(info.site, by_deadline));
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* After close the cause alone is known. */
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_DEADLINE);
	CHECK_EQ(info.origin, SCOPE_CAUSE_DEADLINE);
	CHECK_EQ(strcmp(info.scope, ""), 0);
	CHECK_EQ(strcmp(info.path, ""), 0);
	return 0;
}

Test(cause, C10_of_a_deadline_has_the_scope_and_its_owner)
{
	cr_assert_eq(run(by_deadline, NULL, 1), 0);
}

static int fails_with_text(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, "sector %d", 17);
	return scope_close(&s);
}

static int by_error(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, fails_with_text, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_ERROR);
	CHECK_EQ(info.code, -EIO);
	CHECK_EQ(strcmp(info.path, "/by_error/fails_with_text"), 0);
	CHECK_EQ(strcmp(info.text, "sector 17"), 0);
	CHECK_EQ(strcmp(info.scope, ""), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_cause(&s, NULL), SCOPE_CAUSE_ERROR);
	return 0;
}

Test(cause, C10_of_an_error_has_code_text_and_the_task_that_failed)
{
	cr_assert_eq(run(by_error, NULL, 1), 0);
}

static int from_above(void *arg)
{
	struct scope_options options = {.name = "outer"}, shield = {.shield = true};
	struct scope outer, middle, inner, shielded;

	(void)arg;
	CHECK_EQ(scope_open_with(&outer, &options), 0);
	scope_open(&middle);
	scope_open(&inner);
	scope_cancel(&outer);
	CHECK_EQ(scope_cause(&inner, &info), SCOPE_CAUSE_PARENT);
	CHECK_EQ(info.cause, SCOPE_CAUSE_PARENT);
	CHECK_EQ(info.origin, SCOPE_CAUSE_EXPLICIT);
	CHECK_EQ(strcmp(info.scope, "outer"), 0);
	CHECK_EQ(strcmp(info.path, "/from_above"), 0);
	CHECK_EQ(scope_open_with(&shielded, &shield), 0);
	CHECK_EQ(scope_cause(&shielded, &info), SCOPE_CAUSE_NONE);
	CHECK_EQ(scope_close(&shielded), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&inner), -ECANCELED);
	CHECK_EQ(scope_cause(&inner, &info), SCOPE_CAUSE_PARENT);
	CHECK_EQ(scope_close(&middle), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(scope_cause(&outer, &info), SCOPE_CAUSE_EXPLICIT);
	return 0;
}

Test(cause, C10_from_above_tells_why_that_one_was_cancelled)
{
	cr_assert_eq(run(from_above, NULL, 1), 0);
}

static int never_cancelled(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_cause(&s, &info), SCOPE_CAUSE_NONE);
	return 0;
}

Test(cause, C10_none_after_close_either)
{
	cr_assert_eq(run(never_cancelled, NULL, 1), 0);
}

Test(cause, S2_scope_cause_outside_a_task_enotconn)
{
	struct scope s;

	memset(&s, 0, sizeof(s));
	cr_assert_eq(scope_cause(&s, &info), -ENOTCONN);
	cr_assert_eq(scope_cause(&s, NULL), -ENOTCONN);
}

/* Any member may ask while its scope is open. */
static int asks_above(void *arg)
{
	struct scope_cause_info mine;

	scope_sleep_until(SCOPE_NEVER);
	CHECK_EQ(scope_cause(arg, &mine), SCOPE_CAUSE_DEADLINE);
	CHECK_EQ(strcmp(mine.path, "/asked_by_many"), 0);
	return 0;
}

static int asked_by_many(void *arg)
{
	struct scope_options options = {.name = "asked", .deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_n(&s, asks_above, &s, 0, 50), 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(cause, C10_members_ask_at_once)
{
	cr_assert_eq(run(asked_by_many, NULL, 1), 0);
	cr_assert_eq(run(asked_by_many, NULL, 2), 0);
	cr_assert_eq(run(asked_by_many, NULL, 4), 0);
}

/* ---- in errors -------------------------------------------------------------------------- */

static char because[2048], path[1024];

static void keep_last(void)
{
	const struct scope_error *error = scope_last_error();

	CHECK(error != NULL);
	if (error && error->suppressed)
		error = error->suppressed;
	snprintf(because, sizeof(because), "%s", error ? error->because : "");
	snprintf(path, sizeof(path), "%s", error ? error->path : "");
}

static int fails_when_cancelled(void *arg)
{
	(void)arg;
	wait_for_cancel(NULL);
	return -EPIPE;
}

static int errors_say_why(void *arg)
{
	struct scope_options options = {.name = "pool"}, limit = {.name = "fetch"};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fails_when_cancelled, NULL), 0);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_spawn(&s, fails_with_text, NULL), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	keep_last();
	CHECK_EQ(strcmp(path, "/errors_say_why/fails_when_cancelled"), 0);
	CHECK_EQ(strcmp(because, "/errors_say_why/fails_with_text failed with -EIO"), 0);

	limit.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &limit), 0);
	CHECK_EQ(scope_spawn(&s, fails_when_cancelled, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPIPE);
	keep_last();
	CHECK_EQ(strcmp(path, "/errors_say_why/fails_when_cancelled#2"), 0);
	CHECK_EQ(strcmp(because, "the deadline of scope \"fetch\" of /errors_say_why has passed"),
		 0);

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fails_when_cancelled, NULL), 0);
	CHECK_EQ(scope_spawn(&s, stopper, &s), 0);
	CHECK_EQ(scope_close(&s), -EPIPE);
	keep_last();
	CHECK_EQ(strncmp(because,
			 "scope \"pool\" was cancelled by /errors_say_why/stopper at stopper "
			 "(tests/api/test_cause.c:",
			 80),
		 0);
	return 0;
}

Test(cause, E4_a_record_says_what_cancelled_its_task)
{
	cr_assert_eq(run(errors_say_why, NULL, 1), 0);
}

/* A body that fails twice, and a task that leaves a scope open and fails itself. */
static int fails_twice(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, "first");
	scope_fail(&s, -EPROTO, "second");
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_last_error()->suppressed->cause, SCOPE_CAUSE_NONE);
	keep_last();
	CHECK_EQ(strcmp(because, ""), 0);
	return 0;
}

Test(cause, E4_a_task_is_not_cancelled_by_its_own_failure)
{
	cr_assert_eq(run(fails_twice, NULL, 1), 0);
}
