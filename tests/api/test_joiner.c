/* tests/api/test_joiner.c: what ends a scope: policies, limits, results: rules R1 to R4, S15. */
#include "task_check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(joiner, .timeout = 60);

/* ---- AWAIT_ALL ----------------------------------------------------------------------------- */

static int codes[] = {-EIO, -EPIPE, -ENOENT};

static int sleep_and_count(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return count(arg);
}

static int fail_later(void *arg)
{
	int *code = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS * (1 + (code - codes))), 0);
	return *code;
}

static int all_are_awaited(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	const struct scope_spawn_options *how = arg;
	const struct scope_error *error;
	struct scope s;
	int i;

	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_spawn_with(&s, sleep_and_count, NULL, how), 0);
		CHECK_EQ(scope_spawn_with(&s, fail_later, &codes[i], how), 0);
	}
	CHECK_EQ(scope_fail(&s, -EDOM, "the body's own"), -EDOM);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_and_count, NULL, how), 0);
	CHECK_EQ(scope_close(&s), -EDOM);
	CHECK_EQ(ran, 4);
	CHECK(!scope_cancel_called(&s));
	error = scope_last_error();
	CHECK_EQ(error->code, -EDOM);
	for (error = error->suppressed, i = 0; error; error = error->next)
		i++;
	CHECK_EQ(i, 3);
	/* Its own cancel acts as ever. */
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, fail_with, &codes[0], how), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	return 0;
}

Test(joiner, R1_await_all_lets_all_end_and_lists_their_errors)
{
	must_run(all_are_awaited, NULL);
	must_run(all_are_awaited, (void *)(uintptr_t)&concurrent);
}

/* More errors than a scope keeps. */
static int many_errors(void *arg)
{
	static int code = -EIO;
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL, .results = true};
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 100; i++)
		CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancel_called(&s));
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_last_error()->uncounted, 36);
	return 0;
}

Test(joiner, R1_await_all_with_results_lets_all_end_however_many_fail)
{
	must_run(many_errors, NULL);
}

static int unknown_policy(void *arg)
{
	struct scope_options options = {.policy = 17};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), -EINVAL);
	return 0;
}

Test(joiner, R1_an_unknown_policy_einval)
{
	must_run(unknown_policy, NULL);
}

static int bad_combinations(void *arg)
{
	static void *winner;
	struct scope_options wrong[] = {
		{.policy = SCOPE_ANY, .results = true},
		{.policy = SCOPE_RACE, .results = true},
		{.policy = SCOPE_CUSTOM},
		{.out_winner = &winner},
		{.policy = SCOPE_AWAIT_ALL, .out_winner = &winner},
		{.drop = free},
		{.policy = SCOPE_AWAIT_ALL, .max_tasks = 3, .drop = free},
	};
	struct scope s;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CHECK_EQ(scope_open_with(&s, &wrong[i]), -EINVAL);
	return 0;
}

Test(joiner, R1_options_that_do_not_go_with_the_policy_einval)
{
	must_run(bad_combinations, NULL);
}

/* ---- ANY ----------------------------------------------------------------------------------- */

/* A way to something: takes so long, and ends so.  -ECANCELED if it was cancelled meanwhile. */
struct way {
	int64_t duration_ns;
	int rc;
	int stubborn;    /* does not look at cancels */
	atomic_int used, dropped;
};

static int go(void *arg)
{
	struct scope_options shield = {.shield = true};
	struct way *way = arg;
	struct scope s;

	atomic_fetch_add(&way->used, 1);
	if (way->stubborn)
		CHECK_EQ(scope_open_with(&s, &shield), 0);
	if (scope_sleep_for(way->duration_ns) < 0)
		return -ECANCELED;
	if (way->stubborn)
		CHECK_EQ(scope_close(&s), 0);
	return way->rc;
}

static atomic_int drops; /* of all ways */

static void drop_way(void *arg)
{
	struct way *way = arg;

	drops++;
	CHECK_EQ(scope_checkpoint(), 0); /* not cancelled here */
	atomic_fetch_add(&way->dropped, 1);
}

/* Runs the ways by a policy; what close returned. */
static int choose(unsigned policy, struct way *ways, size_t count, void **out_winner)
{
	struct scope_options options = {
		.policy = policy, .drop = drop_way, .out_winner = out_winner};
	struct scope s;
	size_t i;
	int rc;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < count; i++)
		CHECK_EQ(scope_spawn(&s, go, &ways[i]), 0);
	rc = scope_close(&s);
	for (i = 0; i < count; i++)
		CHECK_EQ(ways[i].used, 1);
	return rc;
}

