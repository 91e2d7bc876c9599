/* tests/api/test_inline.c: running a child on its parent's stack is not visible: P1 to P9, K1-K4.
 *
 * K1 to K4 are the conditions of docs/design.md under which inlining adds no deadlock.
 */
#define _GNU_SOURCE
#include "task_check.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(inline, .timeout = 60);

enum { MILLION = CHECKED ? 20000 : 1000000, DEEP = MILLION };

/* Whether the caller's frame lies a little below a mark: on the same stack.  The marks of
 * two stacks are farther apart. */
static bool on_stack_of(const void *mark)
{
	const char *here = __builtin_frame_address(0);

	return here < (const char *)mark && (const char *)mark - here < 32768;
}

#define MARK() __builtin_frame_address(0)

static int until_cancelled(void *arg)
{
	(void)arg;
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	atomic_fetch_add(&ran, 1);
	return -ECANCELED;
}

/* ---- P1 --------------------------------------------------------------------------------- */

static int runs_inlined(void *arg)
{
	CHECK(on_stack_of(arg));
	return count(NULL);
}

static int runs_elsewhere(void *arg)
{
	CHECK(!on_stack_of(arg));
	return count(NULL);
}

static int p1_close(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 1000; i++)
		CHECK(scope_spawn(&s, runs_inlined, MARK()) == 0);
	CHECK(scope_spawn_n(&s, runs_inlined, MARK(), 0, 1000) == 0);
	CHECK(scope_spawn_with(&s, runs_inlined, MARK(), NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 2001);
	return 0;
}

Test(inline, P1_close_runs_unstarted_children_on_its_stack)
{
	ran = 0;
	cr_assert_eq(run(p1_close, NULL, 1), 0);
}

static int p1_wait(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(&s, runs_elsewhere, MARK()) == 0);
	CHECK(scope_spawn_n(&s, runs_elsewhere, MARK(), 0, 100) == 0);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
	CHECK(ran == 200);
	return scope_close(&s);
}

Test(inline, P1_wait_until_runs_nothing_on_its_stack)
{
	ran = 0;
	cr_assert_eq(run(p1_wait, NULL, 0), 0);
}

static int p1_flags(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++) {
		CHECK(scope_spawn_with(&s, runs_elsewhere, MARK(), &concurrent) == 0);
		CHECK(scope_spawn_with(&s, runs_elsewhere, MARK(), &pinned) == 0);
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 200);
	return 0;
}

Test(inline, P1_concurrent_and_pinned_tasks_have_own_stacks)
{
	ran = 0;
	cr_assert_eq(run(p1_flags, NULL, 0), 0);
}

/* ---- P2 --------------------------------------------------------------------------------- */

/* What a parent shares with its children. */
struct parent {
	const void *mark;    /* its frame */
	atomic_int in_inner; /* it is in the close of its inner scope */
};

static int outer_child(void *arg)
{
	struct parent *parent = arg;

	CHECK(!(atomic_load(&parent->in_inner) && on_stack_of(parent->mark)));
	return count(NULL);
}

static int inner_child(void *arg)
{
	(void)arg;
	/* The parent waits buried or elsewhere; children of outer are ready now. */
	CHECK(scope_yield() == 0);
	CHECK(scope_sleep_for(1) == 0);
	return count(NULL);
}

static int p2_nested(void *arg)
{
	struct parent parent = {.mark = MARK()};
	struct scope outer, inner;
	int round, i;

	(void)arg;
	for (round = 0; round < 100; round++) {
		scope_open(&outer);
		for (i = 0; i < 5; i++)
			CHECK(scope_spawn(&outer, outer_child, &parent) == 0);
		scope_open(&inner);
		for (i = 0; i < 5; i++)
			CHECK(scope_spawn(&inner, inner_child, NULL) == 0);
		parent.in_inner = 1;
		CHECK(scope_close(&inner) == 0);
		parent.in_inner = 0;
		CHECK(scope_close(&outer) == 0);
		CHECK(ran == (round + 1) * 10);
	}
	return 0;
}

