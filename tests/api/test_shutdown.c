/* tests/api/test_shutdown.c: graceful shutdown: soft stops, grace periods: rules G1 to G3. */
#include "task_check.h"

#include <scope_offload.h>
#include <scope_parallel.h>
#include <scope_ref.h>

TestSuite(shutdown, .timeout = 60);

enum { MANY = CHECKED ? 20 : 200 };

/* ---- tasks --------------------------------------------------------------------------- */

/* What a sleep for ever gave: in a region, or not. */
static int wait_softly(void *arg)
{
	CHECK_EQ(scope_soft_begin(), 0);
	*(int *)arg = scope_sleep_until(SCOPE_NEVER);
	CHECK_EQ(scope_soft_end(), 0);
	return 0;
}

static int wait_plainly(void *arg)
{
	*(int *)arg = scope_sleep_until(SCOPE_NEVER);
	return 0;
}

static int sleep_a_while(void *arg)
{
	*(int *)arg = scope_sleep_for(100 * SCOPE_MS);
	return 0;
}

/* Called by a task in a stopped place, not in a region. */
static void check_that_nothing_changed(void)
{
	struct scope s;

	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK(!scope_cancelled());
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, count, NULL, &concurrent), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
}

/* Opens a stopped scope as the place of the running task. */
static void open_stopped(struct scope *s)
{
	scope_open(s);
	scope_shutdown(s, SCOPE_NEVER);
}

/* ---- G1: whom it reaches ------------------------------------------------------------- */

static int nest(int levels, int *result)
{
	struct scope_options options = {.shield = levels % 2};
	struct scope s;
	int rc;

	if (levels == 0)
		return wait_softly(result);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	rc = nest(levels - 1, result);
	CHECK_EQ(scope_close(&s), 0);
	return rc;
}

static int wait_deep(void *arg)
{
	return nest(10, arg);
}

static int stop_those_below(void *arg)
{
	struct scope s, inner;
	int result[MANY], i;

	(void)arg;
	scope_open(&s);
	scope_open(&inner);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(scope_spawn_with(i % 2 ? &s : &inner, i % 3 ? wait_deep : wait_softly,
					  &result[i], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(result[i], -ESHUTDOWN);
	CHECK(!scope_timed_out(&s) && !scope_cancel_called(&s));
	return 0;
}

Test(shutdown, G1_soft_stop_reaches_all_below_behind_shields)
{
	must_run(stop_those_below, NULL);
}

/* A task that has never parked finds out by itself, however deep. */
static int look_deep(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct scope s[3];
	int i;

	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_open_with(&s[i], &shield), 0);
	CHECK_EQ(scope_soft_begin(), 0);
	while ((*(int *)arg = scope_checkpoint()) == 0)
		;
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	for (i = 2; i >= 0; i--)
		CHECK_EQ(scope_close(&s[i]), 0);
	return 0;
}

static int stop_who_computes(void *arg)
{
	int result[2] = {1, 1};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, look_deep, &result[0], &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, look_deep, &result[1], &concurrent), 0);
	CHECK_EQ(scope_yield(), 0);
	scope_shutdown(&s, SCOPE_NEVER);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result[0], -ESHUTDOWN);
	CHECK_EQ(result[1], -ESHUTDOWN);
	return 0;
}

Test(shutdown, G1_soft_stop_reaches_who_computes)
{
	cr_assert_eq(run_flags(stop_who_computes, NULL, 0, 0), 0);
}

