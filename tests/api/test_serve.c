/* tests/api/test_serve.c: scope_serve: rules N4 and E1, limits, shortage. */
#define _GNU_SOURCE
#include "task_check.h"

#include <fcntl.h>
#include <scope_net.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(serve, .timeout = 60);

static struct scope_listener *listener;

static int connect_to(struct scope_conn **out)
{
	return scope_tcp_connect("127.0.0.1", (uint16_t)scope_listener_port(listener), out);
}

/* ---- policies -------------------------------------------------------------------------------- */

static int fails(struct scope_conn *c, void *arg)
{
	char byte;
	size_t n;
	int rc = scope_conn_read(c, &byte, 1, &n);

	(void)arg;
	if (rc < 0)
		return rc;
	if (n == 1 && byte == 'f')
		return -EIO;
	return count(NULL);
}

static int serves_failing(void *arg)
{
	return scope_serve(listener, fails, NULL, arg);
}

static int one_fails(void *arg)
{
	struct scope_conn *good, *bad;
	struct scope s;
	int wait_all = arg != NULL;

	ran = 0;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_failing, arg, &concurrent), 0);
	CHECK_EQ(connect_to(&good), 0);
	CHECK_EQ(connect_to(&bad), 0);
	CHECK_EQ(scope_conn_write(bad, "f", 1, NULL), 0);
	if (wait_all) {
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(scope_conn_write(good, "g", 1, NULL), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(ran, 1);
		scope_shutdown(&s, SCOPE_SEC);
	}
	CHECK_EQ(scope_close(&s), -EIO);
	scope_conn_close(good);
	scope_conn_close(bad);
	scope_listener_close(listener);
	return 0;
}

Test(serve, E1_a_handler_that_fails_ends_the_server)
{
	must_run(one_fails, NULL);
}

Test(serve, R1_others_go_on_if_the_policy_says_so)
{
	static const struct scope_options scope = {.policy = SCOPE_AWAIT_ALL};
	static const struct scope_serve_options options = {.scope = &scope};

	must_run(one_fails, (void *)&options);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static atomic_int inside, most;

static int stays(struct scope_conn *c, void *arg)
{
	char byte;
	size_t n;
	int now = atomic_fetch_add(&inside, 1) + 1;

	(void)arg;
	if (now > atomic_load(&most))
		atomic_store(&most, now);
	CHECK_EQ(scope_conn_read(c, &byte, 1, &n), 0);
	atomic_fetch_sub(&inside, 1);
	return count(NULL);
}

static int serves_few(void *arg)
{
	static const struct scope_options scope = {.max_tasks = 2};
	static const struct scope_serve_options options = {.scope = &scope, .name = "guest"};

	(void)arg;
	return scope_serve(listener, stays, NULL, &options);
}

enum { GUESTS = 5 };

static int limited(void *arg)
{
	struct scope_conn *guests[GUESTS];
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	inside = most = 0;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_few, NULL, &concurrent), 0);
	for (i = 0; i < GUESTS; i++)
		CHECK_EQ(connect_to(&guests[i]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(inside, 2);
	for (i = 0; i < GUESTS; i++)
		scope_conn_close(guests[i]);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, GUESTS);
	CHECK_EQ(most, 2);
	scope_listener_close(listener);
	return 0;
}

Test(serve, S15_no_more_at_once_than_the_scope_allows)
{
	must_run(limited, NULL);
}

/* ---- shutdown -------------------------------------------------------------------------------- */

static int serves_staying(void *arg)
{
	(void)arg;
	return scope_serve(listener, stays, NULL, NULL);
}

static int shuts_down(void *arg)
{
	struct scope_conn *guest, *late;
	struct scope s;
	size_t n;
	char byte;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	/* Within the grace period what was begun ends by itself. */
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_staying, NULL, &concurrent), 0);
	CHECK_EQ(connect_to(&guest), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(ran, 0);
	CHECK_EQ(connect_to(&late), -ECONNREFUSED);
	CHECK_EQ(scope_conn_write(guest, "x", 1, NULL), 0);
	CHECK_EQ(scope_conn_read(guest, &byte, 1, &n), 0);
	CHECK_EQ(n, 0); /* closed by the server */
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	scope_conn_close(guest);
	scope_listener_close(listener);
	return 0;
}

Test(serve, N4_G1_what_was_begun_ends_within_the_grace_period)
{
	must_run(shuts_down, NULL);
}

