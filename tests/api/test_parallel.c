/* tests/api/test_parallel.c: scope_both, scope_for, scope_reduce, scope_spawn_n: rule R0. */
#define _GNU_SOURCE
#include "task_check.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <scope_observe.h>
#include <scope_parallel.h>

TestSuite(parallel, .timeout = 60);

enum { MANY = CHECKED ? 20000 : 1000000 };

static int count_late(void *arg)
{
	CHECK(scope_sleep_for(1) == 0);
	return count(arg);
}

static int count_failure(void *arg)
{
	atomic_fetch_add(&ran, 1);
	return *(int *)arg;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	return -ECANCELED;
}

static int no_chunk(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	return never_called(arg);
}

/* ---- both ------------------------------------------------------------------------------- */

struct fib {
	int n;
	uint64_t result;
};

static int fib_both(void *arg)
{
	struct fib *fib = arg, left = {fib->n - 1, 0}, right = {fib->n - 2, 0};
	int rc;

	if (fib->n < 2) {
		fib->result = (uint64_t)fib->n;
		return 0;
	}
	rc = scope_both(fib_both, &left, fib_both, &right);
	if (fib->n % 7 == 0)
		CHECK(scope_sleep_for(1) == 0);
	fib->result = left.result + right.result;
	return rc;
}

static int both_root(void *arg)
{
	struct fib fib = {20, 0};

	(void)arg;
	CHECK(fib_both(&fib) == 0);
	CHECK(fib.result == 6765);
	return 0;
}

Test(parallel, R0_both_returns_when_both_ended)
{
	cr_assert_eq(run(both_root, NULL, 0), 0);
}

static int both_parks(void *arg)
{
	int i;

	(void)arg;
	for (i = 1; i <= 100; i++) {
		CHECK(scope_both(count_late, NULL, count, NULL) == 0);
		CHECK(scope_both(count, NULL, count_late, NULL) == 0);
		CHECK(scope_both(count_late, NULL, count_late, NULL) == 0);
		CHECK(ran == i * 6);
	}
	return 0;
}

Test(parallel, R0_both_waits_for_parts_that_park)
{
	ran = 0;
	cr_assert_eq(run(both_parks, NULL, 0), 0);
}

static int both_errors(void *arg)
{
	int first = -EIO, second = 17;

	(void)arg;
	CHECK(scope_both(count_failure, &first, count, NULL) == -EIO);
	CHECK(scope_both(count, NULL, count_failure, &second) == 17);
	CHECK(ran == 4);
	/* The error of one part cancels the other. */
	CHECK(scope_both(until_cancelled, NULL, count_failure, &first) == -EIO);
	CHECK(scope_both(count_failure, &second, until_cancelled, NULL) == 17);
	CHECK(scope_checkpoint() == 0);
	return 0;
}

Test(parallel, R0_both_returns_the_first_error)
{
	ran = 0;
	cr_assert_eq(run(both_errors, NULL, 0), 0);
}

/* Whoever is quicker: the error of one part keeps the other from nothing. */
static int both_with_an_early_failure(void *arg)
{
	int code = -EIO, i;

	(void)arg;
	for (i = 1; i <= 20000; i++) {
		CHECK(scope_both(count, NULL, count_failure, &code) == -EIO);
		CHECK(ran == i * 2);
	}
	return 0;
}

Test(parallel, R0_both_runs_a_part_though_the_other_failed_before)
{
	ran = 0;
	cr_assert_eq(run(both_with_an_early_failure, NULL, 4), 0);
}

static int deep_both(void *arg)
{
	uintptr_t left = (uintptr_t)arg;

	if (left == 0)
		return 0;
	return left % 2 ? scope_both(deep_both, (void *)(left - 1), count, NULL)
			: scope_both(count, NULL, deep_both, (void *)(left - 1));
}

static int both_deep(void *arg)
{
	(void)arg;
	CHECK(deep_both((void *)100000) == 0);
	CHECK(ran == 100000);
	return 0;
}

Test(parallel, R0_both_recurses_deep)
{
	ran = 0;
	cr_assert_eq(run(both_deep, NULL, 0), 0);
}

static int count_cancelled(void *arg)
{
	scope_sleep_for(1);
	return count(arg);
}

