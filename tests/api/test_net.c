/* tests/api/test_net.c: connections, listeners, datagrams: rules C2, C3, C6, G2, N1, N3. */
#define _GNU_SOURCE
#include "files.h"
#include "pair.h"

#include <fcntl.h>
#include <scope_observe.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(net, .timeout = 60);

/* A connection and what a task of its own does with it. */
struct job {
	struct scope_conn *conn;
	size_t size, done;
	int result;
};

static int reads(void *arg)
{
	struct job *job = arg;
	char buffer[16];

	job->result = scope_conn_read(job->conn, buffer, sizeof buffer, &job->done);
	return count(NULL);
}

static int writes(void *arg)
{
	struct job *job = arg;
	char *data = calloc(1, job->size);

	job->result = scope_conn_write(job->conn, data, job->size, &job->done);
	free(data);
	return count(NULL);
}

/* ---- reading and writing --------------------------------------------------------------------- */

enum {
	CLIENTS = SIMULATED ? 2 : 40,
	MESSAGES = SIMULATED ? 2 : 100,
	MUCH = 12 << 20 /* more than the kernel holds */
};

static int echo(struct scope_conn *c, void *arg)
{
	char buffer[256];
	size_t n;

	(void)arg;
	for (;;) {
		CHECK_EQ(scope_conn_read(c, buffer, sizeof buffer, &n), 0);
		if (n == 0)
			return count(NULL);
		CHECK_EQ(scope_conn_write(c, buffer, n, NULL), 0);
	}
}

static int asks(void *arg)
{
	char out[64], in[64];
	struct scope_conn *c;
	size_t got, n;
	int i;

	CHECK_EQ(connect_to(arg, &c), 0);
	for (i = 0; i < MESSAGES; i++) {
		memset(out, i, sizeof out);
		CHECK_EQ(scope_conn_write(c, out, sizeof out, &n), 0);
		CHECK_EQ(n, sizeof out);
		for (got = 0; got < sizeof in; got += n)
			CHECK_EQ(scope_conn_read(c, in + got, sizeof in - got, &n), 0);
		CHECK_EQ(memcmp(in, out, sizeof in), 0);
	}
	scope_conn_close(c);
	return 0;
}

static int serves(void *arg)
{
	CHECK_EQ(scope_serve(arg, echo, NULL, NULL), 0);
	return 0;
}

static int echoes(void *arg)
{
	int before = open_files(), i;
	struct scope_listener *l;
	struct scope server, clients;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_tcp_listen(NULL, 0, NULL, &l), 0);
	scope_open(&server);
	CHECK_EQ(scope_spawn_with(&server, serves, l, &concurrent), 0);
	scope_open(&clients);
	for (i = 0; i < CLIENTS; i++)
		CHECK_EQ(scope_spawn(&clients, asks, l), 0);
	CHECK_EQ(scope_close(&clients), 0);
	scope_shutdown(&server, SCOPE_SEC);
	CHECK_EQ(scope_close(&server), 0);
	CHECK_EQ(ran, CLIENTS);
	scope_listener_close(l);
	CHECK(open_files() <= before + 2); /* the set and its bell, from the first */
	return 0;
}

Test(net, N4_a_server_answers_all_and_ends_at_a_graceful_shutdown)
{
	must_run(echoes, NULL);
	cr_assert_eq(run_flags(echoes, NULL, 0, 0), 0);
}

/* More than the kernel holds: the writer waits for the reader, again and again. */
static int much(void *arg)
{
	struct scope_conn *pair[2];
	struct job job = {.size = MUCH};
	static char buffer[100000];
	size_t got = 0, n = 1;
	struct scope s;

	(void)arg;
	make_pair(pair);
	job.conn = pair[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, writes, &job, &concurrent), 0);
	while (got < MUCH) {
		CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
		CHECK(n > 0);
		got += n;
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(job.result, 0);
	CHECK_EQ(job.done, MUCH);
	CHECK_EQ(scope_conn_shutdown(pair[0]), 0);
	CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 0);
	CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 0);
	/* The other direction is open. */
	CHECK_EQ(scope_conn_write(pair[1], "back", 4, NULL), 0);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 4);
	close_pair(pair);
	return 0;
}

Test(net, a_writer_waits_for_room)
{
	must_run(much, NULL);
}

