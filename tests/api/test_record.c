/* tests/api/test_record.c: the memory of error records and of tasks that fail: rules E3 to E5. */
#include "task_check.h"

#include <string.h>

TestSuite(record, .timeout = 60);

static int sleep_and_fail(void *arg)
{
	scope_sleep_for(SCOPE_MS);
	return *(int *)arg;
}

/* What a root saw: it can't leave by the test's longjmp. */
static struct {
	int code, listed;
	char path[256];
} seen;

static void look(int code)
{
	const struct scope_error *error = scope_last_error(), *each;

	seen.code = code;
	seen.listed = 0;
	if (!error)
		return;
	snprintf(seen.path, sizeof seen.path, "%s", error->path);
	for (each = error->suppressed; each && seen.listed < 100; each = each->next)
		seen.listed++;
}

static int copy_that_fails(void *arg)
{
	int code = -EIO;
	struct scope s;

	scope_open(&s);
	scope_spawn_copy(&s, arg ? sleep_and_fail : fail_with, &code, sizeof code);
	look(scope_close(&s));
	return 0;
}

Test(record, E4_failed_copy_is_in_the_path_when_inlined)
{
	cr_assert_eq(run(copy_that_fails, NULL, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_str_eq(seen.path, "/copy_that_fails/fail_with");
}

Test(record, E4_failed_copy_is_in_the_path_when_it_parked)
{
	static int parks;

	cr_assert_eq(run(copy_that_fails, &parks, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_str_eq(seen.path, "/copy_that_fails/sleep_and_fail");
}

static int named_on_a_stack_of_its_own(void *arg)
{
	struct scope_spawn_options options = {.name = "reader", .copy_size = sizeof(int)};
	int code = -EIO;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, fail_with, &code, &options);
	scope_wait_until(&s, SCOPE_NEVER); /* never inlined here (P1) */
	look(scope_close(&s));
	return 0;
}

Test(record, E4_failed_copy_is_in_the_path_on_a_stack_of_its_own)
{
	cr_assert_eq(run(named_on_a_stack_of_its_own, NULL, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_str_eq(seen.path, "/named_on_a_stack_of_its_own/reader");
}

/* The body hands in what one close gave it, several times, after another error. */
static int hand_in_again(void *arg)
{
	struct scope_options shield = {.shield = true};
	int code = -EINVAL, rc, i;
	struct scope s, inner;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, "the first");
	scope_open_with(&inner, &shield);
	scope_spawn(&inner, fail_with, &code);
	rc = scope_close(&inner);
	for (i = 0; i < 3; i++)
		scope_fail(&s, rc, NULL);
	look(scope_close(&s));
	return 0;
}

Test(record, E3_one_failure_handed_in_again_is_listed_once)
{
	cr_assert_eq(run(hand_in_again, NULL, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_eq(seen.listed, 1);
}
