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