/* Data and the end in one segment: a read that falls short is not taken for the last edge. */
static int last_words(void *arg)
{
	struct scope_conn *pair[2];
	char buffer[64];
	size_t n;
	int i;

	(void)arg;
	for (i = 0; i < 4; i++) {
		make_pair(pair);
		CHECK_EQ(scope_conn_write(pair[0], "bye", 3, NULL), 0);
		if (i & 1)
			CHECK_EQ(scope_yield(), 0);
		scope_conn_close(pair[0]);
		if (i & 2)
			CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
		CHECK_EQ(n, 3);
		CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
		CHECK_EQ(n, 0);
		scope_conn_close(pair[1]);
	}
	return 0;
}

Test(net, the_end_after_the_last_words_is_seen)
{
	must_run(last_words, NULL);
}

static int unix_sockets(void *arg)
{
	struct scope_address address;
	struct scope_listener *l;
	struct scope_conn *a, *b;
	char dir[TEMPORARY_SIZE], path[sizeof dir + 8], buffer[8];
	size_t n;

	(void)arg;
	temporary(dir, "net");
	CHECK(mkdtemp(dir) != NULL);
	snprintf(path, sizeof path, "%s/socket", dir);
	CHECK_EQ(scope_unix_listen(path, NULL, &l), 0);
	CHECK_EQ(scope_listener_port(l), 0);
	CHECK_EQ(scope_unix_connect(path, &a), 0);
	CHECK_EQ(scope_accept(l, &b), 0);
	CHECK_EQ(scope_conn_peer(a, &address), -EAFNOSUPPORT);
	CHECK_EQ(scope_conn_write(a, "unix", 4, NULL), 0);
	CHECK_EQ(scope_conn_read(b, buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 4);
	scope_conn_close(a);
	CHECK_EQ(scope_conn_read(b, buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 0);
	scope_conn_close(b);
	scope_listener_close(l);
	unlink(path);
	CHECK_EQ(rmdir(dir), 0);
	return 0;
}

Test(net, unix_sockets_are_connections_too_eafnosupport)
{
	must_run(unix_sockets, NULL);
}

static int answers(void *arg)
{
	struct scope_address from;
	char buffer[64];
	size_t n;

	CHECK_EQ(scope_udp_recv(arg, buffer, sizeof buffer, &n, &from), 0);
	CHECK_EQ(scope_udp_send(arg, buffer, n, &from), 0);
	return 0;
}

static int datagrams(void *arg)
{
	struct scope_address to, from;
	struct scope_udp *a, *b;
	char buffer[64], host[46];
	struct scope s;
	size_t n;

	(void)arg;
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &a), 0);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &b), 0);
	CHECK_EQ(scope_address_set(&to, "127.0.0.1", (uint16_t)scope_udp_port(b)), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, answers, b, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_udp_send(a, "ping", 4, &to), 0);
	CHECK_EQ(scope_udp_recv(a, buffer, sizeof buffer, &n, &from), 0);
	CHECK_EQ(n, 4);
	CHECK_EQ(scope_address_get(&from, host, sizeof host), scope_udp_port(b));
	CHECK_EQ(strcmp(host, "127.0.0.1"), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_udp_close(a);
	scope_udp_close(b);
	return 0;
}

Test(net, datagrams_come_with_their_sender)
{
	must_run(datagrams, NULL);
}

static int addresses(void *arg)
{
	struct scope_address address, found[4];
	struct scope_conn *pair[2];
	char host[46];

	(void)arg;
	CHECK_EQ(scope_address_set(&address, "::1", 80), 0);
	CHECK_EQ(scope_address_get(&address, host, sizeof host), 80);
	CHECK_EQ(strcmp(host, "::1"), 0);
	CHECK_EQ(scope_resolve("::1", 7, found, 4), 1);
	CHECK_EQ(scope_address_get(&found[0], host, sizeof host), 7);
	make_pair(pair);
	CHECK_EQ(scope_conn_peer(pair[0], &address), 0);
	CHECK(scope_address_get(&address, host, sizeof host) > 0);
	CHECK_EQ(strcmp(host, "127.0.0.1"), 0);
	CHECK(scope_conn_fd(pair[0]) > 2);
	close_pair(pair);
	return 0;
}

Test(net, addresses_are_made_from_digits_and_told_in_digits)
{
	must_run(addresses, NULL);
}

/* ---- what ends a call ------------------------------------------------------------------------ */

