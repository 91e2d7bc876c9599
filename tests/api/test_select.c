/* tests/api/test_select.c: waiting for the first of several things: rule X5. */
#define _GNU_SOURCE
#include "task_check.h"

#include <fcntl.h>
#include <scope_chan.h>
#include <scope_net.h>
#include <scope_sync.h>
#include <stdio.h>
#include <unistd.h>

TestSuite(select, .timeout = 60);

static struct scope_chan *first, *second;
static struct scope_event event;

static void open_chans(size_t capacity)
{
	event = (struct scope_event){{0}};
	CHECK_EQ(scope_chan_new(sizeof(long), capacity, NULL, &first), 0);
	CHECK_EQ(scope_chan_new(sizeof(long), capacity, NULL, &second), 0);
}

static void free_chans(void)
{
	scope_chan_free(first);
	scope_chan_free(second);
}

static struct scope_case sending(struct scope_chan *c, long *item)
{
	return (struct scope_case){.kind = SCOPE_CASE_SEND, .result = 1, .object = c, .item = item};
}

static struct scope_case receiving(struct scope_chan *c, long *item)
{
	return (struct scope_case){.kind = SCOPE_CASE_RECV, .result = 1, .object = c, .item = item};
}

static struct scope_case waiting(struct scope_event *e)
{
	return (struct scope_case){.kind = SCOPE_CASE_EVENT, .result = 1, .object = e};
}

static struct scope_case until(int64_t deadline_ns)
{
	return (struct scope_case){.kind = SCOPE_CASE_DEADLINE, .result = 1,
				   .deadline_ns = deadline_ns};
}

static struct scope_case end_of(struct scope *s)
{
	return (struct scope_case){.kind = SCOPE_CASE_END, .result = 1, .object = s};
}

static struct scope_case shutdown(void)
{
	return (struct scope_case){.kind = SCOPE_CASE_SHUTDOWN, .result = 1};
}

static struct scope_case ready(int fd, unsigned events)
{
	return (struct scope_case){.kind = SCOPE_CASE_FD, .result = 1000, .fd = fd,
				   .events = events};
}

static int poll(struct scope_case *cases, size_t count)
{
	return scope_select_until(cases, count, 0, 0);
}

static int wait_all(struct scope_case *cases, size_t count)
{
	return scope_select_until(cases, count, 0, SCOPE_NEVER);
}

/* ---- arms that can fire at once ------------------------------------------------------- */

static int fires_at_once(void *arg)
{
	long in = 5, out = 0;
	struct scope_case cases[3];

	(void)arg;
	open_chans(1);
	cases[0] = receiving(first, &out);
	cases[1] = sending(second, &in);
	cases[2] = waiting(&event);
	CHECK_EQ(wait_all(cases, 3), 1); /* there is room, and nothing else */
	CHECK_EQ(cases[1].result, 0);
	CHECK_EQ(cases[0].result, 1); /* untouched */
	CHECK_EQ(poll(cases, 3), -ETIMEDOUT);
	scope_event_set(&event);
	CHECK_EQ(poll(cases, 3), 2);
	scope_event_clear(&event);
	CHECK_EQ(scope_chan_send(first, &in), 0);
	CHECK_EQ(wait_all(cases, 3), 0);
	CHECK_EQ(out, 5);
	cases[2] = until(scope_now());
	CHECK_EQ(wait_all(cases, 3), 2);
	CHECK_EQ(scope_chan_close(first), 0);
	CHECK_EQ(scope_select_until(cases, 3, SCOPE_SELECT_ORDERED, SCOPE_NEVER), 0);
	CHECK_EQ(cases[0].result, -EPIPE);
	CHECK_EQ(scope_chan_close(second), 0);
	CHECK_EQ(wait_all(&cases[1], 1), 0);
	CHECK_EQ(cases[1].result, -EPIPE);
	free_chans();
	return 0;
}

