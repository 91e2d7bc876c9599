/* tests/api/test_defer.c: deferred functions and memory of scopes: rule S17. */
#include "task_check.h"

#include <stdlib.h>
#include <string.h>

TestSuite(defer, .timeout = 60);

/* What ran, in order: one letter each. */
static struct {
	char text[64];
	atomic_uint used;
} done;

static void note(char letter)
{
	unsigned at = atomic_fetch_add(&done.used, 1);

	if (at < sizeof(done.text) - 1)
		done.text[at] = letter;
}

static void forget(void)
{
	memset(&done, 0, sizeof(done));
	ran = 0;
}

static int write_letter(void *letter)
{
	note(*(char *)letter);
	return 0;
}

static char letters[] = "abcdefgh";

/* ---- order ------------------------------------------------------------------------------- */

static int sleep_and_write(void *letter)
{
	scope_sleep_for(SCOPE_MS);
	note(*(char *)letter);
	return 0;
}

static int in_order(void *arg)
{
	const struct scope_spawn_options *how = arg;
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[0]), 0);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[1]), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_and_write, &letters[7], how), 0);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[2]), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, "hcba"), 0);
	return 0;
}

Test(defer, S17_the_last_one_is_called_first_after_all_tasks)
{
	forget();
	must_run(in_order, NULL);
	forget();
	must_run(in_order, (void *)(uintptr_t)&concurrent);
}

static struct scope *nested;

static int defer_more(void *arg)
{
	(void)arg;
	note('a');
	CHECK_EQ(scope_defer(nested, write_letter, &letters[1]), 0);
	CHECK_EQ(scope_defer(nested, write_letter, &letters[2]), 0);
	return 0;
}

static int defers_more(void *arg)
{
	struct scope s;

	(void)arg;
	nested = &s;
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[3]), 0);
	CHECK_EQ(scope_defer(&s, defer_more, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, "acbd"), 0);
	return 0;
}

Test(defer, S17_a_deferred_function_defers_more)
{
	forget();
	must_run(defers_more, NULL);
}

static int spawn_more(void *arg)
{
	(void)arg;
	note('a');
	CHECK_EQ(scope_spawn(nested, sleep_and_write, &letters[1]), 0);
	CHECK_EQ(scope_spawn(nested, write_letter, &letters[1]), 0);
	return 0;
}

static int spawns_more(void *arg)
{
	const struct scope_spawn_options *before = arg;
	struct scope s;

	nested = &s;
	scope_open(&s);
	if (before)
		CHECK_EQ(scope_spawn_with(&s, sleep_and_write, &letters[7], before), 0);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[3]), 0);
	CHECK_EQ(scope_defer(&s, spawn_more, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, before ? "habbd" : "abbd"), 0);
	return 0;
}

Test(defer, S17_what_a_deferred_function_spawns_is_joined_before_the_next)
{
	forget();
	must_run(spawns_more, NULL);
	forget();
	must_run(spawns_more, (void *)(uintptr_t)&concurrent);
}

/* ---- the place ----------------------------------------------------------------------------- */

static int clean_slowly(void *arg)
{
	struct scope s;
	int64_t before = scope_now();

	(void)arg;
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancelled());
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK(scope_now() >= before + SCOPE_SEC);
	/* So are those that it starts. */
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sleep_and_write, &letters[1]), 0);
	CHECK_EQ(scope_close(&s), 0);
	note('a');
	return 0;
}

static int cancelled_inside(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, clean_slowly, NULL), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, "ba"), 0);
	/* Nor does a deadline that passes meanwhile. */
	forget();
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_defer(&s, clean_slowly, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(!scope_timed_out(&s));
	CHECK_EQ(strcmp(done.text, "ba"), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(defer, S17_no_cancel_reaches_a_deferred_function)
{
	forget();
	must_run(cancelled_inside, NULL);
}

static int clean_under_a_cancel(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, clean_slowly, NULL), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return scope_close(&s);
}

static int cancelled_above(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, clean_under_a_cancel, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, "ba"), 0);
	return 0;
}

Test(defer, S17_a_cancel_from_above_waits_for_it)
{
	forget();
	must_run(cancelled_above, NULL);
}

/* ---- errors -------------------------------------------------------------------------------- */

static int codes[] = {-EIO, -ENOENT, -ECANCELED, -EPIPE};

static int errors_are_kept(void *arg)
{
	const struct scope_error *error;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, fail_with, &codes[1]), 0);
	CHECK_EQ(scope_defer(&s, fail_with, &codes[0]), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	error = scope_last_error();
	CHECK(error && error->code == -EIO && error->suppressed);
	CHECK_EQ(error->suppressed->code, -ENOENT);
	/* A task's comes before. */
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, fail_with, &codes[1]), 0);
	CHECK_EQ(scope_spawn(&s, fail_with, &codes[3]), 0);
	CHECK_EQ(scope_close(&s), -EPIPE);
	CHECK_EQ(scope_last_error()->suppressed->code, -ENOENT);
	/* It was shielded, so that is an error too. */
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, fail_with, &codes[2]), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_last_error()->code, -ECANCELED);
	return 0;
}

Test(defer, S17_its_error_is_the_result_if_there_is_no_other)
{
	must_run(errors_are_kept, NULL);
}

/* ---- misuse -------------------------------------------------------------------------------- */

static int close_it(void *arg)
{
	CHECK_EQ(scope_close(arg), -EBUSY);
	CHECK_EQ(scope_wait_until(arg, 0), -EBUSY);
	note('a');
	return 0;
}

static int closes_below(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_close(arg), -EBUSY);
	CHECK_EQ(scope_wait_until(arg, 0), -EBUSY);
	note('b');
	return scope_close(&s);
}

