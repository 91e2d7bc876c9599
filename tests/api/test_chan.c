/* tests/api/test_chan.c: channels: order, hand-over, close, cancel: rules X1 to X4. */
#include "task_check.h"

#include <scope_chan.h>

TestSuite(chan, .timeout = 60);

enum { SENDERS = 4, ITEMS = SIMULATED ? 4 : CHECKED ? 200 : 5000 };

static struct scope_chan *chan;
static atomic_long sent, received, sum_sent, sum_received, dropped;

static void drop(void *item)
{
	atomic_fetch_add(&dropped, *(long *)item);
}

static void open_chan(size_t capacity)
{
	atomic_store(&sent, 0);
	atomic_store(&received, 0);
	atomic_store(&sum_sent, 0);
	atomic_store(&sum_received, 0);
	atomic_store(&dropped, 0);
	CHECK_EQ(scope_chan_new(sizeof(long), capacity, drop, &chan), 0);
}

/* ---- items -------------------------------------------------------------------------- */

static int sends(void *arg)
{
	long base = (long)(intptr_t)arg * ITEMS, i;

	for (i = 0; i < ITEMS; i++) {
		long item = base + i;
		int rc = scope_chan_send(chan, &item);

		if (rc == -ECANCELED)
			return rc;
		CHECK_EQ(rc, 0);
		atomic_fetch_add(&sum_sent, item);
		atomic_fetch_add(&sent, 1);
	}
	return 0;
}

/* Those of each sender come in its order. */
static int receives(void *arg)
{
	long last[SENDERS], item = -1;
	int rc, i;

	(void)arg;
	for (i = 0; i < SENDERS; i++)
		last[i] = -1;
	while ((rc = scope_chan_recv(chan, &item)) == 0) {
		CHECK(item >= 0 && item < (long)SENDERS * ITEMS);
		CHECK(item > last[item / ITEMS]);
		last[item / ITEMS] = item;
		atomic_fetch_add(&sum_received, item);
		atomic_fetch_add(&received, 1);
	}
	CHECK(rc == -EPIPE || rc == -ECANCELED);
	return rc == -EPIPE ? 0 : rc;
}

static int many_to_many(void *arg)
{
	struct scope senders, receivers;
	int i;

	open_chan(*(size_t *)arg);
	scope_open(&receivers);
	for (i = 0; i < SENDERS; i++)
		CHECK_EQ(scope_spawn_with(&receivers, receives, NULL, &concurrent), 0);
	scope_open(&senders);
	for (i = 0; i < SENDERS; i++)
		CHECK_EQ(scope_spawn(&senders, sends, (void *)(intptr_t)i), 0);
	CHECK_EQ(scope_close(&senders), 0);
	CHECK_EQ(scope_chan_close(chan), 0);
	CHECK_EQ(scope_close(&receivers), 0);
	CHECK_EQ(received, (long)SENDERS * ITEMS);
	CHECK_EQ(sum_received, sum_sent);
	scope_chan_free(chan);
	CHECK_EQ(dropped, 0);
	return 0;
}

static size_t capacities[] = {0, 1, 3, SCOPE_UNBOUNDED};

Test(chan, X3_every_item_arrives_once_unbuffered)
{
	must_run(many_to_many, &capacities[0]);
}

Test(chan, X3_every_item_arrives_once_buffered)
{
	must_run(many_to_many, &capacities[1]);
	must_run(many_to_many, &capacities[2]);
}

Test(chan, X3_every_item_arrives_once_unbounded)
{
	must_run(many_to_many, &capacities[3]);
}

/* Sizes that are copied otherwise than a number, and none. */
static int sizes(void *arg)
{
	struct text {
		char text[11];
	} in = {"0123456789"}, out = {""};
	struct scope_chan *c;
	int i;

	(void)arg;
	CHECK_EQ(scope_chan_new(sizeof in, 2, NULL, &c), 0);
	CHECK_EQ(scope_chan_send(c, &in), 0);
	CHECK_EQ(scope_chan_recv(c, &out), 0);
	CHECK_EQ(strcmp(out.text, in.text), 0);
	CHECK_EQ(scope_chan_send(c, &in), 0); /* left, and nobody wants to hear of it */
	scope_chan_free(c);
	CHECK_EQ(scope_chan_new(0, 2, NULL, &c), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_chan_try_send(c, NULL), 0);
	CHECK_EQ(scope_chan_try_send(c, NULL), -EAGAIN);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_chan_try_recv(c, NULL), 0);
	CHECK_EQ(scope_chan_try_recv(c, NULL), -EAGAIN);
	scope_chan_free(c);
	CHECK_EQ(scope_chan_new(0, SCOPE_UNBOUNDED, NULL, &c), 0);
	for (i = 0; i < 40; i++)
		CHECK_EQ(scope_chan_try_send(c, NULL), 0);
	scope_chan_free(c);
	scope_chan_free(NULL);
	return 0;
}