static int other_scopes(void *arg)
{
	struct scope outer, left, right;
	int result[3] = {1, 1, 1};

	(void)arg;
	scope_open(&outer);
	scope_open(&left);
	CHECK_EQ(scope_spawn_with(&outer, wait_softly, &result[0], &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&left, wait_softly, &result[1], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&left, SCOPE_NEVER);
	CHECK_EQ(scope_close(&left), 0);
	CHECK_EQ(result[1], -ESHUTDOWN);
	/* A scope that was opened in the same place later has nothing of it. */
	scope_open(&right);
	CHECK_EQ(scope_spawn_with(&right, wait_softly, &result[2], &concurrent), 0);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(result[0], 1);
	CHECK_EQ(result[2], 1);
	scope_cancel(&outer);
	CHECK_EQ(scope_close(&right), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(result[0], -ECANCELED);
	CHECK_EQ(result[2], -ECANCELED);
	return 0;
}

Test(shutdown, G1_scopes_beside_and_above_are_not_touched)
{
	must_run(other_scopes, NULL);
}

/* A task that is spawned, and one that parks, after the soft stop. */
static int late_ones(void *arg)
{
	struct scope s, inner;
	int result[3] = {0, 0, 0};

	(void)arg;
	open_stopped(&s);
	CHECK_EQ(scope_spawn_with(&s, wait_softly, &result[0], &concurrent), 0);
	CHECK_EQ(scope_spawn(&s, wait_softly, &result[1]), 0);
	scope_open(&inner);
	CHECK_EQ(scope_spawn(&inner, wait_deep, &result[2]), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result[0], -ESHUTDOWN);
	CHECK_EQ(result[1], -ESHUTDOWN);
	CHECK_EQ(result[2], -ESHUTDOWN);
	return 0;
}

Test(shutdown, G1_who_comes_later_is_stopped_too)
{
	must_run(late_ones, NULL);
}

static int from_a_member(void *arg)
{
	scope_shutdown(arg, SCOPE_NEVER);
	return 0;
}

static int any_task_may(void *arg)
{
	struct scope s;
	int result = 0;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, wait_softly, &result, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, from_a_member, &s, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ESHUTDOWN);
	return 0;
}

Test(shutdown, G1_any_task_with_the_scope_may_shut_it_down)
{
	must_run(any_task_may, NULL);
}

static int on_a_closed_scope(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	scope_shutdown(&s, 0);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancel_called(&s));
	return 0;
}

Test(shutdown, G1_closed_scope_is_left_alone)
{
	struct scope s = {{0}};

	must_run(on_a_closed_scope, NULL);
	scope_shutdown(&s, 0); /* nor is there anything to do outside a run */
}

static int object_is_stopped(void *arg)
{
	struct scope outer, object;
	int result[3] = {1, 1, 1};

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, wait_softly, &result[0]), 0);
	CHECK_EQ(scope_spawn(&object, wait_plainly, &result[1]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&object, 10 * SCOPE_MS);
	CHECK_EQ(scope_close(&object), -ETIMEDOUT);
	CHECK_EQ(result[0], -ESHUTDOWN);
	CHECK_EQ(result[1], -ECANCELED);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, wait_softly, &result[2]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&outer, SCOPE_NEVER);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(result[2], -ESHUTDOWN);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(shutdown, G1_scope_in_an_object_is_stopped_by_itself_and_from_above)
{
	must_run(object_is_stopped, NULL);
}

static int object_moves_out(void *arg)
{
	struct scope outer, inner, object;
	int result[2] = {1, 1};

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	CHECK_EQ(scope_spawn(&object, wait_softly, &result[0]), 0);
	scope_shutdown(&inner, SCOPE_NEVER);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(result[0], -ESHUTDOWN);
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, wait_softly, &result[1]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(result[1], 1);
	CHECK_EQ(scope_close(&inner), 0);
	scope_cancel(&object);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(result[1], -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(shutdown, H3_scope_that_is_moved_out_of_a_stopped_one_is_stopped_no_more)
{
	must_run(object_moves_out, NULL);
}

/* ---- G1: grace periods --------------------------------------------------------------- */

/* How long a plain sleeper in a scope of its own got, and what its close gave. */
struct grace {
	struct scope *outer; /* shut down by the test, or NULL */
	int64_t first, second;
	int64_t deadline;    /* relative; 0: none */
	int64_t deadline_to; /* moved to it after the shutdown; 0: not */
	int64_t lasted;
	int rc, told;
};

static int shut_down_twice(void *arg)
{
	struct grace *grace = arg;
	int64_t start = scope_now();
	struct scope_options options = {
		.deadline_ns = grace->deadline ? start + grace->deadline : 0};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	scope_shutdown(&s, grace->first);
	if (grace->second)
		scope_shutdown(&s, grace->second);
	if (grace->deadline_to)
		CHECK_EQ(scope_set_deadline(&s, start + grace->deadline_to), 0);
	grace->told = scope_sleep_for(SCOPE_SEC);
	grace->lasted = scope_now() - start;
	grace->rc = scope_close(&s);
	return 0;
}

static void lasts(struct grace grace, int64_t want, int rc)
{
	must_run(shut_down_twice, &grace);
	cr_expect_eq(grace.lasted, want, "it lasted %lld", (long long)grace.lasted);
	cr_expect_eq(grace.rc, rc);
	cr_expect_eq(grace.told, rc ? -ECANCELED : 0);
}

Test(shutdown, G1_grace_is_only_ever_shortened)
{
	lasts((struct grace){.first = 50 * SCOPE_MS}, 50 * SCOPE_MS, -ETIMEDOUT);
	lasts((struct grace){.first = 50 * SCOPE_MS, .second = 90 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = 90 * SCOPE_MS, .second = 50 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = SCOPE_NEVER, .second = 50 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = 50 * SCOPE_MS, .second = SCOPE_NEVER}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = SCOPE_NEVER}, SCOPE_SEC, 0);
	lasts((struct grace){.first = 50 * SCOPE_MS, .second = -5}, 0, -ETIMEDOUT);
}

Test(shutdown, G1_the_earlier_of_grace_and_deadline_counts)
{
	lasts((struct grace){.first = 50 * SCOPE_MS, .deadline = 70 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = 70 * SCOPE_MS, .deadline = 50 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = SCOPE_NEVER, .deadline = 50 * SCOPE_MS}, 50 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = 70 * SCOPE_MS,
			     .second = 60 * SCOPE_MS,
			     .deadline = 50 * SCOPE_MS}, 50 * SCOPE_MS, -ETIMEDOUT);
}

