/* tests/api/test_record.c: the memory of error records and of tasks that fail: rules E3 to E5. */
#include "task_check.h"

#include <malloc.h>
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

/* The same, but the failure handed in again is the scope's first, or not the last of its list. */
static int hand_in_first_and_middle(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct scope s, inner;

	(void)arg;
	scope_open(&s);
	scope_open_with(&inner, &shield);
	scope_fail(&inner, -EIO, "one failure");
	CHECK(scope_close(&inner) == -EIO);
	scope_fail(&s, -EIO, NULL);
	scope_fail(&s, -EIO, NULL); /* the first itself */
	scope_fail(&s, -EINVAL, NULL);
	scope_open_with(&inner, &shield);
	scope_fail(&inner, -ENOENT, "another");
	CHECK(scope_close(&inner) == -ENOENT);
	scope_fail(&s, -ENOENT, NULL);
	scope_fail(&s, -ERANGE, NULL);
	scope_fail(&s, -ENOENT, NULL); /* has a follower */
	look(scope_close(&s));
	CHECK(scope_last_error()->uncounted == 2);
	return 0;
}

Test(record, E3_the_first_failure_or_one_of_many_handed_in_again_is_listed_once)
{
	cr_assert_eq(run(hand_in_first_and_middle, NULL, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_eq(seen.listed, 3);
}

/* What one close gave is handed in to two scopes that are open at once. */
static int hand_in_to_two(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct scope s, inner, below;

	scope_open(&s);
	if (!arg)
		scope_fail(&s, -EINVAL, "the first of s");
	scope_open_with(&inner, &shield);
	scope_fail(&inner, -EIO, "in both");
	CHECK(scope_close(&inner) == -EIO);
	scope_fail(&s, -EIO, NULL);
	scope_open_with(&below, &shield);
	if (!arg)
		scope_fail(&below, -ERANGE, "the first of the inner one");
	scope_fail(&below, -EIO, NULL);
	scope_fail(&below, -EDOM, "in the inner one only");
	look(scope_close(&below));
	CHECK_EQ(seen.listed, arg ? 1 : 2);
	look(scope_close(&s));
	return 0;
}

Test(record, E3_lists_of_two_scopes_do_not_mix)
{
	static int as_first;

	cr_assert_eq(run(hand_in_to_two, NULL, 1), 0);
	cr_expect_eq(seen.code, -EINVAL);
	cr_expect_eq(seen.listed, 1, "%d are listed", seen.listed);
	cr_assert_eq(run(hand_in_to_two, &as_first, 1), 0);
	cr_expect_eq(seen.code, -EIO);
	cr_expect_eq(seen.listed, 0, "%d are listed", seen.listed);
}

/* A record is in the list of a leaked scope and in the hand of the task that leaks it. */
static int leak_records(void *arg)
{
	struct scope_options shield = {.shield = true}, named = {.name = "leaked"};
	struct scope s, inner;

	(void)arg;
	scope_open_with(&s, &named);
	scope_fail(&s, -EINVAL, "the first");
	scope_open_with(&inner, &shield);
	scope_fail(&inner, -EIO, "in hand");
	CHECK(scope_close(&inner) == -EIO);
	scope_fail(&s, -EIO, NULL);
	return 0;
}

static int spawn_leak(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_spawn(&s, leak_records, arg);
	look(scope_close(&s));
	return 0;
}

Test(record, S11_a_leaked_scope_gives_its_records_back)
{
	skip_leaks_where_checked();
	cr_assert_eq(run(spawn_leak, NULL, 1), 0);
	cr_expect_eq(seen.code, -EPROTO);
}

static int height(const struct scope_error *error)
{
	const struct scope_error *each;
	int most = error->context ? height(error->context) : 0;

	for (each = error->suppressed; each; each = each->next) {
		int below = height(each);

		if (below > most)
			most = below;
	}
	return most + 1;
}

/* Handles an error in each round, as a server does, and has it in hand when the next comes: as
 * the first of its scope, or behind that of a child. */
static int handle_in_a_loop(void *arg)
{
	int code = -EIO, most = 0, i;
	struct scope s;

	for (i = 0; i < (SIMULATED ? 400 : 5000); i++) {
		scope_open(&s);
		if (arg) {
			CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
			scope_wait_until(&s, SCOPE_NEVER);
		}
		scope_fail(&s, i % 2 ? -EINVAL : -EDOM, "round %d", i);
		CHECK(scope_close(&s) != 0);
		/* Not in each round: it takes a while. */
		if (i < 200 || i % 97 == 0)
			most = most > height(scope_last_error()) ? most :
								   height(scope_last_error());
	}
	CHECK(most > 20);
	CHECK(most < 100);
	return 0;
}

Test(record, E5_errors_that_are_handled_in_a_loop_form_no_endless_chain)
{
	static int behind_a_child;

	cr_assert_eq(run(handle_in_a_loop, NULL, 1), 0);
	cr_assert_eq(run(handle_in_a_loop, &behind_a_child, 1), 0);
}

/* ---- numbers ---- */

static char first_path[256], second_path[256];

static int fail_twice_over(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, NULL);
	CHECK_EQ(scope_close(&s), -EIO);
	snprintf(first_path, sizeof first_path, "%s", scope_last_error()->path);
	scope_open(&s);
	scope_fail(&s, -EINVAL, NULL);
	CHECK_EQ(scope_close(&s), -EINVAL);
	snprintf(second_path, sizeof second_path, "%s", scope_last_error()->path);
	return 0;
}

static int tell_tasks_apart(void *arg)
{
	const struct scope_spawn_options *options = arg;
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fail_twice_over, NULL, options), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(first_path, "/tell_tasks_apart/fail_twice_over"), 0);
	CHECK_EQ(strcmp(second_path, first_path), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fail_twice_over, NULL, options), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(first_path, "/tell_tasks_apart/fail_twice_over#2"), 0);
	CHECK_EQ(strcmp(second_path, first_path), 0);
	return 0;
}