static int leaks_scope(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct scope s;

	CHECK(scope_open_with(&s, &shield) == 0);
	CHECK(scope_spawn(&s, count_cancelled, arg) == 0);
	return 0;
}

static int both_leaks(void *arg)
{
	(void)arg;
	CHECK(scope_both(leaks_scope, NULL, count, NULL) == -EPROTO);
	CHECK(scope_both(count, NULL, leaks_scope, NULL) == -EPROTO);
	CHECK(scope_both(leaks_scope, NULL, leaks_scope, NULL) == -EPROTO);
	CHECK(ran == 6);
	return 0;
}

Test(parallel, S11_both_joins_what_a_part_left_open)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(both_leaks, NULL, 0), 0);
}

/* ---- for -------------------------------------------------------------------------------- */

enum { CELLS = 5000 };

static atomic_uchar cell[CELLS];
static size_t largest; /* chunk allowed, 0: any */

static int mark_cells(size_t begin, size_t end, void *arg)
{
	(void)arg;
	CHECK(begin < end && end <= CELLS);
	CHECK(largest == 0 || end - begin <= largest);
	for (; begin < end; begin++)
		atomic_fetch_add(&cell[begin], 1);
	return 0;
}

static int mark_cells_late(size_t begin, size_t end, void *arg)
{
	CHECK(begin % 3 ? scope_yield() == 0 : scope_sleep_for(1) == 0);
	return mark_cells(begin, end, arg);
}

static void check_cells(size_t begin, size_t end, int times)
{
	size_t i;

	for (i = 0; i < CELLS; i++) {
		CHECK(cell[i] == (i >= begin && i < end ? times : 0));
		cell[i] = 0;
	}
}

static int for_root(void *arg)
{
	static const size_t grain[] = {0, 1, 7, 1000, CELLS, CELLS + 1, SIZE_MAX};
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(grain) / sizeof(grain[0]); i++) {
		largest = grain[i];
		CHECK(scope_for(0, CELLS, grain[i], mark_cells, NULL) == 0);
		check_cells(0, CELLS, 1);
		CHECK(scope_for(17, CELLS - 3, grain[i], mark_cells, NULL) == 0);
		check_cells(17, CELLS - 3, 1);
		CHECK(scope_for(17, 18, grain[i], mark_cells, NULL) == 0);
		check_cells(17, 18, 1);
		CHECK(scope_for(17, 17, grain[i], no_chunk, NULL) == 0);
	}
	return 0;
}

Test(parallel, R0_for_covers_its_range_once)
{
	cr_assert_eq(run(for_root, NULL, 0), 0);
}

static int for_parks(void *arg)
{
	(void)arg;
	largest = 3;
	CHECK(scope_for(0, CELLS, 3, mark_cells_late, NULL) == 0);
	check_cells(0, CELLS, 1);
	largest = 0;
	CHECK(scope_for(0, CELLS, 0, mark_cells_late, NULL) == 0);
	check_cells(0, CELLS, 1);
	return 0;
}

Test(parallel, R0_for_with_bodies_that_park)
{
	cr_assert_eq(run(for_parks, NULL, 0), 0);
}

static int inner_loop(size_t begin, size_t end, void *arg)
{
	for (; begin < end; begin++) {
		CHECK(scope_for(begin * 100, begin * 100 + 100, 9, arg, NULL) == 0);
		CHECK(scope_both(count, NULL, count_late, NULL) == 0);
	}
	return 0;
}

static int for_nested(void *arg)
{
	(void)arg;
	largest = 9;
	CHECK(scope_for(0, CELLS / 100, 2, inner_loop, mark_cells) == 0);
	check_cells(0, CELLS, 1);
	CHECK(scope_for(0, CELLS / 100, 2, inner_loop, mark_cells_late) == 0);
	check_cells(0, CELLS, 1);
	CHECK(ran == 4 * CELLS / 100);
	return 0;
}

Test(parallel, R0_for_within_for)
{
	ran = 0;
	cr_assert_eq(run(for_nested, NULL, 0), 0);
}

static atomic_size_t covered;

static int add_length(size_t begin, size_t end, void *arg)
{
	size_t most = *(size_t *)arg;

	CHECK(begin < end && (most == 0 || end - begin <= most));
	atomic_fetch_add(&covered, end - begin);
	return 0;
}