/* The deadline moves both ways, the end of the grace period stays. */
Test(shutdown, G1_a_deadline_can_be_moved_beneath_the_grace)
{
	lasts((struct grace){.first = 50 * SCOPE_MS,
			     .deadline = 20 * SCOPE_MS,
			     .deadline_to = 40 * SCOPE_MS}, 40 * SCOPE_MS, -ETIMEDOUT);
	lasts((struct grace){.first = 50 * SCOPE_MS,
			     .deadline = 20 * SCOPE_MS,
			     .deadline_to = 90 * SCOPE_MS}, 50 * SCOPE_MS, -ETIMEDOUT);
	lasts((struct grace){.first = 50 * SCOPE_MS, .deadline_to = 20 * SCOPE_MS}, 20 * SCOPE_MS,
	      -ETIMEDOUT);
	lasts((struct grace){.first = SCOPE_NEVER,
			     .deadline = 20 * SCOPE_MS,
			     .deadline_to = 90 * SCOPE_MS}, 90 * SCOPE_MS, -ETIMEDOUT);
}

static int move_after_the_end(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_shutdown(&s, 10 * SCOPE_MS);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_set_deadline(&s, SCOPE_NEVER), -EALREADY);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(shutdown, G1_set_deadline_after_the_grace_ealready)
{
	must_run(move_after_the_end, NULL);
}

struct nested_grace {
	int64_t outer, inner;
	int64_t lasted;
	int outer_rc, inner_rc;
};

static int nested_grace(void *arg)
{
	struct nested_grace *grace = arg;
	int64_t start = scope_now();
	struct scope outer, inner;

	scope_open(&outer);
	scope_open(&inner);
	scope_shutdown(&outer, grace->outer);
	scope_shutdown(&inner, grace->inner);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	grace->lasted = scope_now() - start;
	grace->inner_rc = scope_close(&inner);
	grace->outer_rc = scope_close(&outer);
	return 0;
}

Test(shutdown, G1_grace_periods_of_nested_scopes_compose_by_min)
{
	struct nested_grace a = {.outer = 70 * SCOPE_MS, .inner = 50 * SCOPE_MS};
	struct nested_grace b = {.outer = 50 * SCOPE_MS, .inner = 70 * SCOPE_MS};

	must_run(nested_grace, &a);
	cr_expect_eq(a.lasted, 50 * SCOPE_MS);
	cr_expect_eq(a.inner_rc, -ETIMEDOUT);
	cr_expect_eq(a.outer_rc, 0);
	must_run(nested_grace, &b);
	cr_expect_eq(b.lasted, 50 * SCOPE_MS);
	cr_expect_eq(b.inner_rc, -ECANCELED);
	cr_expect_eq(b.outer_rc, -ETIMEDOUT);
}

/* ---- G2: what feels it --------------------------------------------------------------- */

static int nothing_else(void *arg)
{
	struct scope s, inner;
	int result[2] = {1, 1}, sum = 0;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_a_while, &result[0], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	check_that_nothing_changed();
	scope_open(&inner);
	check_that_nothing_changed();
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_spawn(&s, sleep_a_while, &result[1]), 0);
	CHECK_EQ(scope_within(SCOPE_SEC, fail_with, &sum), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result[0], 0);
	CHECK_EQ(result[1], 0);
	CHECK(!scope_timed_out(&s) && !scope_cancel_called(&s));
	return 0;
}