Test(chan, items_of_any_size_eagain)
{
	must_run(sizes, NULL);
}

/* The ring wraps while it grows. */
static int grows(void *arg)
{
	long i, item, next = 0;

	(void)arg;
	open_chan(SCOPE_UNBOUNDED);
	for (i = 0; i < 100; i++) {
		CHECK_EQ(scope_chan_send(chan, &i), 0);
		if (i % 3 == 2) {
			CHECK_EQ(scope_chan_recv(chan, &item), 0);
			CHECK_EQ(item, next++);
		}
	}
	while (next < 100) {
		CHECK_EQ(scope_chan_recv(chan, &item), 0);
		CHECK_EQ(item, next++);
	}
	scope_chan_free(chan);
	return 0;
}

Test(chan, an_unbounded_channel_keeps_the_order_while_it_grows)
{
	must_run(grows, NULL);
}

static int leaves_items(void *arg)
{
	long i;

	(void)arg;
	open_chan(5);
	for (i = 1; i <= 4; i++)
		CHECK_EQ(scope_chan_send(chan, &i), 0);
	CHECK_EQ(scope_chan_recv(chan, &i), 0);
	CHECK_EQ(scope_chan_close(chan), 0);
	CHECK_EQ(dropped, 0); /* receivers may still have them */
	scope_chan_free(chan);
	CHECK_EQ(dropped, 2 + 3 + 4);
	return 0;
}

Test(chan, X3_items_that_are_left_are_dropped)
{
	must_run(leaves_items, NULL);
}

/* ---- order -------------------------------------------------------------------------- */

static int receives_in_turn(void *arg)
{
	int number = (int)(intptr_t)arg;
	long item = -1;

	CHECK_EQ(scope_sleep_for((number + 1) * SCOPE_MS), 0);
	CHECK_EQ(scope_chan_recv(chan, &item), 0);
	CHECK_EQ(item, number);
	return 0;
}

static int sends_in_turn(void *arg)
{
	long number = (long)(intptr_t)arg;

	CHECK_EQ(scope_sleep_for((number + 1) * SCOPE_MS), 0);
	CHECK_EQ(scope_chan_send(chan, &number), 0);
	return 0;
}

static int queues(void *arg)
{
	struct scope s;
	long i, item;

	open_chan(*(size_t *)arg);
	scope_open(&s);
	for (i = 0; i < SENDERS; i++)
		CHECK_EQ(scope_spawn(&s, receives_in_turn, (void *)(intptr_t)i), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	for (i = 0; i < SENDERS; i++)
		CHECK_EQ(scope_chan_try_send(chan, &i), 0);
	/* All are given away: nothing is left for who comes later. */
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EAGAIN);
	CHECK_EQ(scope_close(&s), 0);

	scope_open(&s);
	for (i = 0; i < SENDERS; i++)
		CHECK_EQ(scope_spawn(&s, sends_in_turn, (void *)(intptr_t)i), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	for (i = 0; i < SENDERS; i++) {
		CHECK_EQ(scope_chan_try_recv(chan, &item), 0);
		CHECK_EQ(item, i);
	}
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EAGAIN);
	CHECK_EQ(scope_close(&s), 0);
	scope_chan_free(chan);
	return 0;
}

Test(chan, X1_tasks_are_served_in_the_order_of_coming)
{
	must_run(queues, &capacities[0]);
	must_run(queues, &capacities[1]);
	must_run(queues, &capacities[2]);
}

/* ---- close -------------------------------------------------------------------------- */

static int finds_it_closed(void *arg)
{
	long item = 7;
	int rc = *(int *)arg ? scope_chan_send(chan, &item) : scope_chan_recv(chan, &item);

	CHECK_EQ(rc, -EPIPE);
	CHECK_EQ(item, 7);
	return count(NULL);
}