Test(select, X5_fires_one_arm_that_can)
{
	must_run(fires_at_once, NULL);
}

enum { DRAWS = SIMULATED ? 40 : 2000 };

/* Four arms, of which two can fire: each does about as often, and the first if ordered. */
static int is_fair(void *arg)
{
	int fired[4] = {0}, i;
	long item = 1, out;
	struct scope_case cases[4];

	(void)arg;
	open_chans(1);
	CHECK_EQ(scope_chan_send(first, &item), 0);
	cases[0] = waiting(&event);
	cases[1] = receiving(first, &out);
	cases[2] = receiving(first, &out);
	cases[3] = waiting(&event);
	for (i = 0; i < DRAWS; i++) {
		int rc = wait_all(cases, 4);

		CHECK(rc == 1 || rc == 2);
		fired[rc & 3]++;
		CHECK_EQ(scope_chan_send(first, &item), 0);
	}
	CHECK(fired[1] > DRAWS / 4);
	CHECK(fired[2] > DRAWS / 4);
	for (i = 0; i < 10; i++) {
		CHECK_EQ(scope_select_until(cases, 4, SCOPE_SELECT_ORDERED, 0), 1);
		CHECK_EQ(scope_chan_send(first, &item), 0);
	}
	free_chans();
	return 0;
}

Test(select, X5_ready_arms_fire_equally_often)
{
	cr_assert_eq(run(is_fair, NULL, 1), 0);
}

/* ---- arms that are waited for --------------------------------------------------------- */

static int sends_first(void *arg)
{
	return scope_chan_send(first, arg);
}

static int receives_second(void *arg)
{
	return scope_chan_recv(second, arg);
}

static int sets(void *arg)
{
	scope_event_set(arg);
	return 0;
}

static int closes(void *arg)
{
	return scope_chan_close(arg);
}

static int waits_for_each(void *arg)
{
	static long item = 7;
	long out = 0, got = 0;
	struct scope_case cases[4];
	struct scope s;

	(void)arg;
	open_chans(0);
	cases[0] = receiving(first, &out);
	cases[1] = sending(second, &item);
	cases[2] = waiting(&event);
	cases[3] = until(scope_now() + SCOPE_SEC);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, sends_first, &item), 0);
	CHECK_EQ(wait_all(cases, 4), 0);
	CHECK_EQ(out, 7);
	CHECK_EQ(cases[0].result, 0);
	CHECK_EQ(scope_spawn(&s, receives_second, &got), 0);
	CHECK_EQ(wait_all(cases, 4), 1);
	CHECK_EQ(scope_spawn(&s, sets, &event), 0);
	CHECK_EQ(wait_all(cases, 4), 2);
	scope_event_clear(&event);
	CHECK_EQ(wait_all(cases, 4), 3);
	CHECK_EQ(cases[3].result, 0);
	CHECK_EQ(scope_now() >= cases[3].deadline_ns, 1);
	cases[3] = until(SCOPE_NEVER);
	CHECK_EQ(scope_select_until(cases, 4, 0, scope_now() + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(scope_spawn(&s, closes, second), 0);
	CHECK_EQ(wait_all(cases, 4), 1);
	CHECK_EQ(cases[1].result, -EPIPE);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(got, 7);
	/* No arm has left anything behind. */
	CHECK_EQ(scope_chan_try_send(first, &item), -EAGAIN);
	free_chans();
	return 0;
}

Test(select, X5_waits_for_the_first)
{
	must_run(waits_for_each, NULL);
}

Test(select, X5_none_in_time_etimedout)
{
	must_run(waits_for_each, NULL);
}

static int sleeps(void *arg)
{
	return scope_sleep_for(*(int64_t *)arg);
}

static int64_t a_ms = SCOPE_MS, two_ms = 2 * SCOPE_MS;

static int ends(void *arg)
{
	struct scope_options options = {.max_tasks = 5};
	struct scope limited, s;
	struct scope_case cases[3];

	(void)arg;
	event = (struct scope_event){{0}};
	CHECK_EQ(scope_open_with(&limited, &options), 0);
	CHECK_EQ(scope_spawn(&limited, sleeps, &two_ms), 0);
	scope_open(&s);
	cases[0] = waiting(&event);
	cases[1] = end_of(&s);
	CHECK_EQ(poll(cases, 2), 1); /* it has no task */
	CHECK_EQ(scope_spawn(&s, sleeps, &a_ms), 0);
	CHECK_EQ(scope_spawn(&s, sleeps, &two_ms), 0);
	CHECK_EQ(poll(cases, 2), -ETIMEDOUT);
	CHECK_EQ(wait_all(cases, 2), 1);
	CHECK_EQ(cases[1].result, 0);
	CHECK_EQ(scope_close(&s), 0);
	cases[1] = end_of(&limited);
	CHECK_EQ(wait_all(cases, 2), 1);
	CHECK_EQ(scope_spawn(&limited, sleeps, &a_ms), 0);
	CHECK_EQ(scope_spawn(&limited, sets, &event), 0);
	CHECK_EQ(wait_all(cases, 2), 0); /* the other end is not watched any more */
	CHECK_EQ(scope_close(&limited), 0);
	return 0;
}

Test(select, X5_the_end_of_a_scopes_tasks)
{
	must_run(ends, NULL);
}

static int result;

static int waits_for_shutdown(void *arg)
{
	struct scope_case cases[2] = {waiting(&event), shutdown()};

	if (arg)
		CHECK_EQ(scope_soft_begin(), 0);
	result = wait_all(cases, arg ? 1 : 2);
	if (arg)
		return scope_soft_end();
	CHECK_EQ(cases[1].result, 0);
	CHECK_EQ(poll(cases, 2), 1); /* it stays so */
	return 0;
}

static int stops(void *arg)
{
	struct scope s;

	event = (struct scope_event){{0}};
	result = 9;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, waits_for_shutdown, arg), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, arg ? -ESHUTDOWN : 1);
	return 0;
}