static void check_huge(size_t begin, size_t end, size_t grain)
{
	covered = 0;
	CHECK(scope_for(begin, end, grain, add_length, &grain) == 0);
	CHECK(covered == end - begin);
}

static int for_huge(void *arg)
{
	(void)arg;
	check_huge(0, SIZE_MAX, 0);
	check_huge(0, SIZE_MAX, SIZE_MAX);
	check_huge(0, SIZE_MAX, SIZE_MAX / 1000);
	check_huge(1, SIZE_MAX, SIZE_MAX / 2 + 2);
	check_huge(SIZE_MAX - 100, SIZE_MAX, 0);
	check_huge(SIZE_MAX - 100, SIZE_MAX, 7);
	check_huge(SIZE_MAX - 100, SIZE_MAX, SIZE_MAX - 1);
	return 0;
}

Test(parallel, R0_for_huge_ranges)
{
	cr_assert_eq(run(for_huge, NULL, 0), 0);
}

static int fails_at(size_t begin, size_t end, void *arg)
{
	(void)end;
	atomic_fetch_add(&ran, 1);
	return begin == *(size_t *)arg ? -EDOM : 0;
}

static int for_error_exact(void *arg)
{
	size_t at = 50;

	(void)arg;
	CHECK(scope_for(0, 1000, 5, fails_at, &at) == -EDOM);
	CHECK(ran == 11); /* in order, up to the one that failed */
	CHECK(scope_checkpoint() == 0);
	return 0;
}

static int for_error(void *arg)
{
	size_t at = 0;

	(void)arg;
	CHECK(scope_for(0, MANY, 1, fails_at, &at) == -EDOM);
	CHECK(ran < MANY / 2);
	return 0;
}

Test(parallel, R0_for_starts_no_chunk_after_an_error)
{
	ran = 0;
	cr_assert_eq(run(for_error_exact, NULL, 1), 0);
	ran = 0;
	cr_assert_eq(run(for_error, NULL, 0), 0);
}

static int each_fails(size_t begin, size_t end, void *arg)
{
	(void)arg;
	(void)end;
	CHECK(begin == 0 || scope_yield() == 0 || scope_cancelled());
	return 1 + (int)begin;
}

static int for_errors(void *arg)
{
	const struct scope_error *error;
	int rc, i;

	(void)arg;
	for (i = 0; i < 50; i++) {
		rc = scope_for(0, 100, 1, each_fails, NULL);
		CHECK(rc >= 1 && rc <= 100);
		error = scope_last_error();
		CHECK(error && error->code == rc);
		CHECK(error && strstr(error->path, "/each_fails"));
	}
	return 0;
}

Test(parallel, R0_for_returns_the_first_error)
{
	cr_assert_eq(run(for_errors, NULL, 0), 0);
}

static int cancels_at(size_t begin, size_t end, void *arg)
{
	(void)end;
	atomic_fetch_add(&ran, 1);
	if (begin == 50)
		scope_cancel(arg);
	return 0;
}

static int for_cancel(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_for(0, 1000, 5, cancels_at, &s) == -ECANCELED);
	CHECK(ran < 200);
	CHECK(scope_for(0, 1000, 5, no_chunk, NULL) == -ECANCELED);
	CHECK(scope_both(never_called, NULL, never_called, NULL) == -ECANCELED);
	return scope_close(&s);
}

Test(parallel, R0_parts_are_left_out_in_a_cancelled_place_ecanceled)
{
	ran = 0;
	cr_assert_eq(run(for_cancel, NULL, 1), 0);
	cr_assert_eq(ran, 11);
}

static int cancels_last(size_t begin, size_t end, void *arg)
{
	(void)begin;
	if (end == 10)
		scope_cancel(arg);
	return 0;
}

static int for_no_hit(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	/* Cancelled in the last chunk: nothing was left out, nothing felt it. */
	CHECK(scope_for(0, 10, 1, cancels_last, &s) == 0);
	CHECK(scope_checkpoint() == -ECANCELED);
	return scope_close(&s);
}

Test(parallel, R0_a_cancel_that_left_out_nothing_is_no_hit)
{
	cr_assert_eq(run(for_no_hit, NULL, 1), 0);
}