static int cancelled(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope_address to, found[1];
	struct scope_conn *pair[2], *none = NULL;
	static char big[MUCH];
	struct scope_listener *l;
	struct scope_udp *udp;
	char buffer[8];
	struct scope s;
	size_t n = 77;

	(void)arg;
	make_pair(pair);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &udp), 0);
	CHECK_EQ(scope_address_set(&to, "127.0.0.1", (uint16_t)scope_udp_port(udp)), 0);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), -ECANCELED);
	CHECK_EQ(n, 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	options.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_conn_write(pair[0], big, sizeof big, &n), -ECANCELED);
	CHECK(n > 0 && n < sizeof big);
	CHECK_EQ(scope_conn_write(pair[0], "x", 1, &n), -ECANCELED);
	CHECK_EQ(n, 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	options.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_accept(l, &none), -ECANCELED);
	CHECK_EQ(scope_serve(l, echo, NULL, NULL), -ECANCELED);
	CHECK_EQ(scope_udp_recv(udp, buffer, sizeof buffer, &n, NULL), -ECANCELED);
	CHECK_EQ(scope_udp_send(udp, "x", 1, &to), -ECANCELED);
	CHECK_EQ(connect_to(l, &none), -ECANCELED);
	CHECK_EQ(scope_unix_connect("/nowhere", &none), -ECANCELED);
	CHECK_EQ(scope_resolve("localhost", 1, found, 1), -ECANCELED);
	CHECK(none == NULL);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	options.deadline_ns = scope_now() + SCOPE_MS;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_udp_recv(udp, buffer, sizeof buffer, &n, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* Everything is as usable as before. */
	CHECK_EQ(scope_conn_write(pair[1], "after", 5, NULL), 0);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(connect_to(l, &none), 0);
	scope_conn_close(none);
	CHECK_EQ(scope_accept(l, &none), 0);
	scope_conn_close(none);
	scope_udp_close(udp);
	scope_listener_close(l);
	close_pair(pair);
	return 0;
}

Test(net, N1_C2_C3_C6_cancelled_calls_leave_things_usable_ecanceled)
{
	must_run(cancelled, NULL);
}

struct soft {
	struct scope_conn *conn;
	struct scope_listener *listener;
	struct scope_udp *udp;
	struct scope_address to;
};

static int works_softly(void *arg)
{
	struct soft *soft = arg;
	struct scope_address found;
	static char big[MUCH];
	struct scope_conn *none;
	char buffer[8];
	size_t n;

	CHECK_EQ(scope_accept(soft->listener, &none), -ESHUTDOWN); /* is soft by itself */
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_accept(soft->listener, &none), -ESHUTDOWN);
	CHECK_EQ(scope_resolve("localhost", 1, &found, 1), -ESHUTDOWN);
	CHECK_EQ(scope_conn_read(soft->conn, buffer, sizeof buffer, &n), -ESHUTDOWN);
	CHECK_EQ(scope_conn_write(soft->conn, big, sizeof big, &n), -ESHUTDOWN);
	CHECK_EQ(scope_udp_recv(soft->udp, buffer, sizeof buffer, &n, NULL), -ESHUTDOWN);
	CHECK_EQ(scope_udp_send(soft->udp, "x", 1, &soft->to), -ESHUTDOWN);
	CHECK_EQ(connect_to(soft->listener, &none), -ESHUTDOWN);
	CHECK_EQ(scope_unix_connect("/nowhere", &none), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_conn_read(soft->conn, buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 1);
	return 0;
}