static int first_success(void *arg)
{
	struct way ways[] = {{3 * SCOPE_MS, 0, 0, 0, 0}, {SCOPE_MS, -EIO, 0, 0, 0},
			     {2 * SCOPE_MS, 0, 0, 0, 0}, {SCOPE_SEC, 0, 0, 0, 0}};
	int64_t before = scope_now();
	void *winner = NULL;
	int i;

	(void)arg;
	CHECK_EQ(choose(SCOPE_ANY, ways, 4, &winner), 0);
	CHECK(winner == &ways[2]);
	CHECK(scope_now() < before + SCOPE_SEC);
	for (i = 0; i < 4; i++)
		CHECK_EQ(ways[i].dropped, 0);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(joiner, R1_any_takes_the_first_success_and_cancels_the_rest)
{
	must_run(first_success, NULL);
}

static int late_successes(void *arg)
{
	struct way ways[] = {{SCOPE_MS, 0, 0, 0, 0}, {2 * SCOPE_MS, 0, 1, 0, 0},
			     {2 * SCOPE_MS, -EIO, 1, 0, 0}, {3 * SCOPE_MS, 0, 1, 0, 0}};
	void *winner = NULL;

	CHECK_EQ(choose(*(unsigned *)arg, ways, 4, &winner), 0);
	CHECK(winner == &ways[0]);
	CHECK_EQ(ways[0].dropped, 0);
	CHECK_EQ(ways[1].dropped, 1);
	CHECK_EQ(ways[2].dropped, 0);
	CHECK_EQ(ways[3].dropped, 1);
	return 0;
}

static unsigned any = SCOPE_ANY, race = SCOPE_RACE;

Test(joiner, R3_successes_that_come_after_the_winner_are_dropped_once)
{
	must_run(late_successes, &any);
	must_run(late_successes, &race);
}

static int all_fail(void *arg)
{
	struct way ways[] = {{3 * SCOPE_MS, -EPIPE, 0, 0, 0}, {SCOPE_MS, -EIO, 0, 0, 0},
			     {2 * SCOPE_MS, -ENOSPC, 0, 0, 0}};
	const struct scope_error *error;
	void *winner = &ways;

	(void)arg;
	CHECK_EQ(choose(SCOPE_ANY, ways, 3, &winner), -EIO);
	CHECK(winner == NULL);
	error = scope_last_error();
	CHECK(error && error->code == -EIO && error->suppressed);
	CHECK_EQ(error->suppressed->code, -ENOSPC);
	CHECK_EQ(error->suppressed->next->code, -EPIPE);
	return 0;
}

Test(joiner, R2_any_where_all_fail_lists_their_errors)
{
	must_run(all_fail, NULL);
}

static int nobody(void *arg)
{
	struct scope_options options = {.policy = *(unsigned *)arg};
	struct way way = {SCOPE_SEC, 0, 0, 0, 0};
	void *winner = &way;
	struct scope s;

	CHECK_EQ(choose(options.policy, NULL, 0, &winner), -ENOENT);
	CHECK(winner == NULL);
	CHECK_EQ(scope_last_error()->code, -ENOENT);
	/* Cancelled before one could win. */
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), -ENOENT);
	return 0;
}

Test(joiner, R2_where_no_task_wins_enoent)
{
	must_run(nobody, &any);
	must_run(nobody, &race);
}

static int body_fails(void *arg)
{
	struct scope_options options = {.policy = *(unsigned *)arg, .drop = drop_way};
	struct way way = {SCOPE_MS, 0, 0, 0, 0};
	void *winner = &way;
	struct scope s;

	options.out_winner = &winner;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_sleep_for(2 * SCOPE_MS), -ECANCELED); /* it has won */
	CHECK_EQ(scope_fail(&s, -EDOM, NULL), -EDOM);
	CHECK_EQ(scope_close(&s), -EDOM);
	CHECK(winner == NULL);
	CHECK_EQ(way.dropped, 1);
	return 0;
}

Test(joiner, R3_a_winner_is_dropped_if_the_body_failed)
{
	must_run(body_fails, &any);
	must_run(body_fails, &race);
}

