/* tests/api/test_record.c: the memory of error records and of tasks that fail: rules E3 to E5. */
#include "harness.h"

#include <errno.h>
#include <string.h>

#include <scope.h>

TestSuite(record, .timeout = 60);

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static int run(scope_task_fn *fn, void *arg, unsigned workers)
{
	struct scope_config config = {.workers = workers,
				      .flags = SCOPE_VIRTUAL_CLOCK | SCOPE_NO_SIGNALS,
				      .report = no_report};

	return scope_run(fn, arg, &config);
}

static int fail_with(void *arg)
{
	return *(int *)arg;
}

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