Test(inline, P2_close_runs_no_task_of_the_scope_above)
{
	ran = 0;
	cr_assert_eq(run(p2_nested, NULL, 0), 0);
}

static _Atomic(const void *) marks[2]; /* of two parents; NULL: not running */

static int not_on_other_stack(void *arg)
{
	CHECK(!on_stack_of(marks[1 - (intptr_t)arg]));
	return count(NULL);
}

/* Lays slots on the worker's deque in turns with the other parent, whose slots so lie on top
 * when this one closes. */
static int p2_turns(void *arg)
{
	struct scope s;
	int round, i;

	marks[(intptr_t)arg] = MARK();
	for (round = 0; round < 100; round++) {
		scope_open(&s);
		for (i = 0; i < 6; i++) {
			CHECK(scope_spawn(&s, not_on_other_stack, arg) == 0);
			if (i % 2)
				CHECK(scope_yield() == 0);
		}
		CHECK(scope_close(&s) == 0);
	}
	marks[(intptr_t)arg] = NULL;
	return 0;
}

static int p2_two_parents(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, p2_turns, (void *)0) == 0);
	CHECK(scope_spawn(&s, p2_turns, (void *)1) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 1200);
	return 0;
}

Test(inline, P2_close_runs_no_task_of_another_parent)
{
	ran = 0;
	cr_assert_eq(run(p2_two_parents, NULL, 0), 0);
}

/* ---- P3, K3 ----------------------------------------------------------------------------- */

static int p3_child(void *arg)
{
	const struct scope_error *error;
	struct scope *parents = arg;
	int code = -ENOENT;
	struct scope own;

	/* The parent's last error is not its own; nor is the parent's scope. */
	CHECK(scope_last_error() == NULL);
	CHECK(scope_close(parents) == -EDEADLK);
	CHECK(scope_fail(parents, -EIO, NULL) == -EPERM);
	scope_open(&own);
	CHECK(scope_spawn(&own, fail_with, &code) == 0);
	CHECK(scope_close(&own) == -ENOENT);
	error = scope_last_error();
	CHECK(error && error->code == -ENOENT);
	CHECK(error && path_is(error->path, "/p3_root/first/fail_with"));
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int p3_root(void *arg)
{
	struct scope_spawn_options named = {.name = "first"};
	const struct scope_error *error;
	int code = -EIO, i;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	CHECK(scope_close(&s) == -EIO);
	scope_open(&s);
	for (i = 0; i < 20; i++) {
		named.flags = i % 4 ? 0 : SCOPE_CONCURRENT;
		CHECK(scope_spawn_with(&s, p3_child, &s, &named) == 0);
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 20);
	error = scope_last_error();
	CHECK(error && error->code == -EIO);
	return 0;
}

Test(inline, P3_a_child_has_its_own_errors)
{
	ran = 0;
	cr_assert_eq(run(p3_root, NULL, 0), 0);
}

static int p3_feels_nothing(void *arg)
{
	(void)arg;
	CHECK(!scope_cancelled());
	CHECK(scope_checkpoint() == 0);
	return count(NULL);
}

static int p3_feels_cancel(void *arg)
{
	(void)arg;
	CHECK(scope_checkpoint() == -ECANCELED);
	return count(NULL);
}

/* The child's place is its scope, not where the parent happens to be. */
static int p3_place(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct scope outer, inner, covered;

	(void)arg;
	scope_open(&outer);
	CHECK(scope_spawn(&outer, p3_feels_nothing, NULL) == 0);
	scope_open(&inner);
	CHECK(scope_spawn(&inner, p3_feels_cancel, NULL) == 0);
	scope_cancel(&inner);
	CHECK(scope_spawn(&outer, p3_feels_nothing, NULL) == 0);
	CHECK(scope_open_with(&covered, &shield) == 0);
	CHECK(scope_spawn(&covered, p3_feels_nothing, NULL) == 0);
	CHECK(scope_close(&covered) == 0);
	CHECK(scope_close(&inner) == 0);
	CHECK(scope_close(&outer) == 0);
	CHECK(ran == 4);
	return 0;
}

Test(inline, P3_a_child_is_cancelled_with_its_own_scope)
{
	/* One worker: what is inlined starts after the cancel. */
	ran = 0;
	cr_assert_eq(run(p3_place, NULL, 1), 0);
}

static int p3_scopes(void *arg)
{
	struct scope_options timeout = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	CHECK(scope_open_with(&s, &timeout) == 0);
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	CHECK(scope_close(&s) == -ETIMEDOUT);
	/* The timeout was the child's own: nobody else is cancelled. */
	CHECK(scope_checkpoint() == 0);
	return count(NULL);
}

static int p3_deadlines(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 50; i++)
		CHECK(scope_spawn(&s, p3_scopes, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 50);
	return 0;
}

Test(inline, K3_a_child_has_its_own_deadline)
{
	ran = 0;
	cr_assert_eq(run(p3_deadlines, NULL, 0), 0);
}

/* ---- P4, P5, P6 ------------------------------------------------------------------------- */

static atomic_int ball;

static int player(void *arg)
{
	int side = (int)(intptr_t)arg, i;

	for (i = 0; i < 100; i++) {
		while (atomic_load(&ball) % 2 != side)
			CHECK(scope_yield() == 0);
		atomic_fetch_add(&ball, 1);
	}
	return 0;
}

static int p4_root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn(&s, player, (void *)0) == 0);
	CHECK(scope_spawn(&s, player, (void *)1) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ball == 200);
	return 0;
}