static int closes(void *arg)
{
	static int sending[] = {0, 1};
	struct scope s;
	long item = 3;
	int i, which;

	(void)arg;
	for (which = 0; which < 2; which++) {
		ran = 0;
		open_chan(0);
		scope_open(&s);
		for (i = 0; i < SENDERS; i++)
			CHECK_EQ(scope_spawn(&s, finds_it_closed, &sending[which]), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(scope_chan_close(chan), 0);
		CHECK_EQ(scope_chan_close(chan), -EBADF);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(ran, SENDERS);
		scope_chan_free(chan);
	}
	open_chan(2);
	CHECK_EQ(scope_chan_send(chan, &item), 0);
	CHECK_EQ(scope_chan_close(chan), 0);
	CHECK_EQ(scope_chan_send(chan, &item), -EPIPE);
	CHECK_EQ(scope_chan_send_until(chan, &item, 0), -EPIPE);
	CHECK_EQ(scope_chan_try_send(chan, &item), -EPIPE);
	CHECK_EQ(scope_chan_recv(chan, &item), 0); /* what is left goes first */
	CHECK_EQ(scope_chan_recv(chan, &item), -EPIPE);
	CHECK_EQ(scope_chan_recv_until(chan, &item, 0), -EPIPE);
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EPIPE);
	CHECK_EQ(item, 3);
	scope_chan_free(chan);
	return 0;
}

Test(chan, X3_of_a_closed_channel_epipe)
{
	must_run(closes, NULL);
}

Test(chan, X3_closed_twice_ebadf)
{
	must_run(closes, NULL);
}