/* The body's error is past those that a scope keeps. */
static int body_fails_late(void *arg)
{
	static int code = -EIO;
	struct scope_options options = {.policy = SCOPE_ANY, .drop = drop_way};
	struct way way = {2 * SCOPE_MS, 0, 1, 0, 0};
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	for (i = 0; i < 100; i++)
		CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_fail(&s, -EDOM, NULL), -EDOM);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(way.dropped, 1);
	return 0;
}

Test(joiner, R3_a_winner_is_dropped_if_the_body_failed_after_many_others)
{
	must_run(body_fails_late, NULL);
}

static int wins_in_spite_of_a_cancel(void *arg)
{
	struct way ways[] = {{2 * SCOPE_MS, 0, 1, 0, 0}, {SCOPE_SEC, 0, 0, 0, 0}};
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_set_deadline(&s, scope_now() + SCOPE_MS), 0);
	CHECK_EQ(choose(*(unsigned *)arg, ways, 2, NULL), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED); /* it is not lost */
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(joiner, C6_a_winner_goes_before_a_cancel)
{
	must_run(wins_in_spite_of_a_cancel, &any);
	must_run(wins_in_spite_of_a_cancel, &race);
}

static int stopped_from_above(void *arg)
{
	struct way ways[] = {{SCOPE_SEC, 0, 0, 0, 0}, {SCOPE_SEC, 0, 0, 0, 0}};
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_set_deadline(&s, scope_now() + SCOPE_MS), 0);
	CHECK_EQ(choose(*(unsigned *)arg, ways, 2, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(joiner, C12_without_a_winner_a_cancel_from_above_is_the_result)
{
	must_run(stopped_from_above, &any);
	must_run(stopped_from_above, &race);
}

static int own_deadline(void *arg)
{
	struct scope_options options = {.policy = *(unsigned *)arg};
	struct way way = {SCOPE_SEC, 0, 0, 0, 0};
	struct scope s;

	options.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	options.deadline_ns = scope_now() + SCOPE_MS;
	options.on_timeout = SCOPE_MOVE_ON;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(scope_timed_out(&s));
	return 0;
}

Test(joiner, T2_without_a_winner_its_deadline_is_the_result)
{
	must_run(own_deadline, &any);
	must_run(own_deadline, &race);
}

/* ---- RACE ---------------------------------------------------------------------------------- */

static int first_end(void *arg)
{
	struct way bad[] = {{SCOPE_MS, -EIO, 0, 0, 0}, {2 * SCOPE_MS, 0, 1, 0, 0},
			    {SCOPE_SEC, 0, 0, 0, 0}, {3 * SCOPE_MS, -EPIPE, 1, 0, 0}};
	struct way good[] = {{SCOPE_MS, 0, 0, 0, 0}, {2 * SCOPE_MS, -EIO, 1, 0, 0}};
	void *winner = bad;

	(void)arg;
	CHECK_EQ(choose(SCOPE_RACE, bad, 4, &winner), -EIO);
	CHECK(winner == NULL);
	CHECK_EQ(bad[1].dropped, 1);
	CHECK_EQ(scope_last_error()->code, -EIO);
	CHECK_EQ(scope_last_error()->suppressed->code, -EPIPE);
	CHECK_EQ(choose(SCOPE_RACE, good, 2, &winner), 0);
	CHECK(winner == &good[0]);
	return 0;
}

Test(joiner, R1_race_takes_the_first_end_good_or_bad)
{
	must_run(first_end, NULL);
}

/* ---- R3: descriptors ----------------------------------------------------------------------- */

enum { CONNECTS = CHECKED ? 100 : 1000 };

struct connect {
	int fd;
	int64_t after_ns;
};

static int connect_somewhere(void *arg)
{
	struct connect *connect = arg;

	if (scope_sleep_for(connect->after_ns) < 0 && connect->after_ns % 3)
		return -ECANCELED;
	connect->fd = dup(STDERR_FILENO);
	return connect->fd < 0 ? -errno : 0;
}

static void disconnect(void *arg)
{
	close(((struct connect *)arg)->fd);
}

static int race_connects(void *arg)
{
	static struct connect connects[CONNECTS];
	struct connect *winner = NULL;
	struct scope_options options = {
		.policy = SCOPE_ANY, .drop = disconnect, .out_winner = (void **)&winner};
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < CONNECTS; i++) {
		connects[i] = (struct connect){-1, 1 + i % 7};
		CHECK_EQ(scope_spawn(&s, connect_somewhere, &connects[i]), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK(winner && winner->fd >= 0);
	CHECK_EQ(close(winner->fd), 0);
	return 0;
}

static int open_descriptors(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 4096; fd++) {
		int copy = dup(fd);

		count += copy >= 0;
		if (copy >= 0)
			close(copy);
	}
	return count;
}

Test(joiner, R3_raced_connects_leak_no_descriptor)
{
	int before, i;

	must_run(race_connects, NULL); /* what the runtime opens for good is open now */
	before = open_descriptors();
	for (i = 0; i < 3; i++)
		must_run(race_connects, NULL);
	cr_assert_eq(open_descriptors(), before);
}

/* ---- CUSTOM -------------------------------------------------------------------------------- */

static struct {
	int calls, ends, successes, inside, answer;
	struct scope *scope;
	int restarts;
} asked;

static int on_exit_count(struct scope_result *result, void *arg)
{
	CHECK(arg == &asked);
	CHECK_EQ(++asked.inside, 1);
	asked.calls++;
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0); /* it may park, and is shielded */
	asked.successes += result->rc == 0;
	CHECK_EQ(--asked.inside, 0);
	if (result->rc == -EAGAIN) {
		result->rc = 0;
		return SCOPE_EXIT_CONTINUE;
	}
	return asked.successes == 2 ? SCOPE_EXIT_CANCEL : SCOPE_EXIT_CONTINUE;
}

static int quorum(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_CUSTOM, .on_exit = on_exit_count, .on_exit_arg = &asked};
	struct way ways[] = {{SCOPE_MS, 0, 0, 0, 0}, {SCOPE_MS, -EAGAIN, 0, 0, 0},
			     {SCOPE_MS, 0, 0, 0, 0}, {SCOPE_SEC, 0, 0, 0, 0}};
	int64_t before = scope_now();
	struct scope s;
	int i;

	(void)arg;
	memset(&asked, 0, sizeof(asked));
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(scope_spawn(&s, go, &ways[i]), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(asked.calls, 4);
	CHECK_EQ(asked.successes, 2);
	CHECK(scope_cancel_called(&s));
	CHECK(scope_now() < before + SCOPE_SEC);
	return 0;
}

Test(joiner, R1_on_exit_decides_at_each_end_one_at_a_time)
{
	must_run(quorum, NULL);
}

static int on_exit_errors(struct scope_result *result, void *arg)
{
	(void)arg;
	if (result->rc == -EPIPE)
		result->rc = -ENOSPC;
	return SCOPE_EXIT_CONTINUE;
}

static int errors_go_on(void *arg)
{
	struct scope_options options = {.policy = SCOPE_CUSTOM, .on_exit = on_exit_errors};
	struct scope s;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fail_later, &codes[1]), 0);
	CHECK_EQ(scope_sleep_for(3 * SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, sleep_and_count, NULL), 0);
	CHECK_EQ(scope_spawn(&s, fail_later, &codes[2]), 0);
	CHECK_EQ(scope_close(&s), -ENOSPC);
	CHECK_EQ(scope_last_error()->suppressed->code, -ENOENT);
	CHECK_EQ(ran, 1);
	CHECK(!scope_cancel_called(&s));
	return 0;
}