static int bad_for(void *arg)
{
	(void)arg;
	CHECK(scope_for(2, 1, 0, no_chunk, NULL) == -EINVAL);
	CHECK(scope_for(SIZE_MAX, 0, 1, no_chunk, NULL) == -EINVAL);
	return 0;
}

Test(parallel, R0_for_with_a_range_that_ends_first_einval)
{
	cr_assert_eq(run(bad_for, NULL, 0), 0);
}

static int part_leaks(size_t begin, size_t end, void *arg)
{
	(void)end;
	return begin == *(size_t *)arg ? leaks_scope(NULL) : 0;
}

static int parts_leak(void *arg)
{
	size_t which;

	(void)arg;
	for (which = 0; which < 3; which++)
		CHECK_EQ(scope_for(0, 3, 1, part_leaks, &which), -EPROTO);
	CHECK_EQ(ran, 3);
	return 0;
}

Test(parallel, S11_for_joins_what_a_part_left_open)
{
	skip_leaks_where_checked();
	ran = 0;
	cr_assert_eq(run(parts_leak, NULL, 1), 0);
}

/* ---- reduce ----------------------------------------------------------------------------- */

/* An accumulator that takes only what lies directly to its right. */
struct span {
	size_t begin, end; /* equal: empty */
	uint64_t sum;
};

static void span_init(void *accumulator, void *arg)
{
	CHECK((uintptr_t)accumulator % 16 == 0);
	CHECK(arg == &covered);
	*(struct span *)accumulator = (struct span){0, 0, 0};
}

static int span_body(size_t begin, size_t end, void *accumulator, void *arg)
{
	struct span *span = accumulator;

	CHECK(begin < end && arg == &covered);
	CHECK(span->begin == span->end || span->end == begin);
	if (span->begin == span->end)
		span->begin = begin;
	span->end = end;
	for (; begin < end; begin++)
		span->sum += begin;
	return 0;
}

static int span_body_late(size_t begin, size_t end, void *accumulator, void *arg)
{
	CHECK(begin % 2 ? scope_yield() == 0 : scope_sleep_for(1) == 0);
	return span_body(begin, end, accumulator, arg);
}

static void span_combine(void *left, const void *right, void *arg)
{
	struct span *a = left;
	const struct span *b = right;

	CHECK(arg == &covered);
	if (b->begin == b->end)
		return;
	CHECK(a->begin == a->end || a->end == b->begin);
	if (a->begin == a->end)
		a->begin = b->begin;
	a->end = b->end;
	a->sum += b->sum;
}

static void check_reduce(struct scope_reducer *reducer, size_t begin, size_t end, size_t grain)
{
	struct span result = {77, 77, 77};
	size_t i;
	uint64_t sum = 0;

	for (i = begin; i < end; i++)
		sum += i;
	CHECK(scope_reduce(begin, end, grain, reducer, &result) == 0);
	CHECK(result.sum == sum);
	CHECK(begin == end ? result.begin == result.end
			   : result.begin == begin && result.end == end);
}

static int reduce_root(void *arg)
{
	struct scope_reducer reducer = {.size = sizeof(struct span),
					.init = span_init,
					.body = span_body,
					.combine = span_combine,
					.arg = &covered};
	int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		check_reduce(&reducer, 0, 5000, (size_t)i);
		check_reduce(&reducer, 13, 14, (size_t)i);
		check_reduce(&reducer, 13, 13, (size_t)i);
	}
	check_reduce(&reducer, 5, MANY, 0);
	reducer.body = span_body_late;
	check_reduce(&reducer, 0, 3000, 1);
	check_reduce(&reducer, 0, 3000, 0);
	check_reduce(&reducer, 0, 3000, 10000);
	return 0;
}

Test(parallel, R0_reduce_combines_in_order)
{
	cr_assert_eq(run(reduce_root, NULL, 0), 0);
}

enum { BIG = 4096 };

static void big_init(void *accumulator, void *arg)
{
	(void)arg;
	memset(accumulator, 0, BIG);
}

static int big_body(size_t begin, size_t end, void *accumulator, void *arg)
{
	unsigned char *byte = accumulator;

	(void)arg;
	for (; begin < end; begin++)
		byte[begin % BIG]++;
	return scope_yield();
}