static int stopped(void *arg)
{
	struct scope_conn *pair[2];
	struct soft soft;
	struct scope s;

	(void)arg;
	make_pair(pair);
	soft.conn = pair[0];
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &soft.listener), 0);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &soft.udp), 0);
	CHECK_EQ(scope_address_set(&soft.to, "127.0.0.1", 9), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, works_softly, &soft, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_conn_write(pair[1], "x", 1, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_listener_close(soft.listener);
	scope_udp_close(soft.udp);
	close_pair(pair);
	return 0;
}

Test(net, G2_accept_is_soft_and_others_in_a_region_eshutdown)
{
	must_run(stopped, NULL);
}

static int accepts(void *arg)
{
	struct scope_conn *none;

	CHECK_EQ(scope_accept(arg, &none), -EBADF);
	return count(NULL);
}

static int serves_closed(void *arg)
{
	CHECK_EQ(scope_serve(arg, echo, NULL, NULL), -EBADF);
	return count(NULL);
}

static int receives(void *arg)
{
	char buffer[8];
	size_t n;

	CHECK_EQ(scope_udp_recv(arg, buffer, sizeof buffer, &n, NULL), -EBADF);
	return count(NULL);
}

static int closes(void *arg)
{
	struct job in = {0}, out = {.size = MUCH};
	struct scope_listener *l, *served;
	struct scope_conn *pair[2];
	struct scope_udp *udp;
	char buffer[64];
	struct scope s;
	size_t n;
	int fd;

	(void)arg;
	ran = 0;
	make_pair(pair);
	in.conn = out.conn = pair[0];
	fd = scope_conn_fd(pair[0]);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &served), 0);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &udp), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, reads, &in, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, writes, &out, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, accepts, l, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, serves_closed, served, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, receives, udp, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(ran, 0);
	scope_conn_close(pair[0]);
	CHECK_EQ(fcntl(fd, F_GETFD), -1);
	scope_conn_close(pair[0]); /* as long as the number is not used again */
	scope_listener_close(l);
	scope_listener_close(served);
	scope_udp_close(udp);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 5);
	CHECK_EQ(in.result, -EBADF);
	CHECK_EQ(out.result, -EBADF);
	CHECK(out.done > 0 && out.done < MUCH);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), -EBADF);
	CHECK_EQ(scope_conn_write(pair[0], buffer, 1, &n), -EBADF);
	scope_conn_close(pair[1]);
	return 0;
}

Test(net, N3_closing_under_those_who_wait_ebadf)
{
	must_run(closes, NULL);
}

/* ---- a descriptor that the program looks at too ---------------------------------------------- */

static int waits_for_urgent(void *arg)
{
	CHECK_EQ(scope_fd_wait_until(*(int *)arg, SCOPE_FD_URGENT, SCOPE_NEVER), 0);
	return count(NULL);
}

static int urgent_beside_write(void *arg)
{
	static char buffer[MUCH];
	struct scope_conn *pair[2];
	struct job writer;
	size_t left, n;
	struct scope s;
	int fd;

	(void)arg;
	ran = 0;
	make_pair(pair);
	fd = scope_conn_fd(pair[1]); /* room is waited for the first time */
	writer = (struct job){.conn = pair[1], .size = MUCH};
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_urgent, &fd, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn_with(&s, writes, &writer, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(send(scope_conn_fd(pair[0]), "!", 1, MSG_OOB), 1);
	while (ran < 1)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (left = MUCH; left > 0; left -= n)
		CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(writer.result, 0);
	close_pair(pair);
	return 0;
}

Test(net, urgent_data_is_seen_beside_a_writer)
{
	must_run(urgent_beside_write, NULL);
}

/* ---- misuse, and the other side -------------------------------------------------------------- */

static int accepts_one(void *arg)
{
	struct scope_conn *c;

	CHECK_EQ(scope_accept(arg, &c), 0);
	scope_conn_close(c);
	return 0;
}

static int receives_one(void *arg)
{
	char buffer[8];
	size_t n;

	CHECK_EQ(scope_udp_recv(arg, buffer, sizeof buffer, &n, NULL), 0);
	return 0;
}

static int two_at_once(void *arg)
{
	struct job in = {0}, out = {.size = MUCH};
	struct scope_conn *pair[2], *c;
	static char buffer[100000];
	struct scope_address to;
	struct scope_listener *l;
	struct scope_udp *udp;
	struct scope s;
	size_t n, got;

	(void)arg;
	make_pair(pair);
	in.conn = out.conn = pair[0];
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &udp), 0);
	CHECK_EQ(scope_address_set(&to, "127.0.0.1", (uint16_t)scope_udp_port(udp)), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, reads, &in, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, writes, &out, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, accepts_one, l, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, receives_one, udp, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), -EBUSY);
	CHECK_EQ(scope_conn_write(pair[0], buffer, 1, &n), -EBUSY);
	CHECK_EQ(scope_conn_shutdown(pair[0]), -EBUSY);
	CHECK_EQ(scope_fd_wait_until(scope_conn_fd(pair[0]), SCOPE_FD_READ, 0), -ETIMEDOUT);
	CHECK_EQ(scope_fd_wait_until(scope_conn_fd(pair[0]), SCOPE_FD_READ, SCOPE_NEVER),
		 -EBUSY);
	CHECK_EQ(scope_accept(l, &c), -EBUSY);
	CHECK_EQ(scope_serve(l, echo, NULL, NULL), -EBUSY);
	CHECK_EQ(scope_udp_recv(udp, buffer, sizeof buffer, &n, NULL), -EBUSY);
	CHECK_EQ(scope_udp_send(udp, "x", 1, &to), 0);
	CHECK_EQ(scope_conn_write(pair[1], "x", 1, &n), 0);
	for (got = 0; got < MUCH; got += n)
		CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(connect_to(l, &c), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_conn_close(c);
	scope_udp_close(udp);
	scope_listener_close(l);
	close_pair(pair);
	return 0;
}