static int polls(void *arg)
{
	long item = 3;

	(void)arg;
	open_chan(0);
	CHECK_EQ(scope_chan_try_send(chan, &item), -EAGAIN);
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EAGAIN);
	CHECK_EQ(scope_chan_send_until(chan, &item, 0), -ETIMEDOUT);
	CHECK_EQ(scope_chan_recv_until(chan, &item, 0), -ETIMEDOUT);
	CHECK_EQ(scope_chan_send_until(chan, &item, scope_now() + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(scope_chan_recv_until(chan, &item, scope_now() + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(item, 3);
	/* Who gave up has left the queue. */
	CHECK_EQ(scope_chan_try_send(chan, &item), -EAGAIN);
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EAGAIN);
	scope_chan_free(chan);
	open_chan(1);
	CHECK_EQ(scope_chan_send_until(chan, &item, 0), 0);
	CHECK_EQ(scope_chan_recv_until(chan, &item, 0), 0);
	scope_chan_free(chan);
	return 0;
}

Test(chan, T4_until_a_deadline_etimedout)
{
	must_run(polls, NULL);
}

Test(chan, polled_in_vain_eagain)
{
	must_run(polls, NULL);
}

/* ---- refusals ----------------------------------------------------------------------- */

Test(chan, S2_outside_a_run_enotconn)
{
	struct scope_chan *c;
	long item = 1;

	cr_assert_eq(scope_chan_new(sizeof item, 1, drop, &c), 0);
	cr_assert_eq(scope_chan_send(c, &item), -ENOTCONN);
	cr_assert_eq(scope_chan_send_until(c, &item, 0), -ENOTCONN);
	cr_assert_eq(scope_chan_try_send(c, &item), -ENOTCONN);
	cr_assert_eq(scope_chan_recv(c, &item), -ENOTCONN);
	cr_assert_eq(scope_chan_recv_until(c, &item, 0), -ENOTCONN);
	cr_assert_eq(scope_chan_try_recv(c, &item), -ENOTCONN);
	cr_assert_eq(scope_chan_close(c), -ENOTCONN);
	scope_chan_free(c);
}

Test(chan, without_a_place_for_it_einval)
{
	cr_assert_eq(scope_chan_new(8, 1, NULL, NULL), -EINVAL);
}

Test(chan, of_more_than_there_is_enomem)
{
	struct scope_chan *c = NULL;

	cr_assert_eq(scope_chan_new(SIZE_MAX / 2, 4, NULL, &c), -ENOMEM);
	cr_assert_null(c);
}

static int huge_items(void *arg)
{
	static char item;
	struct scope_chan *c;

	(void)arg;
	/* The first of them needs more memory than there is addresses. */
	CHECK_EQ(scope_chan_new(SIZE_MAX / 4, SCOPE_UNBOUNDED, NULL, &c), 0);
	CHECK_EQ(scope_chan_send(c, &item), -ENOMEM);
	CHECK_EQ(scope_chan_send_until(c, &item, 0), -ENOMEM);
	CHECK_EQ(scope_chan_try_send(c, &item), -ENOMEM);
	scope_chan_free(c);
	return 0;
}

Test(chan, without_memory_for_one_more_enomem)
{
	must_run(huge_items, NULL);
}

enum call { SEND, SEND_UNTIL, RECV, RECV_UNTIL, CALLS };

static int call(enum call which)
{
	long item = 5;
	int rc;

	switch (which) {
	case SEND:
		return scope_chan_send(chan, &item);
	case SEND_UNTIL:
		return scope_chan_send_until(chan, &item, SCOPE_NEVER);
	case RECV:
		rc = scope_chan_recv(chan, &item);
		break;
	default:
		rc = scope_chan_recv_until(chan, &item, SCOPE_NEVER);
	}
	CHECK_EQ(item, 5);
	return rc;
}

static int result[CALLS];

static int parks_in_call(void *arg)
{
	int *mine = arg;

	*mine = call((enum call)(mine - result));
	return 0;
}

static int parks_softly(void *arg)
{
	CHECK_EQ(scope_soft_begin(), 0);
	parks_in_call(arg);
	return scope_soft_end();
}

static void park_in_each(scope_task_fn *fn, int soft)
{
	struct scope s;
	int i;

	/* A sender and a receiver at one channel would serve each other. */
	for (i = 0; i < CALLS; i++) {
		open_chan(0);
		result[i] = 1;
		scope_open(&s);
		CHECK_EQ(scope_spawn(&s, fn, &result[i]), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(result[i], 1);
		if (soft)
			scope_shutdown(&s, SCOPE_SEC);
		else
			scope_cancel(&s);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(result[i], soft ? -ESHUTDOWN : -ECANCELED);
		scope_chan_free(chan);
	}
}

static int cancelled(void *arg)
{
	struct scope s;
	long item = 9;
	int i;

	(void)arg;
	park_in_each(parks_in_call, 0);
	/* In a cancelled place, where nothing would have to wait. */
	open_chan(2);
	CHECK_EQ(scope_chan_send(chan, &item), 0);
	scope_open(&s);
	scope_cancel(&s);
	for (i = 0; i < CALLS; i++)
		CHECK_EQ(call((enum call)i), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_chan_recv(chan, &item), 0);
	CHECK_EQ(item, 9);
	CHECK_EQ(scope_chan_try_recv(chan, &item), -EAGAIN);
	scope_chan_free(chan);
	return 0;
}

Test(chan, C2_C3_in_a_cancelled_place_ecanceled)
{
	must_run(cancelled, NULL);
}

static int stopped(void *arg)
{
	(void)arg;
	park_in_each(parks_softly, 1);
	return 0;
}

Test(chan, G2_in_a_soft_region_eshutdown)
{
	must_run(stopped, NULL);
}

/* ---- cancel against hand-over ------------------------------------------------------- */

enum { PAIRS = SIMULATED ? 2 : SENDERS };

/* Senders and receivers are cancelled at any moment: what was sent was received or is left. */
static int random_cancels(void *arg)
{
	struct scope s[PAIRS];
	long item, left = 0;
	int i;

	open_chan(*(size_t *)arg);
	for (i = 0; i < PAIRS; i++) {
		scope_open(&s[i]);
		CHECK_EQ(scope_spawn_with(&s[i], sends, (void *)(intptr_t)i, &concurrent), 0);
		CHECK_EQ(scope_spawn_with(&s[i], receives, NULL, &concurrent), 0);
	}
	for (i = PAIRS - 1; i >= 0; i--) {
		int rc;

		scope_yield();
		scope_cancel(&s[i]);
		rc = scope_close(&s[i]);
		CHECK_EQ(rc, 0);
	}
	while (scope_chan_try_recv(chan, &item) == 0)
		left += item;
	CHECK_EQ(sum_sent, sum_received + left);
	scope_chan_free(chan);
	return 0;
}

Test(chan, X4_no_cancel_loses_or_doubles_an_item)
{
	int i, round;

	for (round = 0; round < (CHECKED ? 1 : 50); round++)
		for (i = 0; i < 4; i++)
			must_run(random_cancels, &capacities[i]);
}