Test(inline, P4_siblings_take_turns_on_one_worker)
{
	ball = 0;
	cr_assert_eq(run(p4_root, NULL, 1), 0);
	ball = 0;
	cr_assert_eq(run(p4_root, NULL, 0), 0);
}

static _Atomic(const void *) parked; /* a frame of the sibling that is parked */

static int parks(void *arg)
{
	(void)arg;
	parked = MARK();
	CHECK(scope_sleep_for(SCOPE_MS) == 0);
	parked = NULL;
	return count(NULL);
}

static int not_on_parked(void *arg)
{
	(void)arg;
	CHECK(!on_stack_of(parked));
	return count(NULL);
}

static int p4_parked(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 50; i++) {
		scope_open(&s);
		CHECK(scope_spawn_n(&s, not_on_parked, NULL, 0, 10) == 0);
		CHECK(scope_spawn(&s, not_on_parked, NULL) == 0);
		CHECK(scope_spawn(&s, parks, NULL) == 0);
		CHECK(scope_close(&s) == 0);
		CHECK(ran == (i + 1) * 12);
	}
	return 0;
}

Test(inline, P4_no_sibling_runs_on_top_of_a_parked_one)
{
	ran = 0;
	cr_assert_eq(run(p4_parked, NULL, 0), 0);
}

static int p5_root(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++)
		CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_spawn_n(&s, count, NULL, 0, 100) == 0);
	/* The virtual clock moves only when nothing can run. */
	CHECK(scope_sleep_for(1) == 0);
	CHECK(ran == 200);
	return scope_close(&s);
}

Test(inline, P5_children_run_while_the_parent_is_parked)
{
	ran = 0;
	cr_assert_eq(run(p5_root, NULL, 0), 0);
}

/* fib with yields, sleeps, waits and members that spawn, so that every way to join is met. */
struct fib {
	int n;
	uint64_t result;
	struct scope *scope;
};

static int p6_fib(void *arg)
{
	struct fib *fib = arg, left, right;
	struct scope s;

	if (fib->n < 2) {
		fib->result = (uint64_t)fib->n;
		return 0;
	}
	left = (struct fib){fib->n - 1, 0, &s};
	right = (struct fib){fib->n - 2, 0, &s};
	scope_open(&s);
	CHECK(scope_spawn(&s, p6_fib, &left) == 0);
	if (fib->n % 5 == 0)
		CHECK(scope_yield() == 0);
	CHECK(scope_spawn(&s, p6_fib, &right) == 0);
	if (fib->n % 4 == 0)
		CHECK(scope_sleep_for(1) == 0);
	if (fib->scope)
		CHECK(scope_spawn(fib->scope, count, NULL) == 0);
	if (fib->n % 3 == 0)
		CHECK(scope_wait_until(&s, SCOPE_NEVER) == 0);
	CHECK(scope_close(&s) == 0);
	fib->result = left.result + right.result;
	return 0;
}