Test(joiner, R1_on_exit_continues_after_an_error_and_may_change_it)
{
	must_run(errors_go_on, NULL);
}

static int on_exit_restart(struct scope_result *result, void *arg)
{
	(void)arg;
	return result->rc != 0 && asked.restarts++ < 5 ? SCOPE_EXIT_RESTART : SCOPE_EXIT_CANCEL;
}

static int fails_thrice(void *arg)
{
	int *count = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return ++*count < 4 ? -EIO : 0;
}

static int restarted(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_CUSTOM, .on_exit = on_exit_restart, .max_tasks = 1};
	struct scope s;
	int count = 0;

	(void)arg;
	memset(&asked, 0, sizeof(asked));
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fails_thrice, &count), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(count, 4);
	CHECK_EQ(asked.restarts, 3);
	return 0;
}

static int fail_when_cancelled(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	return -EIO;
}

static int restart_cancelled(void *arg)
{
	struct scope_options options = {.policy = SCOPE_CUSTOM, .on_exit = on_exit_restart};
	struct scope s;

	(void)arg;
	memset(&asked, 0, sizeof(asked));
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fail_when_cancelled, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(asked.restarts, 1);
	return 0;
}

Test(joiner, R1_on_exit_restarts_a_task)
{
	must_run(restarted, NULL);
}

