/* tests/api/test_edge.c: calls at the edge of their contracts: R0, C8, S2, S7, S9. */
#include "task_check.h"

#include <scope_parallel.h>
#include <stdlib.h>

TestSuite(edge, .timeout = 60);

/* ---- S9 --------------------------------------------------------------------------------- */

static struct scope *grandparents;

static int closes_its_grandparents(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_close(grandparents), -EDEADLK);
	CHECK_EQ(scope_wait_until(grandparents, SCOPE_NEVER), -EDEADLK);
	return 0;
}

static int parent_of_closer(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, closes_its_grandparents, arg), 0);
	return scope_close(&s);
}

static int grandparent(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	grandparents = &s;
	CHECK_EQ(scope_spawn(&s, parent_of_closer, NULL), 0);
	return scope_close(&s);
}

Test(edge, S9_an_inlined_grandchild_would_wait_for_itself_edeadlk)
{
	cr_assert_eq(run(grandparent, NULL, 1), 0);
	cr_assert_eq(run(grandparent, NULL, 4), 0);
}

/* ---- S2, S7: options -------------------------------------------------------------------- */

Test(edge, S2_wrong_options_outside_a_run_enotconn)
{
	struct scope_spawn_options options = {.flags = 1u << 31};
	struct scope s;

	cr_assert_eq(scope_spawn_with(&s, never_called, NULL, &options), -ENOTCONN);
}

static int spawns_too_large_a_copy(void *arg)
{
	struct scope_spawn_options options = {.copy_size = SIZE_MAX - 8};
	int value = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_copy(&s, never_called, &value, SIZE_MAX / 2), -ENOMEM);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, never_called, &value, &options), -ENOMEM);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	return 0;
}

Test(edge, S7_a_copy_larger_than_memory_enomem)
{
	cr_assert_eq(run(spawns_too_large_a_copy, NULL, 1), 0);
}

Test(edge, S2_too_many_workers_in_the_environment_are_not_asked_for)
{
	ran = 0;
	setenv("SCOPE_WORKERS", "1000000", 1);
	cr_assert_eq(run(count, NULL, 0), 0);
	unsetenv("SCOPE_WORKERS");
	cr_assert_eq(ran, 1);
}

/* ---- loops ------------------------------------------------------------------------------ */

static void start_at_0(void *accumulator, void *arg)
{
	(void)arg;
	*(long *)accumulator = 0;
}

static int add_range(size_t begin, size_t end, void *accumulator, void *arg)
{
	(void)arg;
	*(long *)accumulator += (long)(end - begin);
	return 0;
}

static void add(void *left, const void *right, void *arg)
{
	(void)arg;
	*(long *)left += *(const long *)right;
}

static const struct scope_reducer counting = {
	.size = sizeof(long), .init = start_at_0, .body = add_range, .combine = add};

static int reduces_wrongly(void *arg)
{
	long result = 7;

	(void)arg;
	CHECK_EQ(scope_reduce(0, 10, 1, NULL, &result), -EINVAL);
	CHECK_EQ(scope_reduce(0, 10, 1, &counting, NULL), -EINVAL);
	CHECK_EQ(result, 7);
	CHECK_EQ(scope_reduce(0, 10, 1, &counting, &result), 0);
	CHECK_EQ(result, 10);
	return 0;
}

Test(edge, R0_reduce_without_a_reducer_or_a_result_einval)
{
	cr_assert_eq(run(reduces_wrongly, NULL, 1), 0);
}

static int leaves_a_scope_open(void *arg)
{
	struct scope s;

	scope_open(&s);
	return count(arg);
}

/* Nothing was cancelled before, so nobody is under attention: both run on the fast path. */
static int right_part_fails(void *arg)
{
	CHECK_EQ(scope_both(count, NULL, fail_with, arg), *(int *)arg);
	return 0;
}

static int right_part_leaks(void *arg)
{
	CHECK_EQ(scope_both(count, arg, leaves_a_scope_open, arg), -EPROTO);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(edge, R0_the_second_of_both_fails)
{
	int code = -EIO;

	cr_assert_eq(run(right_part_fails, &code, 1), 0);
}

Test(edge, S11_the_second_of_both_leaves_a_scope_open)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(right_part_leaks, NULL, 1), 0);
}

static int takes_50_us(size_t begin, size_t end, void *arg)
{
	int64_t start = real_now();

	(void)arg;
	CHECK_EQ(end - begin, 1);
	atomic_fetch_add(&ran, 1);
	while (real_now() - start < 50 * SCOPE_US)
		;
	return 0;
}

static int slow_loop(void *arg)
{
	(void)arg;
	return scope_for(0, 200, 0, takes_50_us, NULL);
}

Test(edge, R0_for_hands_out_slow_iterations_one_by_one)
{
	ran = 0;
	cr_assert_eq(run_flags(slow_loop, NULL, 1, 0), 0);
	cr_assert_eq(ran, 200);
}

static int counts_range(size_t begin, size_t end, void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, (int)(end - begin));
	return 0;
}

/* Its task is cancelled from above, and knows it; the loop stands behind a shield. */
static int shielded_loop(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	scope_cancel(&outer);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_for(0, 1000, 1, counts_range, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(edge, C8_a_loop_behind_a_shield_leaves_nothing_out)
{
	ran = 0;
	cr_assert_eq(run(shielded_loop, NULL, 0), 0);
	cr_assert_eq(ran, 1000);
}