static int serves_one(void *arg)
{
	static const struct scope_options scope = {.max_tasks = 1};
	static const struct scope_serve_options options = {.scope = &scope};

	(void)arg;
	return scope_serve(listener, stays, NULL, &options);
}

/* The second guest waits for the first one to go. */
static int shuts_down_full(void *arg)
{
	struct scope_conn *guest, *second, *late;
	struct scope s;
	size_t n = 0;
	char byte;
	int rc;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_one, NULL, &concurrent), 0);
	CHECK_EQ(connect_to(&guest), 0);
	CHECK_EQ(connect_to(&second), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(connect_to(&late), -ECONNREFUSED);
	rc = scope_conn_read(second, &byte, 1, &n);
	CHECK((rc == 0 && n == 0) || rc == -ECONNRESET); /* it was accepted, or not yet */
	CHECK_EQ(scope_conn_write(guest, "x", 1, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	scope_conn_close(guest);
	scope_conn_close(second);
	scope_listener_close(listener);
	return 0;
}

Test(serve, N4_G1_a_full_server_refuses_who_comes_while_it_shuts_down)
{
	must_run(shuts_down_full, NULL);
}

/* ---- closing --------------------------------------------------------------------------------- */

static atomic_bool others_came;

/* Closes what will be closed for it; by then the number is another one's. */
static int closes(struct scope_conn *c, void *arg)
{
	(void)arg;
	if (ran == 0) {
		scope_conn_close(c);
		count(NULL);
		while (!others_came)
			CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		return count(NULL);
	}
	return scope_conn_write(c, "x", 1, NULL);
}

static int serves_closing(void *arg)
{
	(void)arg;
	return scope_serve(listener, closes, NULL, NULL);
}

static int closed_twice(void *arg)
{
	struct scope_conn *first, *others[2];
	struct scope s;
	size_t n;
	char byte;
	int i;

	(void)arg;
	ran = 0;
	others_came = false;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_closing, NULL, &concurrent), 0);
	CHECK_EQ(connect_to(&first), 0);
	while (ran < 1)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(connect_to(&others[i]), 0);
	others_came = true;
	while (ran < 2)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(scope_conn_read(others[i], &byte, 1, &n), 0);
		CHECK_EQ(n, 1);
		scope_conn_close(others[i]);
	}
	scope_conn_close(first);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	scope_listener_close(listener);
	return 0;
}

Test(serve, N4_a_handler_may_close_its_connection)
{
	must_run(closed_twice, NULL);
}

/* ---- shortage -------------------------------------------------------------------------------- */

static int reports;

static void count_reports(const char *text, size_t length, void *arg)
{
	(void)arg;
	(void)length;
	if (strstr(text, "EMFILE"))
		reports++;
}

/* In as many soft regions as there can be, which are its own still afterwards. */
static int serves_bytes(void *arg)
{
	int regions = 0, rc;

	(void)arg;
	while (scope_soft_begin() == 0)
		regions++;
	rc = scope_serve(listener, fails, NULL, NULL);
	while (scope_soft_end() == 0)
		regions--;
	CHECK_EQ(regions, 0);
	return rc;
}

static int short_of_descriptors(void *arg)
{
	struct scope_conn *guest, *none;
	struct rlimit old, low;
	struct scope s;
	int fd, fds[64], i, given = 0;

	(void)arg;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	CHECK_EQ(connect_to(&guest), 0);
	/* All numbers below the limit are taken. */
	fd = dup(0);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fd + 1;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
	while (given < 64 && (fds[given] = dup(0)) >= 0)
		given++;
	CHECK_EQ(scope_accept(listener, &none), -EMFILE);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serves_bytes, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(ran, 0);
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	CHECK_EQ(scope_conn_write(guest, "g", 1, NULL), 0);
	while (!ran) /* the system takes its time to move that, and this clock is faster */
		CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(reports, 1);
	close(fd);
	for (i = 0; i < given; i++)
		close(fds[i]);
	scope_conn_close(guest);
	scope_listener_close(listener);
	return 0;
}

Test(serve, N4_a_shortage_of_descriptors_is_reported_once_and_waited_out_emfile)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK, .report = count_reports};

#ifdef SC_VALGRIND
	cr_skip("memcheck accepts a connection beyond the limit, and closes it");
#endif
	ran = reports = 0;
	cr_assert_eq(run_config(short_of_descriptors, NULL, config), 0);
}