Test(record, E4_tasks_of_one_name_have_numbers)
{
	int again;

	/* Those of one run. */
	for (again = 0; again < 2; again++) {
		cr_assert_eq(run(tell_tasks_apart, NULL, 1), 0);
		cr_assert_eq(run(tell_tasks_apart, (void *)(uintptr_t)&concurrent, 2), 0);
	}
}

enum { MANY_NAMES = 600 };

static int more_names_than_are_counted(void *arg)
{
	static char names[MANY_NAMES][8];
	struct scope_spawn_options options = {0};
	int code = -EIO, i, plain = 0;
	struct scope s;

	(void)arg;
	for (i = 0; i < 2 * MANY_NAMES; i++) {
		snprintf(names[i % MANY_NAMES], sizeof names[0], "n%d", i % MANY_NAMES);
		options.name = names[i % MANY_NAMES];
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, fail_with, &code, &options), 0);
		CHECK_EQ(scope_close(&s), -EIO);
		if (!strchr(scope_last_error()->path, '#'))
			plain++;
		else if (i < MANY_NAMES)
			CHECK(i >= 500);
		else
			CHECK_EQ(strcmp(strchr(scope_last_error()->path, '#'), "#1") != 0, 1);
	}
	CHECK_EQ(plain, 512);
	return 0;
}

Test(record, E4_a_name_of_too_many_always_has_a_number)
{
	cr_assert_eq(run(more_names_than_are_counted, NULL, 1), 0);
}

/* Children of a range share one site: each finds it as if it were the first. */
static int has_an_error_of_its_own(void *arg)
{
	int code = *(int *)arg;
	struct scope s;

	CHECK(scope_last_error() == NULL);
	scope_open(&s);
	scope_fail(&s, code, NULL);
	CHECK_EQ(scope_close(&s), code);
	snprintf(second_path, sizeof second_path, "%s", scope_last_error()->path);
	CHECK(strcmp(first_path, second_path) != 0);
	strcpy(first_path, second_path);
	return 0;
}

static int range_of_errors(void *arg)
{
	static int codes[] = {-EIO, -EPERM, -EDOM, -ERANGE, -EINVAL, -ENOENT};
	struct scope s;

	(void)arg;
	first_path[0] = '\0';
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, has_an_error_of_its_own, codes, sizeof *codes, 6), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(record, P3_a_child_of_a_range_has_no_error_of_its_sibling)
{
	cr_assert_eq(run(range_of_errors, NULL, 1), 0);
}

/* ---- where ---- */

static int lies_here(const void *site, scope_task_fn *fn)
{
	return (const char *)site > (const char *)(uintptr_t)fn &&
	       (const char *)site < (const char *)(uintptr_t)fn + 4096;
}

static int sleep_long(void *arg)
{
	(void)arg;
	return scope_sleep_for(SCOPE_SEC);
}

static int kinds_of_sites(void *arg)
{
	int code = -EDOM;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EIO, NULL);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_last_error()->site_kind, SCOPE_SITE_FAIL);
	CHECK_EQ(scope_within(SCOPE_MS, sleep_long, NULL), -ETIMEDOUT);
	CHECK_EQ(scope_last_error()->site_kind, SCOPE_SITE_OPEN);
	CHECK(lies_here(scope_last_error()->site, kinds_of_sites));
	CHECK_EQ(scope_within(SCOPE_MS, fail_with, &code), -EDOM);
	CHECK_EQ(scope_last_error()->site_kind, SCOPE_SITE_FAIL);
	CHECK(lies_here(scope_last_error()->site, kinds_of_sites));
	return 0;
}

Test(record, E4_a_record_says_what_lies_at_its_site)
{
	cr_assert_eq(run(kinds_of_sites, NULL, 1), 0);
}

/* ---- records of tasks that leave scopes open ---- */

static int leaves_open(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	return 0;
}

static int leave_open_many(void *arg)
{
	static char value[1000];
	size_t before = 0;
	int i;

	(void)arg;
	for (i = 0; i < 600; i++) {
		struct scope s;

		scope_open(&s);
		CHECK_EQ(scope_spawn_copy(&s, leaves_open, value, sizeof value), 0);
		if (i % 2)
			scope_yield(); /* to a stack of its own */
		CHECK_EQ(scope_close(&s), -EPROTO);
		if (i == 100)
			before = mallinfo2().uordblks;
	}
	CHECK(mallinfo2().uordblks < before + 100000);
	return 0;
}

Test(record, S11_the_copy_of_a_task_that_leaves_a_scope_open_is_freed)
{
	skip_leaks_where_checked();
	cr_assert_eq(run(leave_open_many, NULL, 1), 0);
}
