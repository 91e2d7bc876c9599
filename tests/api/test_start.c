/* tests/api/test_start.c: tasks that say when they are ready, and services: rules S14 and S16. */
#include "task_check.h"

#include <string.h>

TestSuite(start, .timeout = 60);
TestSuite(service, .timeout = 60);

static int sleep_for_ever(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	atomic_fetch_add(&ran, 1);
	return -ECANCELED;
}

/* ---- S14 -------------------------------------------------------------------------------- */

static int starts_and_goes_on(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	*(int *)arg = 1;
	CHECK_EQ(scope_started(), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	*(int *)arg = 2;
	return 0;
}

static int started(void *arg)
{
	struct scope s;
	int state = 0;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, starts_and_goes_on, &state), 0);
	CHECK_EQ(state, 1);
	CHECK_EQ(scope_wait_until(&s, scope_now()), -ETIMEDOUT);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(state, 2);
	return 0;
}

Test(start, S14_returns_when_the_task_says_so)
{
	must_run(started, NULL);
}

static int fails_early(void *arg)
{
	(void)arg;
	return -EIO;
}

static int fails_late(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_started(), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return -EIO;
}

static int errors(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, fails_early, NULL), -EIO);
	CHECK(scope_last_error() && scope_last_error()->code == -EIO);
	CHECK(scope_last_error() && strstr(scope_last_error()->path, "/fails_early"));
	CHECK(!scope_cancel_called(&s));
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&s);
	CHECK_EQ(scope_start(&s, fails_late, NULL), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(ran, 1);
	CHECK(scope_last_error() && strstr(scope_last_error()->path, "/errors/fails_late"));
	return 0;
}

Test(start, S14_an_error_before_is_the_starters_later_the_scopes)
{
	must_run(errors, NULL);
}

static int not_started(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_start(&s, count, arg), -ENOMSG);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(start, S14_a_return_without_it_enomsg)
{
	must_run(not_started, NULL);
}

static int starts_twice(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_started(), 0);
	CHECK_EQ(scope_started(), -EALREADY);
	return 0;
}

static int twice(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, starts_twice, NULL), 0);
	return scope_close(&s);
}

Test(start, S14_twice_ealready)
{
	must_run(twice, NULL);
}

static int says_started(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_started(), -EPERM);
	return 0;
}

static int children_say_so(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, says_started, NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, says_started, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&s);
	CHECK_EQ(scope_started(), 0); /* whatever scopes it has open */
	return scope_close(&s);
}

static int others_say_so(void *arg)
{
	struct scope s, object;

	(void)arg;
	CHECK_EQ(scope_started(), -EPERM);
	scope_open(&s);
	CHECK_EQ(scope_open_in(&object, &s), 0);
	CHECK_EQ(scope_spawn(&object, says_started, NULL), 0);
	CHECK_EQ(scope_spawn(&s, says_started, NULL), 0);
	CHECK_EQ(scope_close(&object), 0);
	return scope_close(&s);
}

Test(start, S14_another_task_says_so_eperm)
{
	must_run(others_say_so, NULL);
}

static int only_itself(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, children_say_so, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(start, S14_its_own_tasks_can_not_say_so_eperm)
{
	must_run(only_itself, NULL);
}

Test(start, S2_outside_a_run_enotconn)
{
	struct scope s;

	cr_assert_eq(scope_start(&s, never_called, NULL), -ENOTCONN);
	cr_assert_eq(scope_started(), -ENOTCONN);
}

/* The caller is cancelled: so is the task, and it is joined. */
static int never_starts(void *arg)
{
	struct scope shielded;
	struct scope_options options = {.shield = true};

	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_started(), -ECANCELED);
	CHECK_EQ(scope_open_with(&shielded, &options), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&shielded), 0);
	*(int *)arg = 1;
	return 0;
}

static int caller_cancelled(void *arg)
{
	struct scope outer, inner;
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	int ended = 0;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&inner, &options), 0);
	CHECK_EQ(scope_start(&outer, never_starts, &ended), -ECANCELED);
	CHECK_EQ(ended, 1);
	CHECK_EQ(scope_start(&outer, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&inner), -ETIMEDOUT);
	CHECK(!scope_cancel_called(&outer));
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(start, S14_cancel_of_the_caller_cancels_and_joins_ecanceled)
{
	must_run(caller_cancelled, NULL);
}

static int fails_when_cancelled(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return -EIO;
}

static int error_and_cancel(void *arg)
{
	struct scope outer, inner;
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&inner, &options), 0);
	CHECK_EQ(scope_start(&outer, fails_when_cancelled, NULL), -EIO);
	CHECK_EQ(scope_close(&inner), -ETIMEDOUT);
	return scope_close(&outer);
}

Test(start, S14_E6_an_error_goes_before_the_cancel)
{
	must_run(error_and_cancel, NULL);
}

/* The scope is cancelled, the caller, above it, is not. */
static int starts_in(void *arg)
{
	CHECK_EQ(scope_start(arg, sleep_for_ever, NULL), -ECANCELED);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_start(arg, never_called, NULL), -ECANCELED);
	return 0;
}