Test(select, X5_a_shutdown_fires_its_arm)
{
	must_run(stops, NULL);
}

Test(select, G2_in_a_soft_region_eshutdown)
{
	must_run(stops, "in a region");
}

static int selects_for_good(void *arg)
{
	long item = 3;
	struct scope_case cases[3] = {receiving(first, &item), sending(second, &item),
				      waiting(&event)};

	(void)arg;
	result = wait_all(cases, 3);
	CHECK_EQ(item, 3);
	return 0;
}

static int cancels(void *arg)
{
	struct scope s;
	long item = 4;

	(void)arg;
	open_chans(0);
	result = 9;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, selects_for_good, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ECANCELED);
	CHECK_EQ(scope_chan_try_send(first, &item), -EAGAIN);
	CHECK_EQ(scope_chan_try_recv(second, &item), -EAGAIN);
	free_chans();
	/* In a cancelled place, with an arm that could fire. */
	open_chans(1);
	CHECK_EQ(scope_chan_send(first, &item), 0);
	scope_open(&s);
	scope_cancel(&s);
	selects_for_good(NULL);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ECANCELED);
	CHECK_EQ(scope_chan_try_recv(first, &item), 0);
	CHECK_EQ(scope_chan_try_recv(second, &item), -EAGAIN);
	free_chans();
	return 0;
}

Test(select, X5_C3_cancelled_ecanceled)
{
	must_run(cancels, NULL);
}