static int p6_root(void *arg)
{
	struct fib fib = {SIMULATED ? 11 : 16, 0, NULL};

	(void)arg;
	CHECK(p6_fib(&fib) == 0);
	CHECK(fib.result == (SIMULATED ? 89 : 987));
	CHECK(ran == (SIMULATED ? 142 : 1595)); /* inner nodes but the top */
	return 0;
}

Test(inline, P6_the_same_program_ends_with_any_number_of_workers)
{
	unsigned workers;

	for (workers = 0; workers <= 4; workers++) {
		ran = 0;
		cr_assert_eq(run(p6_root, NULL, workers), 0);
	}
}

/* ---- P7 --------------------------------------------------------------------------------- */

static int deep(void *arg)
{
	uintptr_t left = (uintptr_t)arg;
	struct scope s;

	if (left == 0)
		return count(NULL);
	scope_open(&s);
	CHECK(scope_spawn(&s, deep, (void *)(left - 1)) == 0);
	return scope_close(&s);
}

static int p7_root(void *arg)
{
	(void)arg;
	return deep((void *)(uintptr_t)DEEP);
}

Test(inline, P7_recursion_a_million_deep)
{
	ran = 0;
	cr_assert_eq(run(p7_root, NULL, 0), 0);
	cr_assert_eq(ran, 1);
}

static int deep_error(void *arg)
{
	uintptr_t left = (uintptr_t)arg;
	struct scope s;

	if (left == 0)
		return -EIO;
	scope_open(&s);
	CHECK(scope_spawn(&s, deep_error, (void *)(left - 1)) == 0);
	return scope_close(&s);
}

static int p7_error(void *arg)
{
	(void)arg;
	return deep_error((void *)(uintptr_t)(DEEP / 10));
}

Test(inline, P7_an_error_climbs_from_the_bottom)
{
	cr_assert_eq(run(p7_error, NULL, 0), -EIO);
}

/* Uses what a child may expect to find when it is inlined. */
static __attribute__((noinline)) int use_stack(void)
{
	volatile char frame[12288];
	size_t i;

	for (i = 0; i < sizeof(frame); i += 512)
		frame[i] = (char)i;
	return frame[512];
}

static int deep_and_wide(void *arg)
{
	uintptr_t left = (uintptr_t)arg;
	struct scope s;

	use_stack();
	if (left == 0)
		return count(NULL);
	scope_open(&s);
	CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_spawn(&s, deep_and_wide, (void *)(left - 1)) == 0);
	return scope_close(&s);
}

static int p7_room(void *arg)
{
	(void)arg;
	CHECK(deep_and_wide((void *)(uintptr_t)20000) == 0);
	CHECK(ran == 20001);
	return 0;
}

Test(inline, P7_an_inlined_child_finds_room)
{
	ran = 0;
	cr_assert_eq(run(p7_room, NULL, 0), 0);
}

/* ---- P9 --------------------------------------------------------------------------------- */

static int p9_parallel(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, count, NULL, &concurrent) == 0);
	/* Neither parks nor calls in: only another worker can run the task. */
	while (atomic_load(&ran) == 0)
		;
	return scope_close(&s);
}

Test(inline, P9_a_concurrent_task_runs_beside_a_busy_parent)
{
	ran = 0;
	cr_assert_eq(run(p9_parallel, NULL, 2), 0);
}

static int p9_one_worker(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 1; i <= 100; i++) {
		CHECK(scope_spawn_with(&s, count, NULL, &concurrent) == 0);
		CHECK(scope_checkpoint() == 0);
		CHECK(ran == i);
	}
	return scope_close(&s);
}

Test(inline, P9_on_one_worker_it_runs_at_the_next_checkpoint)
{
	ran = 0;
	cr_assert_eq(run(p9_one_worker, NULL, 1), 0);
}