static int scope_cancelled_meanwhile(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn_with(&outer, starts_in, &object, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&object);
	CHECK_EQ(scope_wait_until(&outer, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_close(&object), 0);
	return scope_close(&outer);
}

Test(start, S14_C9_cancel_of_the_scope_ecanceled)
{
	must_run(scope_cancelled_meanwhile, NULL);
}

static int closed(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_start(&s, never_called, NULL), -ESTALE);
	return 0;
}

Test(start, S14_into_a_closed_scope_estale)
{
	must_run(closed, NULL);
}

static int leaves_scope_open(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, NULL), 0);
	return 0;
}

static int leaks(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, leaves_scope_open, NULL), -EPROTO);
	CHECK_EQ(ran, 1);
	return scope_close(&s);
}

Test(start, S11_one_that_leaves_a_scope_open_eproto)
{
	skip_leaks_where_checked();
	must_run(leaks, NULL);
}

enum { STARTS = CHECKED ? 100 : 3000 };

static int starts_at_once(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_started(), 0);
	return count(NULL);
}

static int many_starts(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&s);
	for (i = 0; i < STARTS; i++)
		CHECK_EQ(scope_start(&s, starts_at_once, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, STARTS);
	return 0;
}

Test(start, S13_many_leave_nothing)
{
	must_run(many_starts, NULL);
}

/* A soft stop ends the wait as a cancel does, and lets a start that comes first stand. */
static int starts_softly(void *arg)
{
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_start(arg, sleep_for_ever, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_start(arg, never_called, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	return 0;
}

static int stopped(void *arg)
{
	struct scope outer, s;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, starts_softly, &outer, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return scope_close(&outer);
}

Test(start, S14_G2_a_soft_stop_of_the_caller_eshutdown)
{
	must_run(stopped, NULL);
}

/* ---- S16 -------------------------------------------------------------------------------- */

static const struct scope_spawn_options service = {.flags = SCOPE_SERVICE, .name = "service"};

static int sleep_a_second(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	return count(arg);
}

static int does_not_keep_open(void *arg)
{
	struct scope s;
	int64_t start = scope_now();

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, NULL, &service), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(scope_spawn(&s, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_now(), start + SCOPE_SEC);
	CHECK_EQ(ran, 2);
	CHECK(!scope_cancel_called(&s));
	return 0;
}

Test(service, S16_does_not_keep_its_scope_open)
{
	must_run(does_not_keep_open, NULL);
}

static atomic_int order;

/* Each sees the others, spawned before it, alive. */
static int ends_in_turn(void *arg)
{
	struct scope shielded;
	struct scope_options options = {.shield = true};
	int turn = *(int *)arg;

	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(order, turn);
	CHECK_EQ(scope_open_with(&shielded, &options), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&shielded), 0);
	CHECK_EQ(order, turn);
	atomic_fetch_sub(&order, 1);
	return 0;
}

static int in_reverse(void *arg)
{
	enum { SERVICES = 5 };
	struct scope s, object;
	int turn[SERVICES], i;

	(void)arg;
	ran = 0;
	order = SERVICES - 1;
	scope_open(&s);
	CHECK_EQ(scope_open_in(&object, &s), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	for (i = 0; i < SERVICES; i++) {
		turn[i] = i;
		CHECK_EQ(scope_spawn_with(&s, ends_in_turn, &turn[i], &service), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(order, -1);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(service, S16_end_one_at_a_time_in_reverse_order)
{
	must_run(in_reverse, NULL);
}

static int error_ends_all(void *arg)
{
	struct scope s;
	int code = -EIO;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, NULL, &service), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, NULL, &service), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(ran, 3);
	/* Its own error is one of the scope, at once. */
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fail_with, &code, &service), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK(scope_last_error() && strstr(scope_last_error()->path, "/service"));
	return 0;
}

Test(service, S16_an_error_ends_all_at_once)
{
	must_run(error_ends_all, NULL);
}

static int ends_by_itself(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&s);
	for (i = 0; i < 50; i++)
		CHECK_EQ(scope_spawn_with(&s, count, NULL, &service), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(ran, 50);
	for (i = 0; i < 50; i++)
		CHECK_EQ(scope_spawn_with(&s, count, NULL, &service), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 100);
	return 0;
}

Test(service, S16_may_end_by_itself)
{
	must_run(ends_by_itself, NULL);
}

/* C12: that it was ended felt a cancel is nobody's hit. */
static int no_hit(void *arg)
{
	struct scope s;
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_SEC};

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, NULL, &service), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(!scope_timed_out(&s));
	CHECK_EQ(ran, 1);
	return 0;
}

Test(service, S16_C12_its_end_is_no_hit)
{
	must_run(no_hit, NULL);
}

static int spawns_while_ending(void *arg)
{
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_spawn(arg, count, NULL), 0);
	CHECK_EQ(scope_spawn_with(arg, sleep_for_ever, NULL, &service), 0);
	return 0;
}

static int accepted_late(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, spawns_while_ending, &s, &service), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(service, S1_S16_what_it_spawns_at_its_end_is_joined)
{
	must_run(accepted_late, NULL);
}

static int refused(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_spawn_with(&s, never_called, NULL, &service), -ECANCELED);
	return scope_close(&s);
}

Test(service, S6_refused_in_a_cancelled_place_ecanceled)
{
	must_run(refused, NULL);
}