Test(joiner, V1_nothing_restarts_in_a_cancelled_place)
{
	must_run(restart_cancelled, NULL);
}

static int on_exit_close(struct scope_result *result, void *arg)
{
	(void)result;
	CHECK_EQ(scope_close(arg), -EBUSY);
	CHECK_EQ(scope_wait_until(arg, 0), -EBUSY);
	asked.calls++;
	return SCOPE_EXIT_CONTINUE;
}

static int close_in_on_exit(void *arg)
{
	struct scope s;
	struct scope_options options = {
		.policy = SCOPE_CUSTOM, .on_exit = on_exit_close, .on_exit_arg = &s};

	(void)arg;
	memset(&asked, 0, sizeof(asked));
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(asked.calls, 1);
	return 0;
}

Test(joiner, S9_close_in_on_exit_ebusy)
{
	must_run(close_in_on_exit, NULL);
}

/* ---- max_tasks ----------------------------------------------------------------------------- */

static atomic_int busy, most;

static int be_busy(void *arg)
{
	int now = atomic_fetch_add(&busy, 1) + 1, seen = most;

	(void)arg;
	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	scope_sleep_for(SCOPE_MS);
	atomic_fetch_sub(&busy, 1);
	return count(arg);
}

static int limited(void *arg)
{
	struct scope_options options = {.max_tasks = 3};
	int64_t before = scope_now();
	struct scope s;
	int i;

	(void)arg;
	ran = busy = most = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 12; i++)
		CHECK_EQ(scope_spawn(&s, be_busy, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 12);
	CHECK_EQ(most, 3);
	CHECK(scope_now() >= before + 4 * SCOPE_MS);
	return 0;
}

Test(joiner, S15_a_spawn_into_a_full_scope_waits)
{
	must_run(limited, NULL);
}