static int close_from_inside(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, closes_below, &s), 0);
	CHECK_EQ(scope_defer(&s, close_it, &s), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(strcmp(done.text, "ab"), 0);
	return 0;
}

Test(defer, S9_close_from_a_deferred_function_ebusy)
{
	forget();
	must_run(close_from_inside, NULL);
}

static int close_outside(void *arg)
{
	CHECK_EQ(scope_close(arg), -EBUSY);
	CHECK_EQ(scope_wait_until(arg, 0), -EBUSY);
	note('a');
	return 0;
}

static int close_outside_from_inside(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, close_outside, &outer), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(strcmp(done.text, "a"), 0);
	return 0;
}

/* It runs in the owner, which has the younger scope open still. */
Test(defer, S10_close_of_a_scope_outside_from_a_deferred_function_ebusy)
{
	forget();
	must_run(close_outside_from_inside, NULL);
}

static int defers_for_others(void *arg)
{
	CHECK_EQ(scope_defer(arg, never_called, NULL), -EPERM);
	CHECK(scope_alloc(arg, 1) == NULL);
	return 0;
}

static int defer_by_others(void *arg)
{
	struct scope s, sibling;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, defers_for_others, &s), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&sibling);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&sibling, defers_for_others, &s, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	return scope_close(&sibling);
}

Test(defer, S9_only_the_owner_defers_eperm)
{
	must_run(defer_by_others, NULL);
}

static int defer_above(void *arg)
{
	struct scope outer, inner;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_defer(&outer, write_letter, &letters[0]), 0);
	CHECK(scope_alloc(&outer, 1) != NULL);
	CHECK_EQ(scope_defer(&inner, write_letter, &letters[1]), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(strcmp(done.text, "b"), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(strcmp(done.text, "ba"), 0);
	return 0;
}

Test(defer, S17_the_owner_may_have_younger_scopes_open)
{
	forget();
	must_run(defer_above, NULL);
}

static int defer_too_late(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_defer(&s, never_called, NULL), -ESTALE);
	CHECK(scope_alloc(&s, 1) == NULL);
	return 0;
}

Test(defer, S9_a_closed_scope_defers_nothing_estale)
{
	must_run(defer_too_late, NULL);
}

Test(defer, S2_outside_a_run_nothing_is_deferred_enotconn)
{
	struct scope s;

	scope_open(&s);
	cr_assert_eq(scope_defer(&s, never_called, NULL), -ENOTCONN);
	cr_assert(scope_alloc(&s, 1) == NULL);
}

/* ---- S11 ----------------------------------------------------------------------------------- */

enum { VALUES = 4 };

static int use_value(void *arg)
{
	volatile unsigned *value = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(*value, 0x5ca1ab1e);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int leak(void *arg)
{
	volatile unsigned value[VALUES];
	struct scope outer, inner;
	int i;

	(void)arg;
	for (i = 0; i < VALUES; i++)
		value[i] = 0x5ca1ab1e;
	scope_open(&outer);
	for (i = 0; i < VALUES / 2; i++)
		CHECK_EQ(scope_defer(&outer, use_value, (void *)&value[i]), 0);
	memset(scope_alloc(&outer, 100), 1, 100);
	scope_open(&inner);
	for (; i < VALUES; i++)
		CHECK_EQ(scope_defer(&inner, use_value, (void *)&value[i]), 0);
	return 0;
}

static int leaked(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leak, NULL, arg), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(ran, VALUES);
	return 0;
}

Test(defer, S11_what_a_leaked_scope_deferred_is_called)
{
	skip_leaks_where_checked();
	forget();
	must_run(leaked, NULL);
	forget();
	must_run(leaked, (void *)(uintptr_t)&concurrent);
}

/* A deferred function that leaks: its scope is joined, and the one that called it fails. */
static int leak_and_fail(void *arg)
{
	leak(arg);
	return -EIO;
}

static int leaked_by_a_call(void *arg)
{
	volatile unsigned mark = 77;
	struct scope s, above;

	(void)arg;
	scope_open(&above);
	scope_open(&s);
	CHECK_EQ(scope_defer(&s, write_letter, &letters[0]), 0);
	CHECK_EQ(scope_defer(&s, leak_and_fail, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(scope_last_error()->suppressed->code, -EIO);
	CHECK_EQ(ran, VALUES);
	CHECK_EQ(strcmp(done.text, "a"), 0);
	CHECK_EQ(mark, 77);
	CHECK_EQ(scope_close(&above), 0);
	return 0;
}

Test(defer, S11_a_deferred_function_leaks_eproto)
{
	skip_leaks_where_checked();
	forget();
	must_run(leaked_by_a_call, NULL);
}

/* ---- memory -------------------------------------------------------------------------------- */

static int look_at_memory(void *arg)
{
	unsigned char *bytes = arg;
	int i;

	for (i = 0; i < 1000; i++)
		CHECK_EQ(bytes[i], 0x77);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int memory(void *arg)
{
	struct scope s;
	void *piece;
	size_t size;

	(void)arg;
	scope_open(&s);
	for (size = 0; size < 200; size++) {
		piece = scope_alloc(&s, size);
		CHECK(piece && (uintptr_t)piece % _Alignof(max_align_t) == 0);
		memset(piece, 0x99, size);
	}
	piece = scope_alloc(&s, 1000);
	memset(piece, 0x77, 1000);
	CHECK(scope_alloc(&s, SIZE_MAX) == NULL);
	CHECK(scope_alloc(&s, SIZE_MAX - 16) == NULL);
	CHECK_EQ(scope_defer(&s, look_at_memory, piece), 0);
	CHECK_EQ(scope_spawn(&s, look_at_memory, piece), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(defer, S17_memory_lives_until_all_deferred_functions_were_called)
{
	forget();
	must_run(memory, NULL);
}