static void big_combine(void *left, const void *right, void *arg)
{
	unsigned char *a = left;
	const unsigned char *b = right;
	int i;

	(void)arg;
	for (i = 0; i < BIG; i++)
		a[i] = (unsigned char)(a[i] + b[i]);
}

static int reduce_big(void *arg)
{
	struct scope_reducer reducer = {
		.size = BIG, .init = big_init, .body = big_body, .combine = big_combine};
	unsigned char result[BIG];
	int i;

	(void)arg;
	CHECK(scope_reduce(0, 5 * BIG, 100, &reducer, result) == 0);
	for (i = 0; i < BIG; i++)
		CHECK(result[i] == 5);
	return 0;
}

Test(parallel, R0_reduce_with_the_largest_accumulator)
{
	cr_assert_eq(run(reduce_big, NULL, 0), 0);
}

static int span_fails(size_t begin, size_t end, void *accumulator, void *arg)
{
	span_body(begin, end, accumulator, arg);
	return begin >= 500 ? -ERANGE : 0;
}

static int span_cancels(size_t begin, size_t end, void *accumulator, void *arg)
{
	(void)accumulator;
	(void)end;
	if (begin == 50)
		scope_cancel(*(struct scope **)arg);
	return 0;
}

static void no_init(void *accumulator, void *arg)
{
	(void)accumulator;
	(void)arg;
}

static void combines_nothing(void *left, const void *right, void *arg)
{
	(void)left;
	(void)right;
	(void)arg;
}

static int reduce_errors(void *arg)
{
	struct scope_reducer reducer = {.size = sizeof(struct span),
					.init = span_init,
					.body = span_fails,
					.combine = span_combine,
					.arg = &covered};
	struct span result = {77, 78, 79};
	struct scope s, *pointer = &s;

	(void)arg;
	CHECK(scope_reduce(0, 1000, 1, &reducer, &result) == -ERANGE);
	reducer.init = no_init;
	reducer.body = span_cancels;
	reducer.combine = combines_nothing;
	reducer.arg = &pointer;
	scope_open(&s);
	CHECK(scope_reduce(0, 1000, 1, &reducer, &result) == -ECANCELED);
	CHECK(scope_reduce(0, 1000, 1, &reducer, &result) == -ECANCELED);
	CHECK(scope_close(&s) == 0);
	CHECK(result.begin == 77 && result.end == 78 && result.sum == 79);
	return 0;
}

Test(parallel, R0_reduce_writes_its_result_only_on_success_ecanceled)
{
	cr_assert_eq(run(reduce_errors, NULL, 0), 0);
}

static int bad_reduce(void *arg)
{
	const struct scope_reducer good = {.size = sizeof(struct span),
					   .init = span_init,
					   .body = span_body,
					   .combine = span_combine,
					   .arg = &covered};
	struct scope_reducer bad[7];
	struct span result = {77, 78, 79};
	size_t i;

	(void)arg;
	for (i = 0; i < 7; i++)
		bad[i] = good;
	bad[0].size = 0;
	bad[1].size = 4097;
	bad[2].init = NULL;
	bad[3].body = NULL;
	bad[4].combine = NULL;
	bad[5].reserved[0] = 1;
	bad[6].reserved[1] = 1;
	for (i = 0; i < 7; i++)
		CHECK(scope_reduce(0, 10, 1, &bad[i], &result) == -EINVAL);
	CHECK(scope_reduce(1, 0, 1, &good, &result) == -EINVAL);
	CHECK(result.begin == 77 && result.end == 78 && result.sum == 79);
	return 0;
}

Test(parallel, R0_reduce_with_a_bad_reducer_einval)
{
	cr_assert_eq(run(bad_reduce, NULL, 0), 0);
}

/* ---- outside ---------------------------------------------------------------------------- */

Test(parallel, S2_outside_a_run_enotconn)
{
	struct scope_reducer reducer = {.size = 8};
	uint64_t result = 77;

	checks_begin();
	cr_expect_eq(scope_both(never_called, NULL, never_called, NULL), -ENOTCONN);
	cr_expect_eq(scope_for(0, 10, 1, no_chunk, NULL), -ENOTCONN);
	cr_expect_eq(scope_reduce(0, 10, 1, &reducer, &result), -ENOTCONN);
	cr_expect_eq(result, 77);
	checks_end();
}