/* ---- K1 --------------------------------------------------------------------------------- */

static int k1_spawn(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100000; i++) {
		CHECK(scope_spawn(&s, count, NULL) == 0);
		CHECK(ran == 0);
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 100000);
	return 0;
}

Test(inline, K1_spawn_runs_nothing)
{
	ran = 0;
	cr_assert_eq(run(k1_spawn, NULL, 1), 0);
}

static int spawns_sibling(void *arg)
{
	struct scope below;

	CHECK(scope_spawn(arg, count, NULL) == 0);
	scope_open(&below);
	CHECK(scope_spawn(&below, count, NULL) == 0);
	CHECK(scope_spawn(arg, count, NULL) == 0);
	CHECK(scope_yield() == 0);
	CHECK(scope_spawn(arg, count, NULL) == 0);
	return scope_close(&below);
}

static int k1_siblings(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 100; i++) {
		CHECK(scope_spawn(&s, spawns_sibling, &s) == 0);
		CHECK(scope_spawn_with(&s, spawns_sibling, &s, &concurrent) == 0);
	}
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 800);
	return 0;
}

Test(inline, K1_children_spawn_siblings_inlined_and_stolen)
{
	ran = 0;
	cr_assert_eq(run(k1_siblings, NULL, 0), 0);
}

static int k1_outer(void *arg)
{
	struct scope outer, inner;
	int i;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	for (i = 0; i < 100; i++) {
		CHECK(scope_spawn(&outer, runs_elsewhere, MARK()) == 0);
		CHECK(scope_spawn(&inner, count, NULL) == 0);
	}
	CHECK(scope_spawn_n(&outer, count, NULL, 0, 100) == 0);
	CHECK(scope_close(&inner) == 0);
	CHECK(scope_close(&outer) == 0);
	CHECK(ran == 300);
	return 0;
}

Test(inline, K1_spawns_below_the_innermost_scope_are_queued)
{
	ran = 0;
	cr_assert_eq(run(k1_outer, NULL, 0), 0);
}

static atomic_int turns, last_turns;

static int ticker(void *arg)
{
	(void)arg;
	while (!atomic_load(&last_turns)) {
		CHECK(scope_yield() == 0);
		atomic_fetch_add(&turns, 1);
	}
	return 0;
}

/* Long until the ticker had its turns, nothing afterwards. */
static int busy_child(void *arg)
{
	volatile int i;

	(void)arg;
	if (atomic_load(&turns) < 3)
		for (i = 0; i < 20000; i++)
			;
	return count(NULL);
}

static int k1_fair(void *arg)
{
	struct scope outer, inner;
	int i;

	(void)arg;
	scope_open(&outer);
	CHECK(scope_spawn_with(&outer, ticker, NULL, &concurrent) == 0);
	scope_open(&inner);
	for (i = 0; i < MILLION; i++)
		CHECK(scope_spawn(&inner, busy_child, NULL) == 0);
	CHECK(scope_close(&inner) == 0);
	CHECK(ran == MILLION);
	CHECK(turns >= 3);
	last_turns = 1;
	return scope_close(&outer);
}

Test(inline, K1_a_million_inlined_children_let_others_run)
{
	ran = turns = last_turns = 0;
	cr_assert_eq(run(k1_fair, NULL, 1), 0);
}

/* ---- K2 --------------------------------------------------------------------------------- */

static int k2_error(void *arg)
{
	int code = -EIO, rc;
	struct scope s;

	(void)arg;
	scope_open(&s);
	/* The last one runs first, on top of this frame, and parks; the error comes from a
	 * stack of its own.  A thief may be quicker with it. */
	CHECK(scope_spawn(&s, fail_with, &code) == 0);
	rc = scope_spawn(&s, until_cancelled, NULL);
	CHECK(rc == 0 || rc == -ECANCELED);
	CHECK(scope_close(&s) == -EIO);
	CHECK(ran == (rc == 0));
	return 0;
}