static int misuses(void *arg)
{
	struct scope outer, inner, object;
	struct scope_case cases[2] = {{.kind = 99}};

	(void)arg;
	CHECK_EQ(poll(cases, 1), -EINVAL);
	cases[0].kind = SCOPE_CASE_RECV;
	CHECK_EQ(poll(cases, 1), -EINVAL);
	cases[0].kind = SCOPE_CASE_END;
	CHECK_EQ(poll(cases, 1), -EINVAL);
	CHECK_EQ(poll(NULL, 1), -EINVAL);
	cases[0] = ready(0, 0);
	CHECK_EQ(poll(cases, 1), -EINVAL);
	cases[0] = ready(0, 1u << 31);
	CHECK_EQ(poll(cases, 1), -EINVAL);
	CHECK_EQ(scope_select_until(NULL, 0, 8, 0), -EINVAL);
	CHECK_EQ(poll(NULL, 0), -ETIMEDOUT);
	CHECK_EQ(scope_select_until(NULL, 0, 0, scope_now() + SCOPE_MS), -ETIMEDOUT);
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	scope_open(&inner);
	cases[0] = end_of(&outer); /* a younger one is open */
	CHECK_EQ(poll(cases, 1), -EINVAL);
	cases[0] = end_of(&object);
	CHECK_EQ(poll(cases, 1), -EINVAL);
	cases[0] = cases[1] = end_of(&inner);
	CHECK_EQ(poll(cases, 2), -EINVAL);
	CHECK_EQ(poll(cases, 1), 0);
	CHECK_EQ(scope_close(&inner), 0);
	return scope_close(&outer);
}

Test(select, misused_einval)
{
	must_run(misuses, NULL);
}

Test(select, S2_outside_a_run_enotconn)
{
	cr_assert_eq(scope_select_until(NULL, 0, 0, 0), -ENOTCONN);
}

/* ---- descriptors ----------------------------------------------------------------------- */

static void make_pipe(int ends[2])
{
	CHECK_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static int writes_byte(void *arg)
{
	CHECK_EQ(write(*(int *)arg, "x", 1), 1);
	return 0;
}

static int waits_for_descriptors(void *arg)
{
	struct scope_case cases[4];
	struct scope s;
	int ends[2];
	char byte;

	(void)arg;
	event = (struct scope_event){{0}};
	make_pipe(ends);
	cases[0] = waiting(&event);
	cases[1] = ready(ends[0], SCOPE_FD_READ);
	cases[2] = until(scope_now() + SCOPE_SEC);
	cases[3] = ready(ends[1], SCOPE_FD_READ | SCOPE_FD_WRITE);
	CHECK_EQ(wait_all(cases, 4), 3);
	CHECK_EQ(cases[3].result, SCOPE_FD_WRITE);
	CHECK_EQ(cases[1].result, 1000);
	CHECK_EQ(poll(cases, 3), -ETIMEDOUT);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, writes_byte, &ends[1]), 0);
	CHECK_EQ(wait_all(cases, 3), 1);
	CHECK_EQ(cases[1].result, SCOPE_FD_READ);
	CHECK_EQ(poll(cases, 3), 1); /* nobody has read it */
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	/* The descriptor loses, and is free for another wait. */
	CHECK_EQ(scope_spawn(&s, sets, &event), 0);
	CHECK_EQ(wait_all(cases, 3), 0);
	scope_event_clear(&event);
	CHECK_EQ(scope_spawn(&s, writes_byte, &ends[1]), 0);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	CHECK_EQ(wait_all(cases, 3), 2); /* the deadline */
	close(ends[1]);
	CHECK_EQ(wait_all(cases, 3) == 2 || cases[1].result == SCOPE_FD_HANGUP, 1);
	CHECK_EQ(scope_close(&s), 0);
	close(ends[0]);
	return 0;
}

Test(select, X5_a_descriptor_that_is_ready)
{
	must_run(waits_for_descriptors, NULL);
}

