/* tests/unit/test_counted.c: counted scopes with a body: their tasks are units, and nothing else of
 * a scope is different.
 */
#include "api/task_check.h"
#include "scope/tree.h"

TestSuite(counted, .timeout = 60);

static void open_counted(struct scope *s)
{
	sc_view(s)->state = 0;
	CHECK_EQ(sc_open_counted(sc_self(), sc_view(s), __builtin_return_address(0)), 0);
}

static int yields(void *arg)
{
	scope_yield();
	return count(arg);
}

static int spawn_three(void *arg)
{
	CHECK_EQ(scope_spawn(arg, yields, NULL), 0);
	CHECK_EQ(scope_spawn(arg, count, NULL), 0);
	CHECK_EQ(scope_spawn_n(arg, count, NULL, 0, 5), 0);
	return 0;
}

static int opens_and_closes(void *arg)
{
	struct scope s, inner;
	int i;

	(void)arg;
	ran = 0;
	for (i = 0; i < 3; i++) {
		open_counted(&s);
		CHECK_EQ(sc_view(&s)->count, 0);
		spawn_three(&s);
		CHECK_EQ(scope_spawn(&s, spawn_three, &s), 0);
		/* Inlined children of its body. */
		scope_open(&inner);
		CHECK_EQ(scope_spawn(&inner, spawn_three, &s), 0);
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
		CHECK_EQ(scope_close(&inner), 0);
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(ran, 23 * (i + 1));
		CHECK_EQ(scope_close(&s), -ESTALE);
	}
	return 0;
}

Test(counted, S1_all_tasks_are_joined)
{
	must_run(opens_and_closes, NULL);
}

static int each_is_a_unit(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	open_counted(&s);
	for (i = 1; i <= 5; i++) {
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
		CHECK_EQ(sc_view(&s)->count, i);
	}
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(sc_view(&s)->count, 0);
	CHECK_EQ(scope_wait_until(&s, 0), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(counted, each_task_is_a_unit)
{
	struct scope_config config = {.workers = 1, .flags = SCOPE_VIRTUAL_CLOCK};

	cr_assert_eq(run_config(each_is_a_unit, NULL, config), 0);
}

static int nested(void *arg)
{
	struct scope s[3], plain;
	int code = -EIO;

	(void)arg;
	open_counted(&s[0]);
	open_counted(&s[1]);
	scope_open(&plain);
	CHECK_EQ(scope_close(&s[1]), -EBUSY);
	CHECK_EQ(scope_fail(&s[1], -EIO, NULL), -EPERM);
	CHECK_EQ(scope_wait_until(&s[0], 0), -EBUSY);
	CHECK_EQ(scope_close(&plain), 0);
	CHECK_EQ(scope_close(&s[0]), -EBUSY);
	CHECK_EQ(scope_spawn(&s[1], fail_with, &code), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s[1]), -EIO);
	CHECK_EQ(scope_fail(&s[0], -EPROTO, NULL), -EPROTO);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s[0]), -EPROTO);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(counted, S9_S10_misuse_is_told)
{
	must_run(nested, NULL);
}

static int member_closes(void *arg)
{
	CHECK_EQ(scope_close(arg), -EDEADLK);
	CHECK_EQ(scope_fail(arg, -EIO, NULL), -EPERM);
	return 0;
}

static int another_closes(void *arg)
{
	CHECK_EQ(scope_close(arg), -EPERM);
	return 0;
}

static int relations(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	open_counted(&s);
	CHECK_EQ(scope_spawn(&s, member_closes, &s), 0);
	CHECK_EQ(scope_spawn(&outer, another_closes, &s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(counted, S9_only_the_owner_closes)
{
	must_run(relations, NULL);
}

static int cancels(void *arg)
{
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	open_counted(&s);
	CHECK_EQ(scope_set_deadline(&s, scope_now() + SCOPE_MS), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	open_counted(&s);
	scope_cancel(&outer);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_set_shield(&s, true), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(counted, C2_T2_cancels_and_deadlines_reach_the_body)
{
	must_run(cancels, NULL);
}

static int leaves_open(void *arg)
{
	struct scope s;

	(void)arg;
	open_counted(&s);
	CHECK_EQ(scope_spawn(&s, yields, NULL), 0);
	return 0;
}

static int leaked(void *arg)
{
	struct scope outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, leaves_open, NULL), 0);
	CHECK_EQ(scope_close(&outer), -EPROTO);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(counted, S11_one_left_open_is_joined)
{
	skip_leaks_where_checked();
	must_run(leaked, NULL);
}

/* ---- below a scope that closes ---- */

static int starts_and_sleeps(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_started(), 0);
	return scope_sleep_for(SCOPE_SEC);
}

/* Of what hangs below it a close ends the objects, as long as there are such. */
static int passes_over_others(void *arg)
{
	struct scope s, inner, object;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_open_in(&object, &s), 0);
	CHECK_EQ(scope_start(&s, starts_and_sleeps, NULL), 0);
	scope_open(&inner);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0); /* which links it */
	/* As if the task had come between a look at the units and that at the list. */
	at_sub_rlx(&sc_view(&s)->count, 1);
	CHECK(sc_left_to_join(sc_view(&s)) == NULL);
	at_add_rlx(&sc_view(&s)->count, 1);
	CHECK_EQ(scope_close(&object), -ESTALE);
	CHECK(!scope_cancel_called(&inner));
	CHECK_EQ(scope_close(&inner), 0);
	return scope_close(&s);
}

Test(counted, H1_a_close_ends_objects_and_nothing_else)
{
	must_run(passes_over_others, NULL);
}