Test(inline, K2_an_error_acts_though_the_parent_is_buried)
{
	ran = 0;
	cr_assert_eq(run(k2_error, NULL, 1), 0);
	ran = 0;
	cr_assert_eq(run(k2_error, NULL, 0), 0);
}

static int cancel_it(void *arg)
{
	CHECK(scope_sleep_for(SCOPE_MS) == 0);
	scope_cancel(arg);
	return 0;
}

static int k2_cancel(void *arg)
{
	struct scope top, outer, inner;

	(void)arg;
	scope_open(&top);
	scope_open(&outer);
	CHECK(scope_spawn(&top, cancel_it, &outer) == 0);
	scope_open(&inner);
	CHECK(scope_spawn(&inner, until_cancelled, NULL) == 0);
	CHECK(scope_spawn(&inner, until_cancelled, NULL) == 0);
	CHECK(scope_close(&inner) == -ECANCELED);
	CHECK(scope_close(&outer) == 0);
	CHECK(ran == 2);
	return scope_close(&top);
}

Test(inline, K2_a_cancel_acts_though_the_parent_is_buried)
{
	ran = 0;
	cr_assert_eq(run(k2_cancel, NULL, 1), 0);
	ran = 0;
	cr_assert_eq(run(k2_cancel, NULL, 0), 0);
}

static int k2_deadline(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;
	int i;

	(void)arg;
	CHECK(scope_open_with(&s, &options) == 0);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn(&s, until_cancelled, NULL) == 0);
	CHECK(scope_close(&s) == -ETIMEDOUT);
	CHECK(ran == 10);
	return 0;
}

Test(inline, K2_a_deadline_acts_though_the_parent_is_buried)
{
	ran = 0;
	cr_assert_eq(run(k2_deadline, NULL, 1), 0);
	ran = 0;
	cr_assert_eq(run(k2_deadline, NULL, 0), 0);
}

/* ---- K4 --------------------------------------------------------------------------------- */

static bool on_threads_stack(void)
{
	char *here = __builtin_frame_address(0);
	pthread_attr_t attr;
	size_t size = 0;
	void *low = NULL;

	CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
	CHECK(pthread_attr_getstack(&attr, &low, &size) == 0);
	pthread_attr_destroy(&attr);
	return here >= (char *)low && here < (char *)low + size;
}

static int k4_root(void *arg)
{
	(void)arg;
	CHECK(!on_threads_stack());
	return 0;
}

Test(inline, K4_the_root_task_has_a_stack_of_its_own)
{
	checks_begin();
	cr_assert(on_threads_stack());
	cr_assert_eq(run(k4_root, NULL, 0), 0);
}

static atomic_int moved;

static long thread_id(void)
{
	return syscall(SYS_gettid);
}

static int adds(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

/* Sleeps and yields among its spawns until the parents have moved often enough. */
static int k4_parent(void *arg)
{
	int64_t end = scope_now() + 5 * SCOPE_SEC;

	(void)arg;
	while (atomic_load(&moved) < 100 && scope_now() < end) {
		long before = thread_id();
		atomic_int sum = 0;
		struct scope s;
		int i;

		scope_open(&s);
		for (i = 0; i < 4; i++)
			CHECK(scope_spawn(&s, adds, &sum) == 0);
		CHECK(scope_sleep_for(20 * SCOPE_US) == 0);
		for (; i < 8; i++)
			CHECK(scope_spawn(&s, adds, &sum) == 0);
		CHECK(scope_yield() == 0);
		CHECK(scope_spawn(&s, adds, &sum) == 0);
		CHECK(scope_close(&s) == 0);
		CHECK(sum == 9);
		atomic_fetch_add(&moved, thread_id() != before);
	}
	return 0;
}

static int k4_moves(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 5; i++)
		CHECK(scope_spawn(&s, k4_parent, NULL) == 0);
	return scope_close(&s);
}

Test(inline, K4_a_parent_closes_on_another_worker)
{
	moved = 0;
	cr_assert_eq(run_flags(k4_moves, NULL, 2, 0), 0);
	cr_assert(moved > 0, "no parent changed its worker in five seconds");
}