static int either_side(void *arg)
{
	int one[2], other[2];
	struct scope_case cases[2];
	char junk[4096] = {0};
	struct scope s;

	(void)arg;
	make_pipe(one);
	make_pipe(other);
	while (write(other[1], junk, sizeof junk) > 0)
		;
	cases[0] = ready(one[0], SCOPE_FD_READ);
	cases[1] = ready(other[1], SCOPE_FD_WRITE);
	CHECK_EQ(scope_select_until(cases, 2, 0, scope_now() + SCOPE_MS), -ETIMEDOUT);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, writes_byte, &one[1]), 0);
	CHECK_EQ(wait_all(cases, 2), 0);
	CHECK_EQ(read(one[0], junk, 1), 1);
	while (read(other[0], junk, sizeof junk) > 0)
		;
	CHECK_EQ(wait_all(cases, 2), 1);
	CHECK_EQ(cases[1].result, SCOPE_FD_WRITE);
	CHECK_EQ(scope_close(&s), 0);
	close(one[0]);
	close(one[1]);
	close(other[0]);
	close(other[1]);
	return 0;
}

Test(select, X5_one_descriptor_to_read_and_one_to_write)
{
	must_run(either_side, NULL);
}

/* For urgent data of a file nobody has to wait: there never is any, says poll(2), and epoll(7)
 * that it does not watch files. */
static int selects_file(void *arg)
{
	struct scope_case c;
	FILE *file = tmpfile();

	(void)arg;
	c = ready(fileno(file), SCOPE_FD_READ);
	CHECK_EQ(poll(&c, 1), 0);
	CHECK_EQ(c.result, SCOPE_FD_READ);
	c = ready(fileno(file), SCOPE_FD_URGENT);
	CHECK_EQ(wait_all(&c, 1), 0);
	CHECK_EQ(c.result, SCOPE_FD_URGENT);
	fclose(file);
	return 0;
}

Test(select, X5_a_file_is_always_ready)
{
	must_run(selects_file, NULL);
}

static int selects_fd(void *arg)
{
	struct scope_case cases[2] = {waiting(&event), ready(*(int *)arg, SCOPE_FD_READ)};

	result = wait_all(cases, 2);
	return cases[1].result == 1000 ? 0 : cases[1].result;
}