Test(shutdown, G2_everything_else_goes_on_untouched)
{
	must_run(nothing_else, NULL);
}

static void drop_at_shutdown(void *arg, int result)
{
	CHECK_EQ(result, -ESHUTDOWN);
	++*(int *)arg;
}

static int all_checkpoints(void *arg)
{
	struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON,
						.drop = drop_at_shutdown};
	int dropped = 0;
	struct scope s, inner;
	int i, unused;

	(void)arg;
	open_stopped(&s);
	CHECK_EQ(scope_soft_begin(), 0);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
		CHECK_EQ(scope_yield(), -ESHUTDOWN);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), -ESHUTDOWN);
		CHECK_EQ(scope_sleep_until(0), -ESHUTDOWN);
		CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ESHUTDOWN);
		CHECK_EQ(scope_offload(never_called, NULL, NULL), -ESHUTDOWN);
		CHECK_EQ(scope_offload(never_called, &dropped, &options), -ESHUTDOWN);
		scope_open(&inner);
		CHECK_EQ(scope_spawn(&inner, sleep_a_while, &unused), 0);
		CHECK_EQ(scope_wait_until(&inner, SCOPE_NEVER), -ESHUTDOWN);
		CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
		CHECK_EQ(scope_close(&inner), 0);
		CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
		CHECK(!scope_cancelled());
	}
	CHECK_EQ(dropped, 3);
	CHECK_EQ(scope_soft_end(), 0);
	check_that_nothing_changed();
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_soft_end(), 0);
	return 0;
}

Test(shutdown, G2_each_checkpoint_of_a_region_eshutdown)
{
	must_run(all_checkpoints, NULL);
	cr_assert_eq(run_flags(all_checkpoints, NULL, 0, 0), 0);
}

static int wait_for_tasks(void *arg)
{
	struct scope s;
	int unused;

	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sleep_a_while, &unused), 0);
	CHECK_EQ(scope_soft_begin(), 0);
	*(int *)arg = scope_wait_until(&s, SCOPE_NEVER);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int stop_who_waits_for_tasks(void *arg)
{
	struct scope s;
	int result = 0;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, wait_for_tasks, &result, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ESHUTDOWN);
	return 0;
}

Test(shutdown, G2_parked_wait_until_wakes_eshutdown)
{
	must_run(stop_who_waits_for_tasks, NULL);
}

/* A full scope: its only task sleeps. */
static void open_full(struct scope *s, int *result)
{
	struct scope_options options = {.max_tasks = 1, .results = true};

	CHECK_EQ(scope_open_with(s, &options), 0);
	CHECK_EQ(scope_spawn(s, sleep_a_while, result), 0);
}

static int waits_for_room_or_result(void *arg)
{
	struct scope_result result;
	struct scope full;
	int unused;

	open_full(&full, &unused);
	CHECK_EQ(scope_soft_begin(), 0);
	if (*(int *)arg)
		*(int *)arg = scope_spawn(&full, never_called, NULL);
	else
		*(int *)arg = scope_next(&full, &result);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_next(&full, &result), 0); /* nothing was lost */
	CHECK_EQ(scope_spawn(&full, count, NULL), 0);
	CHECK_EQ(scope_close(&full), 0);
	return 0;
}

static int room_and_results(void *arg)
{
	struct scope_result result;
	struct scope s, full;
	int told[2] = {0, 1}, unused;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_room_or_result, &told[0], &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, waits_for_room_or_result, &told[1], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_NEVER);
	open_full(&full, &unused);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_spawn(&full, never_called, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_with(&full, never_called, NULL, &concurrent), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_copy(&full, never_called, "", 1), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_n(&full, never_called, NULL, 0, 1), -ESHUTDOWN);
	CHECK_EQ(scope_next(&full, &result), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&full), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(told[0], -ESHUTDOWN);
	CHECK_EQ(told[1], -ESHUTDOWN);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(shutdown, G2_waits_for_room_and_for_results_eshutdown)
{
	must_run(room_and_results, NULL);
}

static struct scope_parker parker;

static int park_softly(void *arg)
{
	int *told = arg;

	CHECK_EQ(scope_soft_begin(), 0);
	*told = *told ? scope_park(&parker) : scope_park_until(&parker, scope_now() + SCOPE_SEC);
	CHECK_EQ(scope_soft_end(), 0);
	return 0;
}