/* ---- spawn_n ---------------------------------------------------------------------------- */

static int mark_cell(void *arg)
{
	atomic_fetch_add((atomic_uchar *)arg, 1);
	return 0;
}

static int mark_cell_late(void *arg)
{
	CHECK((uintptr_t)arg % 2 ? scope_yield() == 0 : scope_sleep_for(1) == 0);
	return mark_cell(arg);
}

static int spawn_n_root(void *arg)
{
	static const size_t counts[] = {0, 1, 2, 3, 100, CELLS};
	struct scope s;
	size_t i, j;

	(void)arg;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		scope_open(&s);
		CHECK(scope_spawn_n(&s, mark_cell, cell, 1, counts[i]) == 0);
		CHECK(scope_spawn_n(&s, mark_cell_late, cell, 1, counts[i]) == 0);
		CHECK(scope_close(&s) == 0);
		check_cells(0, counts[i], 2);
	}
	scope_open(&s);
	CHECK(scope_spawn_n(&s, mark_cell, cell, 10, CELLS / 10) == 0);
	CHECK(scope_close(&s) == 0);
	for (j = 0; j < CELLS; j++) {
		CHECK(cell[j] == (j % 10 == 0));
		cell[j] = 0;
	}
	return 0;
}

Test(parallel, R0_spawn_n_runs_each_child_once)
{
	cr_assert_eq(run(spawn_n_root, NULL, 0), 0);
}

static int fails_among(void *arg)
{
	const atomic_uchar *mine = arg;

	mark_cell(arg);
	scope_checkpoint();
	return mine - cell == 50 ? -EDOM : 0;
}

static int spawn_n_error(void *arg)
{
	const struct scope_error *error;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_n(&s, fails_among, cell, 1, CELLS) == 0);
	CHECK(scope_close(&s) == -EDOM);
	check_cells(0, CELLS, 1);
	error = scope_last_error();
	CHECK(error && strstr(error->path, "/fails_among") && !error->suppressed);
	return 0;
}

Test(parallel, R0_spawn_n_runs_all_children_after_an_error)
{
	int i;

	for (i = 0; i < 20; i++)
		cr_assert_eq(run(spawn_n_error, NULL, 0), 0);
}

static int mark_cell_cancelled(void *arg)
{
	CHECK(scope_checkpoint() == -ECANCELED);
	CHECK(scope_sleep_for(1) == -ECANCELED);
	return mark_cell(arg);
}

static int spawn_n_cancel(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_n(&s, mark_cell_cancelled, cell, 1, CELLS) == 0);
	scope_cancel(&s);
	CHECK(scope_spawn_n(&s, mark_cell, cell, 1, CELLS) == -ECANCELED);
	CHECK(scope_close(&s) == 0);
	check_cells(0, CELLS, 1);
	return 0;
}

Test(parallel, R0_spawn_n_is_accepted_or_refused_as_a_whole_ecanceled)
{
	/* One worker: none starts before the cancel. */
	cr_assert_eq(run(spawn_n_cancel, NULL, 1), 0);
}

static int spawn_n_member(void *arg)
{
	atomic_uchar *mine = arg;
	struct scope below;

	scope_open(&below);
	CHECK(scope_spawn_n(&below, mark_cell, mine, 1, 50) == 0);
	if ((mine - cell) / 50 % 2)
		CHECK(scope_sleep_for(1) == 0);
	return scope_close(&below);
}

static struct scope *shared;

static int spawn_n_siblings(void *arg)
{
	(void)arg;
	/* By a member that is inlined or has a stack of its own, below or not. */
	CHECK(scope_spawn_n(shared, count, NULL, 0, 30) == 0);
	return 0;
}