static void begin_select(struct scope *s, int ends[2])
{
	event = (struct scope_event){{0}};
	make_pipe(ends);
	scope_open(s);
	CHECK_EQ(scope_spawn_with(s, selects_fd, &ends[0], &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
}

static int loses_descriptor(void *arg)
{
	struct scope_case cases[2];
	struct scope s;
	int ends[2];

	(void)arg;
	begin_select(&s, ends);
	cases[0] = ready(ends[0], SCOPE_FD_READ);
	CHECK_EQ(wait_all(cases, 1), 0);
	CHECK_EQ(cases[0].result, -EBUSY);
	CHECK_EQ(poll(cases, 1), -ETIMEDOUT); /* nothing is waited for */
	CHECK_EQ(scope_fd_close(ends[0]), 0);
	CHECK_EQ(scope_close(&s), -EBADF);
	CHECK_EQ(result, 1);
	CHECK_EQ(wait_all(cases, 1), 0);
	CHECK_EQ(cases[0].result, -EBADF);
	cases[0].fd = -1;
	CHECK_EQ(poll(cases, 1), 0);
	CHECK_EQ(cases[0].result, -EBADF);
	CHECK_EQ(scope_fd_close(ends[1]), 0);
	return 0;
}

Test(select, X5_N3_a_descriptor_in_use_ebusy_or_closed_ebadf)
{
	must_run(loses_descriptor, NULL);
}

static int cancels_fd(void *arg)
{
	struct scope s;
	int ends[2];
	char byte;

	(void)arg;
	begin_select(&s, ends);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ECANCELED);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
	CHECK_EQ(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

Test(select, X5_N1_a_cancelled_wait_for_a_descriptor_ecanceled)
{
	must_run(cancels_fd, NULL);
}

/* ---- select against select ------------------------------------------------------------ */

enum { TRADERS = 4, TRADES = SIMULATED ? 3 : CHECKED ? 100 : 3000 };

static atomic_long sent, received;

/* Sends to one and receives from the other channel or the same, whatever comes first. */
static int trades(void *arg)
{
	struct scope_chan *to = arg ? first : second;
	long out, item = (long)(intptr_t)arg + 1;
	int sends = 0;

	while (sends < TRADES) {
		struct scope_case cases[3] = {sending(to, &item), receiving(first, &out),
					      receiving(second, &out)};
		int rc = wait_all(cases, 3);

		if (rc == -ECANCELED)
			return rc;
		CHECK(rc >= 0 && rc < 3);
		CHECK_EQ(cases[rc < 0 ? 0 : rc].result, 0);
		if (rc == 0) {
			atomic_fetch_add(&sent, item);
			sends++;
		} else {
			atomic_fetch_add(&received, out);
		}
	}
	return 0;
}

static int drains(void *arg)
{
	long out;
	struct scope_case cases[2] = {receiving(first, &out), receiving(second, &out)};

	(void)arg;
	for (;;) {
		int rc = wait_all(cases, 2);

		if (rc == -ECANCELED || cases[rc < 0 ? 0 : rc].result == -EPIPE)
			return rc < 0 ? rc : 0;
		atomic_fetch_add(&received, out);
	}
}

static size_t capacities[] = {0, 2};

static int markets(void *arg)
{
	struct scope draining, s;
	intptr_t i;

	open_chans(*(size_t *)arg);
	atomic_store(&sent, 0);
	atomic_store(&received, 0);
	scope_open(&draining);
	CHECK_EQ(scope_spawn_with(&draining, drains, NULL, &concurrent), 0);
	scope_open(&s);
	for (i = 0; i < TRADERS; i++)
		CHECK_EQ(scope_spawn(&s, trades, (void *)i), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_cancel(&draining);
	CHECK_EQ(scope_close(&draining), 0);
	for (;;) {
		long out;
		struct scope_case cases[2] = {receiving(first, &out), receiving(second, &out)};

		if (poll(cases, 2) < 0)
			break;
		atomic_fetch_add(&received, out);
	}
	CHECK_EQ(sent, received);
	free_chans();
	return 0;
}

Test(select, X4_select_against_select_loses_nothing)
{
	must_run(markets, &capacities[0]);
	must_run(markets, &capacities[1]);
}

/* Traders are cancelled at any moment. */
static int cancelled_markets(void *arg)
{
	struct scope s[TRADERS];
	long out;
	int i;

	open_chans(*(size_t *)arg);
	atomic_store(&sent, 0);
	atomic_store(&received, 0);
	for (i = 0; i < TRADERS; i++) {
		scope_open(&s[i]);
		CHECK_EQ(scope_spawn_with(&s[i], trades, (void *)(intptr_t)i, &concurrent), 0);
		CHECK_EQ(scope_spawn_with(&s[i], drains, NULL, &concurrent), 0);
	}
	for (i = TRADERS - 1; i >= 0; i--) {
		scope_yield();
		scope_cancel(&s[i]);
		CHECK_EQ(scope_close(&s[i]), 0);
	}
	while (scope_chan_try_recv(first, &out) == 0 || scope_chan_try_recv(second, &out) == 0)
		atomic_fetch_add(&received, out);
	CHECK_EQ(sent, received);
	free_chans();
	return 0;
}

Test(select, X4_cancelled_selects_lose_nothing)
{
	int round;

	for (round = 0; round < (CHECKED ? 1 : 30); round++) {
		must_run(cancelled_markets, &capacities[0]);
		must_run(cancelled_markets, &capacities[1]);
	}
}

/* A task does not trade with itself. */
static int alone(void *arg)
{
	long in = 1, out = 2;
	struct scope_case cases[2];

	(void)arg;
	open_chans(0);
	cases[0] = sending(first, &in);
	cases[1] = receiving(first, &out);
	CHECK_EQ(scope_select_until(cases, 2, 0, scope_now() + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(out, 2);
	free_chans();
	return 0;
}

Test(select, X5_both_ends_of_a_channel_in_one_call)
{
	must_run(alone, NULL);
}