static int stop_who_parks(void *arg)
{
	struct scope s;
	int told, i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		told = i;
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, park_softly, &told, &concurrent), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		scope_shutdown(&s, SCOPE_NEVER);
		CHECK_EQ(scope_soft_begin(), 0);
		CHECK_EQ(scope_start(&s, never_called, NULL), -ESHUTDOWN);
		CHECK_EQ(scope_soft_end(), 0);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(told, -ESHUTDOWN);
	}
	scope_unpark(&parker);
	CHECK_EQ(scope_park(&parker), 0); /* nothing is left of the waits */
	return 0;
}

Test(shutdown, G2_park_and_start_eshutdown)
{
	must_run(stop_who_parks, NULL);
}

static int nested_regions(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	open_stopped(&s);
	for (i = 0; i < 31; i++)
		CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_soft_begin(), -EOVERFLOW);
	for (i = 0; i < 31; i++) {
		CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
		CHECK_EQ(scope_soft_end(), 0);
	}
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_soft_end(), -EPERM);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int spawn_nested_regions(void *arg)
{
	struct scope s;

	nested_regions(arg);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, nested_regions, NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, nested_regions, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(shutdown, G2_soft_begin_of_more_than_31_regions_eoverflow)
{
	must_run(spawn_nested_regions, NULL);
}

Test(shutdown, G2_soft_end_without_a_region_eperm)
{
	must_run(spawn_nested_regions, NULL);
}

Test(shutdown, G2_soft_begin_and_end_outside_a_run_enotconn)
{
	cr_assert_eq(scope_soft_begin(), -ENOTCONN);
	cr_assert_eq(scope_soft_end(), -ENOTCONN);
}

static int has_no_region(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_soft_end(), -EPERM);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return 0;
}

/* It belongs to the task and not to its stack. */
static int children_in_a_region(void *arg)
{
	struct scope s, inner;
	int i;

	(void)arg;
	open_stopped(&s);
	CHECK_EQ(scope_soft_begin(), 0);
	scope_open(&inner);
	for (i = 0; i < 10; i++)
		CHECK_EQ(scope_spawn_with(&inner, has_no_region, NULL, i % 2 ? &concurrent : NULL),
			 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_both(has_no_region, NULL, has_no_region, NULL), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(shutdown, G2_children_inherit_no_region)
{
	must_run(children_in_a_region, NULL);
}

static int leave_region_open(void *arg)
{
	has_no_region(arg);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	return 0;
}

static int regions_left_open(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	open_stopped(&s);
	for (i = 0; i < 20; i++)
		CHECK_EQ(scope_spawn_with(&s, leave_region_open, NULL, i % 2 ? &concurrent : NULL),
			 0);
	CHECK_EQ(scope_spawn_n(&s, leave_region_open, NULL, 0, 20), 0);
	has_no_region(NULL);
	CHECK_EQ(scope_both(leave_region_open, NULL, leave_region_open, NULL), 0);
	has_no_region(NULL);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int quick_region_left_open(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_soft_end(), -EPERM);
	CHECK_EQ(scope_soft_begin(), 0);
	return 0;
}

/* None of them parks: all run one after the other on one stack. */
static int quick_regions_left_open(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, quick_region_left_open, NULL, 0, MANY), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(shutdown, G2_a_region_ends_with_its_task)
{
	cr_assert_eq(run(regions_left_open, NULL, 0), 0);
	must_run(quick_regions_left_open, NULL);
}

static int cancel_of_a_stopped_place(void *arg)
{
	struct scope s;

	(void)arg;
	open_stopped(&s);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), -ECANCELED);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(shutdown, G2_a_cancel_goes_first_ecanceled)
{
	must_run(cancel_of_a_stopped_place, NULL);
}

/* One whose hard cancel is hidden by a shield still feels the soft stop. */
static int shielded_region(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s, inner;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_open_with(&inner, &options), 0);
	scope_shutdown(&s, 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(shutdown, G2_shield_hides_the_cancel_and_not_the_soft_stop)
{
	must_run(shielded_region, NULL);
}

static int clean_up(void *arg)
{
	*(int *)arg = scope_sleep_for(SCOPE_MS);
	CHECK_EQ(scope_soft_begin(), 0); /* and left open */
	return 0;
}

static int deferred_in_a_region(void *arg)
{
	struct scope s, inner;
	int result = 1;

	(void)arg;
	open_stopped(&s);
	CHECK_EQ(scope_soft_begin(), 0);
	scope_open(&inner);
	CHECK_EQ(scope_defer(&inner, clean_up, &result), 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(result, 0);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_soft_end(), -EPERM);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

static int spawn_deferred_in_a_region(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, deferred_in_a_region, arg), 0);
	CHECK_EQ(scope_close(&s), 0);
	return deferred_in_a_region(arg);
}

Test(shutdown, G2_deferred_functions_are_in_no_region_of_the_closing_task)
{
	must_run(spawn_deferred_in_a_region, NULL);
}

/* Handing on what ended the loop of a server must not cancel those that use their grace. */
static int hand_on(void *arg)
{
	int rc;

	(void)arg;
	CHECK_EQ(scope_soft_begin(), 0);
	rc = scope_sleep_until(SCOPE_NEVER);
	CHECK_EQ(scope_soft_end(), 0);
	return rc;
}

static int handed_on(void *arg)
{
	int result = 1, code = -ESHUTDOWN;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, hand_on, NULL, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_a_while, &result, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_fail(&s, -ESHUTDOWN, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_close(&s), -ESHUTDOWN); /* nobody stopped that one */
	return 0;
}

Test(shutdown, G2_eshutdown_of_a_stopped_task_is_no_error)
{
	cr_assert_eq(run(handed_on, NULL, 0), 0);
}

/* ---- G3: the end of the grace period ------------------------------------------------- */

static int cause_of_failure(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return -EIO;
}

static int hard_cancel(void *arg)
{
	struct scope s;
	int result = 1;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, wait_plainly, &result, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, 10 * SCOPE_MS);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK_EQ(result, -ECANCELED);
	CHECK(scope_timed_out(&s) && scope_cancel_called(&s));
	CHECK_EQ(scope_last_error()->code, -ETIMEDOUT);
	CHECK_EQ(scope_last_error()->cause, SCOPE_CAUSE_SHUTDOWN);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, cause_of_failure, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, 10 * SCOPE_MS);
	CHECK_EQ(scope_close(&s), -EIO); /* an error goes before, as ever */
	CHECK_EQ(scope_last_error()->cause, SCOPE_CAUSE_SHUTDOWN);
	return 0;
}