static int spawn_n_nested(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s, t;
	int i;

	(void)arg;
	scope_open(&s);
	shared = &s;
	CHECK(scope_spawn_n(&s, spawn_n_member, cell, 50, CELLS / 50) == 0);
	CHECK(scope_spawn_n(&s, spawn_n_siblings, NULL, 0, 10) == 0);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn_with(&s, spawn_n_siblings, NULL, &concurrent) == 0);
	scope_open(&t);
	CHECK(scope_spawn_n(&s, count, NULL, 0, 100) == 0);
	CHECK(scope_close(&t) == 0);
	CHECK(scope_close(&s) == 0);
	check_cells(0, CELLS, 1);
	CHECK(ran == 700);
	return 0;
}

Test(parallel, R0_spawn_n_from_members_and_below)
{
	ran = 0;
	cr_assert_eq(run(spawn_n_nested, NULL, 0), 0);
}

static int spawn_n_waited(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_n(&s, mark_cell_late, cell, 1, CELLS) == 0);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
	check_cells(0, CELLS, 1);
	return scope_close(&s);
}

Test(parallel, R0_spawn_n_is_waited_for)
{
	cr_assert_eq(run(spawn_n_waited, NULL, 0), 0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static long resident_kib(void)
{
	long total = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &total, &pages) != 2)
		pages = 0;
	if (file)
		fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int spawn_n_many(void *arg)
{
	long before = resident_kib();
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_n(&s, nothing, NULL, 0, (size_t)MANY * 10) == 0);
	CHECK(scope_spawn_n(&s, count, NULL, 0, MANY) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == MANY);
#ifndef SC_TEST_SHIM
	CHECK(resident_kib() - before < 4096);
#endif
	(void)before;
	return 0;
}

Test(parallel, R0_spawn_n_takes_no_memory_for_each_child)
{
	ran = 0;
	cr_assert_eq(run(spawn_n_many, NULL, 0), 0);
}

/* ---- stealing --------------------------------------------------------------------------- */

static _Atomic long first_thread;
static atomic_int others; /* parts that ran on another thread than the first one */

/* Computes without calling in, until another worker has taken a share. */
static int busy(void *arg)
{
	long self = syscall(SYS_gettid), none = 0;
	int64_t end = scope_now() + 5 * SCOPE_SEC;

	(void)arg;
	if (!atomic_compare_exchange_strong(&first_thread, &none, self) && none != self)
		atomic_fetch_add(&others, 1);
	while (!atomic_load(&others) && scope_now() < end)
		;
	return 0;
}

static int busy_chunk(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	return busy(arg);
}

static int busy_fold(size_t begin, size_t end, void *accumulator, void *arg)
{
	(void)accumulator;
	return busy_chunk(begin, end, arg);
}

static void no_combine(void *left, const void *right, void *arg)
{
	(void)left;
	(void)right;
	(void)arg;
}

static int steal_root(void *arg)
{
	struct scope_reducer reducer = {
		.size = 8, .init = no_init, .body = busy_fold, .combine = no_combine};
	struct scope_stats stats;
	uint64_t result;
	struct scope s;

	first_thread = others = 0;
	switch ((intptr_t)arg) {
	case 0:
		CHECK(scope_both(busy, NULL, busy, NULL) == 0);
		break;
	case 1:
		CHECK(scope_for(0, 1000, 1, busy_chunk, NULL) == 0);
		break;
	case 2:
		CHECK(scope_for(0, 1000, 0, busy_chunk, NULL) == 0);
		break;
	case 3:
		CHECK(scope_reduce(0, 1000, 1, &reducer, &result) == 0);
		break;
	case 4:
		scope_open(&s);
		CHECK(scope_spawn_n(&s, busy, NULL, 0, 1000) == 0);
		CHECK(scope_close(&s) == 0);
		break;
	}
	CHECK(others > 0);
	CHECK(scope_stats_get(&stats) == 0);
	CHECK(stats.tasks_stolen > 0);
	return 0;
}

/* The clock must go on while a task computes: no virtual one. */
static void check_stolen(intptr_t kind)
{
	cr_assert_eq(run_flags(steal_root, (void *)kind, 2, 0), 0);
}

Test(parallel, R0_both_is_stolen_from)
{
	check_stolen(0);
}

Test(parallel, R0_for_is_stolen_from)
{
	check_stolen(1);
	check_stolen(2);
}

Test(parallel, R0_reduce_is_stolen_from)
{
	check_stolen(3);
}

Test(parallel, R0_spawn_n_is_stolen_from)
{
	check_stolen(4);
}
