/* tests/api/test_happy.c: the example of Happy Eyeballs, with a resolver and sockets of the test's
 * own, under the virtual clock: rule N5. */
#include "api/task_check.h"
#include "../../examples/scope-happy/happy.c"

#include <stdio.h>

TestSuite(happy, .timeout = 60);

enum { ADDRESSES = 4 };
static const int64_t stagger = 250 * SCOPE_MS;

/* How an address answers: after `takes_ns`, by `rc`. */
static struct way {
	int64_t takes_ns;
	int rc;
	int64_t tried_at, gave_up_at; /* 0: never */
	int open, closed;
} net[ADDRESSES];
static int known;

static int resolve(const char *host, uint16_t port, struct scope_address *out, size_t most)
{
	char digits[16];
	int i;

	CHECK_EQ(host[0], 'm');
	CHECK(known <= (int)most);
	for (i = 0; i < known; i++) {
		snprintf(digits, sizeof digits, i % 2 ? "10.0.0.%d" : "fd00::1%d", i);
		CHECK_EQ(scope_address_set(&out[i], digits, port), 0);
	}
	return known;
}

static int connect_to(const struct scope_address *address, void **out_conn)
{
	struct way *way;
	char digits[48];
	int rc;

	CHECK_EQ(scope_address_get(address, digits, sizeof digits), 443);
	way = &net[digits[strlen(digits) - 1] - '0'];
	way->tried_at = scope_now();
	rc = scope_sleep_for(way->takes_ns);
	if (rc < 0) {
		way->gave_up_at = scope_now();
		return rc;
	}
	if (way->rc == 0) {
		way->open++;
		*out_conn = way;
	}
	return way->rc;
}

static void close_conn(void *conn)
{
	((struct way *)conn)->closed++;
}

static int dial(void **out_conn)
{
	static const struct happy_net mocked = {resolve, connect_to, close_conn};

	return happy_connect(&mocked, "many.example", 443, out_conn);
}

static void answers(int count, const struct way *ways)
{
	memset(net, 0, sizeof net);
	memcpy(net, ways, (size_t)count * sizeof *ways);
	known = count;
}