static int spawn_into_own(void *arg)
{
	struct scope_spawn_options copy = {.copy_size = 1};
	struct scope inner;

	CHECK_EQ(scope_spawn(arg, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_spawn_with(arg, never_called, "", &copy), -EAGAIN);
	CHECK_EQ(scope_spawn_copy(arg, never_called, "", 1), -EAGAIN);
	CHECK_EQ(scope_spawn_n(arg, never_called, NULL, 0, 1), -EAGAIN);
	scope_open(&inner);
	CHECK_EQ(scope_spawn(arg, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0); /* the scope stays full until its owner waits */
	return count(NULL);
}

static int full(void *arg)
{
	struct scope_options options = {.max_tasks = 1};
	struct scope_spawn_options nowait = {.flags = SCOPE_NOWAIT};
	struct scope s;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, spawn_into_own, &s, &nowait), 0);
	CHECK_EQ(scope_spawn_with(&s, never_called, NULL, &nowait), -EAGAIN);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(scope_spawn_with(&s, count, NULL, &nowait), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(joiner, S15_who_may_not_wait_is_told_eagain)
{
	must_run(full, NULL);
}

static int cancelled_while_waiting(void *arg)
{
	struct scope_options options = {.max_tasks = 1};
	struct way way = {SCOPE_SEC, 0, 1, 0, 0};
	struct scope s, outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_set_deadline(&outer, scope_now() + SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_spawn_copy(&s, never_called, "", 1), -ECANCELED);
	CHECK_EQ(scope_spawn_n(&s, never_called, NULL, 0, 1), -ECANCELED);
	CHECK_EQ(scope_spawn_with(&s, never_called, NULL, &concurrent), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	return 0;
}

Test(joiner, S15_a_wait_for_room_is_a_checkpoint_ecanceled)
{
	must_run(cancelled_while_waiting, NULL);
}

/* Cancelled while others wait: they find that out when they get room, and nothing runs. */
static int spawn_from_outside(void *arg)
{
	int rc = scope_spawn(arg, never_called, NULL);

	CHECK_EQ(rc, -ECANCELED);
	return count(NULL);
}

static int target_cancelled(void *arg)
{
	struct scope_options options = {.max_tasks = 1, .shield = true};
	struct way way = {5 * SCOPE_MS, 0, 1, 0, 0};
	struct scope s, outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_spawn(&outer, spawn_from_outside, &s), 0);
	CHECK_EQ(scope_spawn(&outer, spawn_from_outside, &s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(joiner, S15_room_in_a_cancelled_scope_is_refused)
{
	must_run(target_cancelled, NULL);
}

static struct {
	int order[4];
	atomic_int used;
} turns;

static int take_turn(void *arg)
{
	turns.order[atomic_fetch_add(&turns.used, 1)] = *(int *)arg;
	scope_sleep_for(SCOPE_MS);
	return 0;
}

struct asker {
	struct scope *s;
	int number;
};

static int ask(void *arg)
{
	struct asker *asker = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_US * (1 + asker->number)), 0);
	return scope_spawn(asker->s, take_turn, &asker->number);
}

static int in_turn(void *arg)
{
	struct scope_options options = {.max_tasks = 1};
	struct asker askers[4];
	struct scope s, outer;
	int i;

	(void)arg;
	turns.used = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 3; i >= 0; i--) {
		askers[i] = (struct asker){&s, i};
		CHECK_EQ(scope_spawn(&outer, ask, &askers[i]), 0);
	}
	CHECK_EQ(scope_sleep_for(10 * SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(turns.order[i], i);
	return 0;
}

Test(joiner, S15_room_is_given_in_the_order_of_asking)
{
	must_run(in_turn, NULL);
}

static int many_at_once(void *arg)
{
	struct scope_options options = {.max_tasks = 4};
	struct scope s;

	(void)arg;
	ran = busy = most = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_n(&s, never_called, NULL, 0, 5), -EINVAL);
	CHECK_EQ(scope_spawn_n(&s, be_busy, NULL, 0, 3), 0);
	CHECK_EQ(scope_spawn_n(&s, be_busy, NULL, 0, 2), 0);
	CHECK_EQ(scope_spawn_n(&s, be_busy, NULL, 0, 4), 0);
	CHECK_EQ(scope_spawn_n(&s, be_busy, NULL, 0, 0), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 9);
	CHECK_EQ(most, 4);
	return 0;
}

Test(joiner, S15_many_get_room_at_once_or_never_einval)
{
	must_run(many_at_once, NULL);
}

/* ---- results ------------------------------------------------------------------------------- */

static int in_order_of_ends(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL, .results = true};
	struct scope_spawn_options named = {.name = "first"};
	struct way ways[] = {{3 * SCOPE_MS, 0, 0, 0, 0}, {SCOPE_MS, -EIO, 0, 0, 0},
			     {2 * SCOPE_MS, 0, 0, 0, 0}};
	struct scope_result result;
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_next(&s, &result), -ENOENT);
	CHECK_EQ(scope_spawn_with(&s, go, &ways[0], &named), 0);
	CHECK_EQ(scope_next_until(&s, scope_now(), &result), -ETIMEDOUT);
	CHECK_EQ(scope_next_until(&s, scope_now() + SCOPE_US, &result), -ETIMEDOUT);
	for (i = 1; i < 3; i++)
		CHECK_EQ(scope_spawn(&s, go, &ways[i]), 0);
	CHECK_EQ(scope_next(&s, &result), 0);
	CHECK(result.arg == &ways[1] && result.rc == -EIO && !result.name);
	CHECK_EQ(scope_next_until(&s, SCOPE_NEVER, &result), 0);
	CHECK(result.arg == &ways[2] && result.rc == 0);
	CHECK_EQ(scope_next(&s, &result), 0);
	CHECK(result.arg == &ways[0] && strcmp(result.name, "first") == 0);
	CHECK_EQ(scope_next(&s, &result), -ENOENT);
	/* Copies live until the next call. */
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_spawn_copy(&s, fail_with, &codes[i], sizeof(int)), 0);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(scope_next(&s, &result), 0);
		CHECK_EQ(*(int *)result.arg, result.rc);
	}
	CHECK_EQ(scope_close(&s), -EIO);
	return 0;
}

Test(joiner, R4_results_come_in_the_order_of_ends_enoent)
{
	must_run(in_order_of_ends, NULL);
}

Test(joiner, R4_a_result_is_waited_for_until_etimedout)
{
	must_run(in_order_of_ends, NULL);
}