Test(shutdown, G3_hard_cancel_at_the_end_of_the_grace_etimedout)
{
	must_run(hard_cancel, NULL);
}

static int done_in_time(void *arg)
{
	struct scope s;
	int result[2] = {1, 1};

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_a_while, &result[0], &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, wait_softly, &result[1], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result[0], 0);
	CHECK_EQ(result[1], -ESHUTDOWN);
	CHECK(!scope_timed_out(&s));
	/* The end of the period came and found nobody who noticed. */
	scope_open(&s);
	scope_shutdown(&s, 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(!scope_timed_out(&s));
	return 0;
}

Test(shutdown, G3_close_gives_0_if_nothing_was_hit)
{
	must_run(done_in_time, NULL);
}

static int moving_on(void *arg)
{
	struct scope_options options = {.on_timeout = SCOPE_MOVE_ON};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	scope_shutdown(&s, 10 * SCOPE_MS);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(scope_timed_out(&s));
	return 0;
}

Test(shutdown, G3_move_on_gives_0_and_tells_the_timeout)
{
	must_run(moving_on, NULL);
}

static int without_grace(void *arg)
{
	struct scope s;
	int result = 1;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, wait_plainly, &result, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_spawn(&s, never_called, arg), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK_EQ(result, -ECANCELED);
	return 0;
}

Test(shutdown, G3_without_grace_the_cancel_comes_at_once)
{
	must_run(without_grace, NULL);
}

static int cancelled_before(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	scope_shutdown(&s, 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(!scope_timed_out(&s));
	return 0;
}

Test(shutdown, G3_a_cancel_before_the_end_is_no_timeout)
{
	must_run(cancelled_before, NULL);
}

/* It has opened no other scope and parks nowhere: the clock is looked at for it. */
static int compute(void *arg)
{
	int64_t start = real_now();
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_shutdown(&s, 20 * SCOPE_MS);
	while (scope_checkpoint() == 0)
		CHECK(real_now() - start < 20 * SCOPE_SEC);
	CHECK(real_now() - start >= 20 * SCOPE_MS);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(shutdown, G3_the_end_of_the_grace_reaches_who_computes)
{
	cr_assert_eq(run_flags(compute, NULL, 0, 0), 0);
}