static void run_happy(scope_task_fn *fn)
{
	cr_assert_eq(run_flags(fn, NULL, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

/* ---- tests --------------------------------------------------------------------------------- */

static int staggers(void *arg)
{
	const struct way ways[] = {{.takes_ns = SCOPE_NEVER},
				   {.takes_ns = SCOPE_NEVER},
				   {.takes_ns = 100 * SCOPE_MS},
				   {.takes_ns = 0}};
	int64_t start = scope_now();
	void *conn = NULL;

	(void)arg;
	answers(4, ways);
	CHECK_EQ(dial(&conn), 0);
	CHECK(conn == &net[2]);
	CHECK_EQ(net[0].tried_at, start);
	CHECK_EQ(net[1].tried_at, start + stagger);
	CHECK_EQ(net[2].tried_at, start + 2 * stagger);
	CHECK_EQ(net[3].tried_at, 0);
	CHECK_EQ(scope_now(), start + 2 * stagger + 100 * SCOPE_MS);
	CHECK_EQ(net[0].gave_up_at, scope_now());
	CHECK_EQ(net[1].gave_up_at, scope_now());
	CHECK_EQ(net[2].closed, 0);
	return 0;
}

Test(happy, N5_the_next_address_is_tried_after_250_ms)
{
	run_happy(staggers);
}

static int fails_over(void *arg)
{
	const struct way ways[] = {{.rc = -ENETUNREACH},
				   {.takes_ns = SCOPE_MS, .rc = -ECONNREFUSED},
				   {.takes_ns = SCOPE_MS}};
	int64_t start = scope_now();
	void *conn = NULL;

	(void)arg;
	answers(3, ways);
	CHECK_EQ(dial(&conn), 0);
	CHECK(conn == &net[2]);
	CHECK_EQ(net[1].tried_at, start);
	CHECK_EQ(net[2].tried_at, start + SCOPE_MS);
	CHECK_EQ(scope_now(), start + 2 * SCOPE_MS);
	return 0;
}

Test(happy, N5_a_failure_starts_the_next_at_once)
{
	run_happy(fails_over);
}

/* The slow first one wins after all; the second is on its way still. */
static int first_wins_late(void *arg)
{
	const struct way ways[] = {{.takes_ns = 300 * SCOPE_MS},
				   {.takes_ns = SCOPE_SEC},
				   {.takes_ns = 0}};
	void *conn = NULL;

	(void)arg;
	answers(3, ways);
	CHECK_EQ(dial(&conn), 0);
	CHECK(conn == &net[0]);
	CHECK_EQ(net[2].tried_at, 0);
	CHECK_EQ(net[1].open, 0);
	CHECK_EQ(net[1].gave_up_at, scope_now());
	return 0;
}

Test(happy, N5_an_earlier_attempt_may_win_still)
{
	run_happy(first_wins_late);
}

/* Two are made in the same instant: one is kept. */
static int both_are_made(void *arg)
{
	const struct way ways[] = {{.takes_ns = 300 * SCOPE_MS}, {.takes_ns = 50 * SCOPE_MS}};
	struct way *won;
	void *conn = NULL;

	(void)arg;
	answers(2, ways);
	CHECK_EQ(dial(&conn), 0);
	won = conn;
	CHECK(won == &net[0] || won == &net[1]);
	CHECK_EQ(won->closed, 0);
	CHECK_EQ(net[0].open - net[0].closed + net[1].open - net[1].closed, 1);
	return 0;
}

Test(happy, N5_a_loser_that_was_made_too_is_closed)
{
	run_happy(both_are_made);
}

static int all_fail(void *arg)
{
	const struct way ways[] = {{.takes_ns = 600 * SCOPE_MS, .rc = -EHOSTUNREACH},
				   {.takes_ns = SCOPE_MS, .rc = -ECONNREFUSED},
				   {.takes_ns = SCOPE_SEC, .rc = -ETIMEDOUT}};
	int64_t start = scope_now();
	void *conn = NULL;

	(void)arg;
	answers(3, ways);
	CHECK_EQ(dial(&conn), -ECONNREFUSED); /* the first that failed */
	CHECK(conn == NULL);
	CHECK_EQ(scope_now(), start + stagger + SCOPE_MS + SCOPE_SEC);
	return 0;
}

Test(happy, N5_if_all_fail_the_first_error_is_returned_econnrefused)
{
	run_happy(all_fail);
}

static int nothing_is_known(void *arg)
{
	void *conn = NULL;

	(void)arg;
	answers(0, net);
	known = -ENOENT;
	CHECK_EQ(dial(&conn), -ENOENT);
	known = 0;
	CHECK_EQ(dial(&conn), -ENOENT);
	CHECK(conn == NULL);
	return 0;
}

Test(happy, N5_a_name_without_addresses_enoent)
{
	run_happy(nothing_is_known);
}

static int dials(void *arg)
{
	return dial(arg);
}

static int gives_up(void *arg)
{
	const struct way ways[] = {{.takes_ns = SCOPE_NEVER}, {.takes_ns = SCOPE_NEVER}};
	int64_t start = scope_now();
	void *conn = NULL;

	(void)arg;
	answers(2, ways);
	CHECK_EQ(scope_within(stagger + SCOPE_MS, dials, &conn), -ETIMEDOUT);
	CHECK(conn == NULL);
	CHECK_EQ(scope_now(), start + stagger + SCOPE_MS);
	CHECK(net[0].gave_up_at == scope_now() && net[1].gave_up_at == scope_now());
	return 0;
}

Test(happy, C6_a_cancelled_race_leaves_nothing_open_ecanceled)
{
	run_happy(gives_up);
}

static int stops(void *conn)
{
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(dial(conn), -ESHUTDOWN);
	scope_soft_end();
	return 0;
}

static int stopped(void *arg)
{
	const struct way ways[] = {{.takes_ns = SCOPE_NEVER}, {.takes_ns = SCOPE_NEVER}};
	void *conn = NULL;
	struct scope s;

	(void)arg;
	answers(2, ways);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, stops, &conn, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(conn == NULL && net[0].gave_up_at != 0);
	return 0;
}

Test(happy, G2_a_race_that_is_stopped_softly_eshutdown)
{
	run_happy(stopped);
}