static int cancel_loses_none(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_AWAIT_ALL, .results = true, .drop = drop_way};
	struct way ways[] = {{SCOPE_MS, 0, 1, 0, 0}, {2 * SCOPE_MS, 0, 1, 0, 0},
			     {3 * SCOPE_MS, -EIO, 1, 0, 0}};
	struct scope_result result;
	struct scope outer, s;
	int i;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn(&s, go, &ways[i]), 0);
	CHECK_EQ(scope_set_deadline(&outer, scope_now() + SCOPE_US), 0);
	CHECK_EQ(scope_next(&s, &result), -ECANCELED);
	CHECK_EQ(scope_next_until(&s, SCOPE_NEVER, &result), -ECANCELED);
	CHECK_EQ(scope_set_shield(&s, true), 0);
	CHECK_EQ(scope_next(&s, &result), 0);
	CHECK(result.arg == &ways[0]);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(ways[0].dropped, 0);
	CHECK_EQ(ways[1].dropped, 1);
	CHECK_EQ(ways[2].dropped, 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	return 0;
}

Test(joiner, R4_a_cancel_loses_no_result_ecanceled)
{
	must_run(cancel_loses_none, NULL);
}

/* The owner waits softly for room and for results; its tasks go on until they end. */
static int stopped_softly(void *arg)
{
	struct scope_options options = {.max_tasks = 1, .results = true};
	struct way way = {5 * SCOPE_MS, 0, 1, 0, 0};
	struct scope_result result;
	struct scope outer, s;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	scope_soft_begin();
	scope_shutdown(&outer, SCOPE_SEC);
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_copy(&s, never_called, "", 1), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_n(&s, never_called, NULL, 0, 1), -ESHUTDOWN);
	CHECK_EQ(scope_spawn_with(&s, never_called, NULL, &concurrent), -ESHUTDOWN);
	CHECK_EQ(scope_next(&s, &result), -ESHUTDOWN);
	CHECK_EQ(scope_next_until(&s, SCOPE_NEVER, &result), -ESHUTDOWN);
	scope_soft_end();
	CHECK_EQ(scope_next(&s, &result), 0);
	CHECK(result.arg == &way);
	CHECK_EQ(scope_close(&s), 0);
	return scope_close(&outer);
}

static int stop_it(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(arg, SCOPE_SEC);
	return 0;
}

static int stopped_while_waiting(void *arg)
{
	struct scope_options options = {.max_tasks = 1, .results = true};
	struct way way = {5 * SCOPE_MS, 0, 1, 0, 0};
	struct scope_result result;
	struct scope outer, s;

	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &way), 0);
	CHECK_EQ(scope_spawn(&outer, stop_it, &outer), 0);
	scope_soft_begin();
	if (arg)
		CHECK_EQ(scope_spawn(&s, never_called, NULL), -ESHUTDOWN);
	else
		CHECK_EQ(scope_next(&s, &result), -ESHUTDOWN);
	scope_soft_end();
	CHECK_EQ(scope_next(&s, &result), 0);
	CHECK_EQ(scope_close(&s), 0);
	return scope_close(&outer);
}

Test(joiner, G2_waits_for_room_and_results_end_softly_eshutdown)
{
	must_run(stopped_softly, NULL);
	must_run(stopped_while_waiting, NULL);
	must_run(stopped_while_waiting, &codes);
}

static int next_of_none(void *arg)
{
	struct scope_result result;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_next(&s, &result), -EINVAL);
	CHECK_EQ(scope_next_until(&s, 0, &result), -EINVAL);
	return scope_close(&s);
}

Test(joiner, R4_a_scope_without_results_einval)
{
	must_run(next_of_none, NULL);
}

static struct scope_options keeping = {.results = true};

static int next_of_another(void *arg)
{
	struct scope_result result;

	CHECK_EQ(scope_next(arg, &result), -EPERM);
	return count(NULL);
}

static int next_by_others(void *arg)
{
	struct scope s, outer;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&s, &keeping), 0);
	CHECK_EQ(scope_spawn_with(&outer, next_of_another, &s, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	return scope_close(&outer);
}

Test(joiner, S9_another_task_may_not_take_results_eperm)
{
	must_run(next_by_others, NULL);
}

static int next_of_own(void *arg)
{
	struct scope_result result;

	CHECK_EQ(scope_next(arg, &result), -EDEADLK);
	return 0;
}

static int next_by_member(void *arg)
{
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &keeping), 0);
	CHECK_EQ(scope_spawn(&s, next_of_own, &s), 0);
	return scope_close(&s);
}

Test(joiner, S9_a_member_would_wait_for_its_own_result_edeadlk)
{
	must_run(next_by_member, NULL);
}