Test(net, N3_two_tasks_at_once_ebusy)
{
	must_run(two_at_once, NULL);
}

/* Breaks a connection off: what the other side sent is not taken. */
static void reset(struct scope_conn *c)
{
	struct linger at_once = {.l_onoff = 1};

	CHECK_EQ(setsockopt(scope_conn_fd(c), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
	scope_conn_close(c);
}

static int broken_off(void *arg)
{
	struct scope_address address;
	struct scope_conn *pair[2];
	char buffer[8];
	size_t n;

	(void)arg;
	make_pair(pair);
	reset(pair[1]);
	CHECK_EQ(scope_conn_read(pair[0], buffer, sizeof buffer, &n), -ECONNRESET);
	CHECK_EQ(scope_conn_write(pair[0], "x", 1, &n), -EPIPE);
	CHECK_EQ(scope_conn_shutdown(pair[0]), -ENOTCONN);
	CHECK_EQ(scope_conn_peer(pair[0], &address), -ENOTCONN);
	scope_conn_close(pair[0]);
	make_pair(pair);
	reset(pair[1]);
	CHECK_EQ(scope_conn_write(pair[0], "x", 1, &n), -ECONNRESET);
	scope_conn_close(pair[0]);
	make_pair(pair);
	CHECK_EQ(scope_conn_shutdown(pair[0]), 0);
	CHECK_EQ(scope_conn_write(pair[0], "x", 1, &n), -EPIPE);
	close_pair(pair);
	return 0;
}

Test(net, the_other_side_breaks_off_econnreset)
{
	must_run(broken_off, NULL);
}

Test(net, the_address_of_one_who_broke_off_enotconn)
{
	must_run(broken_off, NULL);
}

Test(net, writing_after_the_end_epipe)
{
	must_run(broken_off, NULL);
}

/* In the middle of a large write, which waits. */
static int broken_in_the_middle(void *arg)
{
	struct job job = {.size = MUCH};
	struct scope_conn *pair[2];
	struct scope s;

	(void)arg;
	make_pair(pair);
	job.conn = pair[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, writes, &job, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	reset(pair[1]);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(job.result == -ECONNRESET || job.result == -EPIPE);
	CHECK(job.done > 0 && job.done < MUCH);
	scope_conn_close(pair[0]);
	return 0;
}

Test(net, a_reset_ends_a_write_that_waits)
{
	must_run(broken_in_the_middle, NULL);
}

/* Not of an error before it. */
static void last_error_is(int code, const char *host, unsigned port)
{
	const struct scope_error *error = scope_last_error();
	char want[400];

	snprintf(want, sizeof want, "connect to %s port %u", host, port);
	want[80] = '\0';
	CHECK(error && error->code == code);
	CHECK(error && strncmp(error->text, want, strlen(want)) == 0);
}

static int refused(void *arg)
{
	struct scope_conn *none = NULL;
	struct scope_listener *l, *other;
	struct scope_udp *udp, *second;
	struct scope_address found[1], to;
	static char big[100000];
	char path[200], name[300];
	struct scope s;
	uint16_t port;

	(void)arg;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	port = (uint16_t)scope_listener_port(l);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", port, NULL, &other), -EADDRINUSE);
	scope_listener_close(l);
	scope_open(&s);
	scope_fail(&s, -EXDEV, NULL);
	CHECK_EQ(scope_close(&s), -EXDEV);
	CHECK_EQ(scope_tcp_connect("127.0.0.1", port, &none), -ECONNREFUSED);
	last_error_is(-ECONNREFUSED, "127.0.0.1", port);
	CHECK_EQ(scope_unix_connect("/nowhere/at/all", &none), -ENOENT);
	memset(path, 'x', sizeof path);
	path[sizeof path - 1] = '\0';
	CHECK_EQ(scope_unix_connect(path, &none), -ENAMETOOLONG);
	CHECK_EQ(scope_unix_listen(path, NULL, &l), -ENAMETOOLONG);
	CHECK_EQ(scope_unix_listen("/", NULL, &l), -EADDRINUSE);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, &udp), 0);
	port = (uint16_t)scope_udp_port(udp);
	CHECK_EQ(scope_udp_open("127.0.0.1", port, &second), -EADDRINUSE);
	CHECK_EQ(scope_address_set(&to, "127.0.0.1", port), 0);
	CHECK_EQ(scope_udp_send(udp, big, sizeof big, &to), -EMSGSIZE);
	scope_udp_close(udp);
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	CHECK_EQ(scope_resolve(name, 1, found, 1), -ENOENT);
	CHECK_EQ(scope_tcp_connect(name, 1, &none), -ENOENT);
	last_error_is(-ENOENT, name, 1);
	CHECK(none == NULL);
	return 0;
}

Test(net, addresses_in_use_eaddrinuse)
{
	must_run(refused, NULL);
}

Test(net, nobody_listens_econnrefused)
{
	must_run(refused, NULL);
}

Test(net, nothing_there_enoent)
{
	must_run(refused, NULL);
}

Test(net, long_paths_enametoolong)
{
	must_run(refused, NULL);
}

Test(net, long_datagrams_emsgsize)
{
	must_run(refused, NULL);
}

static int wrong(void *arg)
{
	struct scope_listen_options flags = {.flags = 1u << 31}, reserved = {.reserved = {1}};
	struct scope_serve_options serve = {.reserved = {0, 1}};
	struct scope_address address, found[1];
	struct scope_conn *c, *pair[2];
	struct scope_listener *l;
	struct scope_udp *udp;
	char buffer[8];
	size_t n;

	(void)arg;
	make_pair(pair);
	CHECK_EQ(scope_conn_read(NULL, buffer, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_read(pair[0], NULL, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_read(pair[0], buffer, 0, &n), -EINVAL);
	CHECK_EQ(scope_conn_read(pair[0], buffer, 1, NULL), -EINVAL);
	CHECK_EQ(scope_conn_write(NULL, buffer, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_write(pair[0], NULL, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_write(pair[0], buffer, 0, &n), 0);
	CHECK_EQ(scope_conn_shutdown(NULL), -EINVAL);
	CHECK_EQ(scope_conn_fd(NULL), -EINVAL);
	CHECK_EQ(scope_conn_peer(NULL, &address), -EINVAL);
	CHECK_EQ(scope_conn_peer(pair[0], NULL), -EINVAL);
	CHECK_EQ(scope_tcp_listen("a name", 0, NULL, &l), -EINVAL);
	CHECK_EQ(scope_tcp_listen(NULL, 0, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_tcp_listen(NULL, 0, &flags, &l), -EINVAL);
	CHECK_EQ(scope_tcp_listen(NULL, 0, &reserved, &l), -EINVAL);
	CHECK_EQ(scope_unix_listen(NULL, NULL, &l), -EINVAL);
	CHECK_EQ(scope_unix_listen("/x", &reserved, &l), -EINVAL);
	CHECK_EQ(scope_unix_connect(NULL, &c), -EINVAL);
	CHECK_EQ(scope_listener_port(NULL), -EINVAL);
	CHECK_EQ(scope_tcp_connect(NULL, 1, &c), -EINVAL);
	CHECK_EQ(scope_tcp_connect("::1", 1, NULL), -EINVAL);
	CHECK_EQ(scope_resolve(NULL, 1, found, 1), -EINVAL);
	CHECK_EQ(scope_resolve("::1", 1, found, 0), -EINVAL);
	CHECK_EQ(scope_address_set(&address, "a name", 1), -EINVAL);
	CHECK_EQ(scope_accept(NULL, &c), -EINVAL);
	CHECK_EQ(scope_serve(NULL, echo, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	CHECK_EQ(scope_accept(l, NULL), -EINVAL);
	CHECK_EQ(scope_serve(l, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_serve(l, echo, NULL, &serve), -EINVAL);
	scope_listener_close(l);
	CHECK_EQ(scope_udp_open("a name", 0, &udp), -EINVAL);
	CHECK_EQ(scope_udp_open("127.0.0.1", 0, NULL), -EINVAL);
	CHECK_EQ(scope_udp_port(NULL), -EINVAL);
	CHECK_EQ(scope_udp_send(NULL, "x", 1, &address), -EINVAL);
	CHECK_EQ(scope_udp_recv(NULL, buffer, 1, &n, NULL), -EINVAL);
	scope_conn_close(NULL);
	scope_listener_close(NULL);
	scope_udp_close(NULL);
	close_pair(pair);
	return 0;
}

Test(net, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(net, S2_outside_a_run_enotconn)
{
	struct scope_conn *c = (struct scope_conn *)&c;
	struct scope_listener *l = (struct scope_listener *)&c;
	struct scope_udp *udp = (struct scope_udp *)&c;
	struct scope_address address;
	char buffer[8];
	size_t n;

	cr_assert_eq(scope_address_set(&address, "127.0.0.1", 1), 0);
	cr_assert_eq(scope_conn_read(c, buffer, 1, &n), -ENOTCONN);
	cr_assert_eq(scope_conn_write(c, buffer, 1, &n), -ENOTCONN);
	cr_assert_eq(scope_conn_shutdown(c), -ENOTCONN);
	cr_assert_eq(scope_tcp_listen(NULL, 0, NULL, &l), -ENOTCONN);
	cr_assert_eq(scope_unix_listen("/x", NULL, &l), -ENOTCONN);
	cr_assert_eq(scope_tcp_connect("::1", 1, &c), -ENOTCONN);
	cr_assert_eq(scope_unix_connect("/x", &c), -ENOTCONN);
	cr_assert_eq(scope_resolve("::1", 1, &address, 1), -ENOTCONN);
	cr_assert_eq(scope_accept(l, &c), -ENOTCONN);
	cr_assert_eq(scope_serve(l, echo, NULL, NULL), -ENOTCONN);
	cr_assert_eq(scope_udp_open(NULL, 0, &udp), -ENOTCONN);
	cr_assert_eq(scope_udp_send(udp, "x", 1, &address), -ENOTCONN);
	cr_assert_eq(scope_udp_recv(udp, buffer, 1, &n, NULL), -ENOTCONN);
	scope_conn_close(c);
	scope_listener_close(l);
	scope_udp_close(udp);
}

/* What a run leaves open is closed with it. */
static int left_fd;

static int leaves_open(void *arg)
{
	struct scope_conn *pair[2];

	(void)arg;
	make_pair(pair);
	left_fd = scope_conn_fd(pair[1]);
	return 0;
}

Test(net, what_is_left_open_is_closed_with_the_run)
{
	must_run(leaves_open, NULL);
	cr_assert_eq(fcntl(left_fd, F_GETFD), -1);
}

/* ---- dumps ----------------------------------------------------------------------------------- */

static int says(const char *want, enum scope_dump_format format)
{
	static char text[1 << 16];
	FILE *file = tmpfile();
	size_t length;

	CHECK_EQ(scope_dump(fileno(file), format), 0);
	rewind(file);
	length = fread(text, 1, sizeof text - 1, file);
	text[length] = '\0';
	fclose(file);
	return strstr(text, want) != NULL;
}

/* Soon: as long as the system moves what was sent, the writer goes on now and then. */
static void look_for(const char *what, int fd, enum scope_dump_format format)
{
	char want[64];
	int tries;

	snprintf(want, sizeof want, what, fd);
	for (tries = 0; tries < 1000 && !says(want, format); tries++)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK(tries < 1000);
}

static int is_looked_at(void *arg)
{
	struct job in = {0}, out = {.size = MUCH};
	struct scope_conn *pair[2];
	struct scope_listener *l;
	struct scope s;
	int fd;

	(void)arg;
	make_pair(pair);
	in.conn = out.conn = pair[0];
	fd = scope_conn_fd(pair[0]);
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, reads, &in, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, writes, &out, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, accepts, l, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	look_for("reads: waiting to read fd %d, ", fd, SCOPE_DUMP_TEXT);
	look_for("writes: waiting to write fd %d, ", fd, SCOPE_DUMP_TEXT);
	look_for("accepts: waiting to accept fd ", 0, SCOPE_DUMP_TEXT);
	look_for("\"fd\":%d", fd, SCOPE_DUMP_JSON);
	scope_conn_close(pair[0]);
	scope_listener_close(l);
	CHECK_EQ(scope_close(&s), 0);
	scope_conn_close(pair[1]);
	return 0;
}

Test(net, O1_a_dump_tells_at_which_descriptor_a_task_waits)
{
	must_run(is_looked_at, NULL);
}
