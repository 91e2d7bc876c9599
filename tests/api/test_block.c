/* tests/api/test_block.c: a scope as a block: rule S18. */
#include "task_check.h"

#include <scope_block.h>

TestSuite(block, .timeout = 60);

static int sleeps(void *arg)
{
	int rc = scope_sleep_for(arg ? SCOPE_MS : SCOPE_SEC);

	atomic_fetch_add(&ran, rc == 0 ? 1 : 100);
	return rc;
}

static int short_sleep;

static int ends(void *arg)
{
	int rc = 1;

	(void)arg;
	ran = 0;
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, &short_sleep), 0);
		CHECK_EQ(scope_spawn(&s, sleeps, &short_sleep), 0);
	}
	CHECK_EQ(ran, 2);
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, &short_sleep), 0);
		continue;
	}
	CHECK_EQ(ran, 3);
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, &short_sleep), 0);
		rc = scope_close(&s);
		CHECK_EQ(ran, 4);
	}
	CHECK_EQ(rc, 0);
	CHECK_EQ(ran, 4);
	scope_block(s)
		ran = 0;
	CHECK_EQ(ran, 0);
	return 0;
}

Test(block, S18_the_end_of_a_block_joins)
{
	must_run(ends, NULL);
}

static int leave_by_return(void)
{
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, NULL), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0); /* it has started */
		scope_block(inner) {
			CHECK_EQ(scope_spawn(&inner, sleeps, NULL), 0);
			return 42;
		}
	}
	return 0;
}

static int leaves(void *arg)
{
	int64_t before = scope_now();

	(void)arg;
	ran = 0;
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, NULL), 0);
		if (ran == 0)
			break;
		CHECK(!"left");
	}
	CHECK_EQ(ran, 100);
	CHECK_EQ(leave_by_return(), 42);
	CHECK_EQ(ran, 300);
	scope_block(s) {
		CHECK_EQ(scope_spawn(&s, sleeps, NULL), 0);
		goto out;
	}
	CHECK(!"left");
out:
	CHECK_EQ(ran, 400);
	CHECK(scope_now() < before + SCOPE_SEC);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(block, S18_leaving_a_block_cancels_and_joins)
{
	must_run(leaves, NULL);
}

static int code = -EIO;

static int fails_unseen(void *arg)
{
	if (arg)
		scope_block(s)
			CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	else
		scope_block(s) {
			CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
			break;
		}
	return 0;
}

static int errors_pass(void *arg)
{
	const struct scope_spawn_options *how = arg;
	struct scope s;

	scope_open(&s);
	fails_unseen(NULL);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fails_unseen, &code, how), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_last_error()->code, -EIO);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fails_unseen, NULL, how), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	return 0;
}

Test(block, S18_an_error_that_nobody_saw_is_one_of_the_place_around)
{
	must_run(errors_pass, NULL);
	must_run(errors_pass, (void *)(uintptr_t)&concurrent);
}

static int cancelled_around(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	scope_block(inner)
		CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	scope_block(inner) {
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		break;
	}
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(block, S18_a_cancel_from_above_is_no_error)
{
	must_run(cancelled_around, NULL);
}

static int times_out(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_block(inner) {
		CHECK_EQ(scope_set_deadline(&inner, scope_now() + SCOPE_MS), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	}
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(block, S18_a_deadline_that_nobody_saw_is_an_error)
{
	must_run(times_out, NULL);
}

static int wrong_order(void *arg)
{
	static struct scope younger;

	(void)arg;
	scope_block(s) {
		scope_open(&younger);
		break;
	}
	CHECK_EQ(scope_close(&younger), 0);
	return 0;
}

static int left_open(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, wrong_order, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	return 0;
}

Test(block, S11_a_block_left_under_a_younger_scope_eproto)
{
	skip_leaks_where_checked();
	must_run(left_open, NULL);
}

Test(block, S2_outside_a_run_a_block_runs_and_starts_nothing)
{
	int rc = 0;

	scope_block(s)
		rc = scope_spawn(&s, never_called, NULL);
	cr_assert_eq(rc, -ENOTCONN);
	scope_block(s) {
		rc = scope_close(&s);
		break;
	}
	cr_assert_eq(rc, -ENOTCONN);
}