static int next_below(void *arg)
{
	struct scope_result result;
	struct scope s, younger;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &keeping), 0);
	scope_open(&younger);
	CHECK_EQ(scope_next(&s, &result), -EBUSY);
	CHECK_EQ(scope_close(&s), -EBUSY);
	CHECK_EQ(scope_close(&younger), 0);
	return scope_close(&s);
}

Test(joiner, S10_results_are_not_taken_below_a_younger_scope_ebusy)
{
	must_run(next_below, NULL);
}

static int next_too_late(void *arg)
{
	struct scope_result result;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &keeping), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_next(&s, &result), -ESTALE);
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_close(&s), -ESTALE);
	return 0;
}

Test(joiner, S9_a_closed_scope_has_no_results_estale)
{
	must_run(next_too_late, NULL);
}

Test(joiner, S2_outside_a_run_enotconn)
{
	struct scope_result result;
	struct scope s;

	cr_assert_eq(scope_next(&s, &result), -ENOTCONN);
	cr_assert_eq(scope_next_until(&s, 0, &result), -ENOTCONN);
}

/* ---- what other rules say of such scopes --------------------------------------------------- */

static int spawn_sibling(void *arg)
{
	CHECK_EQ(scope_spawn(arg, count, NULL), 0);
	return count(NULL);
}

static int like_any_scope(void *arg)
{
	struct scope_options options = {.max_tasks = 100, .name = "counted"};
	const struct scope_spawn_options *how[] = {NULL, &concurrent, &pinned};
	struct scope s, inner;
	int i;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	scope_open(&inner);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn_with(&s, spawn_sibling, &s, how[i]), 0);
	CHECK_EQ(scope_spawn(&inner, spawn_sibling, &s), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 8);
	CHECK_EQ(scope_defer(&s, spawn_sibling, &s), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 10);
	/* The first error cancels. */
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, fail_with, &codes[0]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_spawn(&s, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_fail(&s, -EDOM, NULL), -EDOM);
	CHECK_EQ(scope_close(&s), -EDOM);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(joiner, S15_a_limit_changes_nothing_else)
{
	must_run(like_any_scope, NULL);
}

static int leak(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_ANY, .drop = drop_way, .out_winner = (void *)&arg};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, arg), 0);
	return 0;
}

static int leaked(void *arg)
{
	struct way way = {SCOPE_MS, 0, 1, 0, 0};
	struct scope s;

	drops = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leak, &way, arg), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(way.used, 1);
	CHECK_EQ(way.dropped, 1);
	CHECK_EQ(drops, 1);
	return 0;
}

Test(joiner, S11_the_winner_of_a_leaked_scope_is_dropped_eproto)
{
	skip_leaks_where_checked();
	must_run(leaked, NULL);
	must_run(leaked, (void *)(uintptr_t)&concurrent);
}

/* The same in an object, whose parent closes it; then by its owner. */
static int in_objects(void *arg)
{
	void *winner = NULL;
	struct scope_options options = {
		.policy = *(unsigned *)arg,
		.drop = drop_way,
		.out_winner = &winner,
		.max_tasks = 2};
	struct way ways[] = {{SCOPE_MS, 0, 1, 0, 0}, {2 * SCOPE_MS, 0, 1, 0, 0}};
	struct scope parent, s;

	scope_open(&parent);
	CHECK_EQ(scope_open_in_with(&s, &parent, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &ways[0]), 0);
	CHECK_EQ(scope_spawn(&s, go, &ways[1]), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(winner == &ways[0]);
	CHECK_EQ(ways[1].dropped, 1);
	winner = NULL;
	CHECK_EQ(scope_open_in_with(&s, &parent, &options), 0);
	CHECK_EQ(scope_spawn(&s, go, &ways[0]), 0);
	CHECK_EQ(scope_close(&parent), 0);
	CHECK_EQ(ways[0].dropped, 1);
	CHECK(winner == NULL);
	return 0;
}

Test(joiner, R1_scopes_in_objects_have_policies_too)
{
	must_run(in_objects, &any);
	must_run(in_objects, &race);
}

static int leak_in_member(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	return 0;
}

static int member_leaks(void *arg)
{
	struct scope_options options = {.policy = *(unsigned *)arg};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, leak_in_member, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	return 0;
}

Test(joiner, S11_a_task_of_a_race_leaks_eproto)
{
	skip_leaks_where_checked();
	must_run(member_leaks, &any);
	must_run(member_leaks, &race);
}
