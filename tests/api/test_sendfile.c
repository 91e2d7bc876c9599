/* tests/api/test_sendfile.c: bytes of files over connections: rules C2, C6, G2, N3. */
#define _GNU_SOURCE
#include "pair.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(sendfile, .timeout = 60);

enum {
	SMALL = 5000,
	MUCH = 12 << 20 /* more than the kernel holds */
};

static char pattern(size_t at)
{
	return (char)(at * 7 + at / 1000);
}

static int make_file(size_t size)
{
	int file = memfd_create("sendfile", MFD_CLOEXEC);
	char *data = malloc(size);
	size_t i;

	for (i = 0; i < size; i++)
		data[i] = pattern(i);
	CHECK(file >= 0);
	CHECK_EQ(write(file, data, size), (ssize_t)size);
	free(data);
	return file;
}

/* Reads so much and compares. */
static void must_come(struct scope_conn *c, size_t from, size_t size)
{
	static char buffer[100000];
	size_t got = 0, n, i;

	while (got < size) {
		CHECK_EQ(scope_conn_read(c, buffer, sizeof buffer, &n), 0);
		if (n == 0)
			break;
		for (i = 0; i < n && buffer[i] == pattern(from + got + i); i++)
			;
		CHECK_EQ(i, n);
		got += n;
	}
	CHECK_EQ(got, size);
}

/* A file that a task of a scope sends over a connection. */
struct sender {
	struct scope_conn *pair[2];
	struct scope s;
	int file, result;
	size_t done;
};

static int sends(void *arg)
{
	struct sender *sender = arg;

	sender->result = scope_conn_sendfile(sender->pair[0], sender->file, 0, MUCH,
					     &sender->done);
	return count(NULL);
}

static void begin(struct sender *sender, scope_task_fn *fn)
{
	sender->file = make_file(MUCH);
	make_pair(sender->pair);
	scope_open(&sender->s);
	CHECK_EQ(scope_spawn_with(&sender->s, fn, sender, &concurrent), 0);
}

/* ---- what is sent ---------------------------------------------------------------------------- */

static int parts(void *arg)
{
	int file = make_file(SMALL);
	struct scope_conn *pair[2];
	size_t n;

	(void)arg;
	make_pair(pair);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, SMALL, &n), 0);
	CHECK_EQ(n, SMALL);
	must_come(pair[1], 0, SMALL);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 1000, 30, NULL), 0);
	must_come(pair[1], 1000, 30);
	/* Its own position is that behind what was written. */
	CHECK_EQ(lseek(file, 0, SEEK_CUR), SMALL);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, 0, &n), 0);
	CHECK_EQ(n, 0);
	/* It ends earlier. */
	CHECK_EQ(scope_conn_sendfile(pair[0], file, SMALL - 10, 50, &n), 0);
	CHECK_EQ(n, 10);
	must_come(pair[1], SMALL - 10, 10);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, SMALL + 1, 50, &n), 0);
	CHECK_EQ(n, 0);
	close(file);
	close_pair(pair);
	return 0;
}

Test(sendfile, sends_what_is_asked_for_or_what_there_is)
{
	must_run(parts, NULL);
}

static int much(void *arg)
{
	struct sender sender;

	(void)arg;
	begin(&sender, sends);
	must_come(sender.pair[1], 0, MUCH);
	CHECK_EQ(scope_close(&sender.s), 0);
	CHECK_EQ(sender.result, 0);
	CHECK_EQ(sender.done, MUCH);
	close(sender.file);
	close_pair(sender.pair);
	return 0;
}

Test(sendfile, waits_for_room)
{
	must_run(much, NULL);
}

/* ---- what ends it ---------------------------------------------------------------------------- */

static int cancelled(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	int file = make_file(MUCH);
	struct scope_conn *pair[2];
	struct scope s;
	size_t n = 77, more;

	(void)arg;
	make_pair(pair);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, MUCH, &n), -ECANCELED);
	CHECK(n > 0 && n < MUCH);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, 1, &more), -ECANCELED);
	CHECK_EQ(more, 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* What went out has gone out, and nothing else. */
	must_come(pair[1], 0, n);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, (int64_t)n, SMALL, NULL), 0);
	must_come(pair[1], n, SMALL);
	close(file);
	close_pair(pair);
	return 0;
}

Test(sendfile, C2_C6_a_cancel_tells_how_much_went_out_ecanceled)
{
	must_run(cancelled, NULL);
}

static int sends_softly(void *arg)
{
	struct sender *sender = arg;

	CHECK_EQ(scope_soft_begin(), 0);
	sends(sender);
	return scope_soft_end();
}

static int stopped(void *arg)
{
	struct sender sender;

	(void)arg;
	begin(&sender, sends_softly);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&sender.s, SCOPE_NEVER);
	CHECK_EQ(scope_close(&sender.s), 0);
	CHECK_EQ(sender.result, -ESHUTDOWN);
	CHECK(sender.done < MUCH);
	must_come(sender.pair[1], 0, sender.done);
	close(sender.file);
	close_pair(sender.pair);
	return 0;
}

Test(sendfile, G2_a_soft_region_ends_it_eshutdown)
{
	must_run(stopped, NULL);
}

static int closed(void *arg)
{
	struct scope_conn **pair;
	struct sender sender;
	size_t n;
	int null;

	(void)arg;
	begin(&sender, sends);
	pair = sender.pair;
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_conn_sendfile(pair[0], sender.file, 0, 1, &n), -EBUSY);
	scope_conn_close(pair[0]);
	CHECK_EQ(scope_close(&sender.s), 0);
	CHECK_EQ(sender.result, -EBADF);
	CHECK(sender.done > 0 && sender.done < MUCH);
	scope_conn_close(pair[1]);
	make_pair(pair);
	CHECK_EQ(scope_conn_sendfile(pair[0], -1, 0, 1, &n), -EBADF);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	CHECK_EQ(scope_conn_sendfile(pair[0], null, 0, 1, &n), -EBADF);
	CHECK_EQ(scope_conn_sendfile(pair[0], sender.file, 0, 1, &n), 0);
	close(null);
	close(sender.file);
	close_pair(pair);
	return 0;
}

Test(sendfile, N3_closing_it_under_the_sender_ebadf)
{
	must_run(closed, NULL);
}

Test(sendfile, N3_two_tasks_at_once_ebusy)
{
	must_run(closed, NULL);
}

static int broken_off(void *arg)
{
	static const struct linger at_once = {.l_onoff = 1};
	int file = make_file(SMALL);
	struct scope_conn *pair[2];
	char buffer[8];
	size_t n;

	(void)arg;
	make_pair(pair);
	setsockopt(scope_conn_fd(pair[1]), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	scope_conn_close(pair[1]);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, SMALL, &n), -ECONNRESET);
	CHECK_EQ(n, 0);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, SMALL, &n), -EPIPE);
	scope_conn_close(pair[0]);
	make_pair(pair);
	CHECK_EQ(scope_conn_shutdown(pair[0]), 0);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, 0, SMALL, &n), -EPIPE);
	CHECK_EQ(scope_conn_read(pair[1], buffer, sizeof buffer, &n), 0);
	CHECK_EQ(n, 0);
	close(file);
	close_pair(pair);
	return 0;
}

Test(sendfile, the_other_side_breaks_off_econnreset)
{
	must_run(broken_off, NULL);
}

Test(sendfile, no_signal_is_raised_epipe)
{
	must_raise_no_sigpipe(broken_off);
}

static int wrong(void *arg)
{
	int file = make_file(SMALL), directory = open("/", O_RDONLY | O_CLOEXEC);
	struct scope_conn *pair[2];
	size_t n = 1;

	(void)arg;
	make_pair(pair);
	CHECK_EQ(scope_conn_sendfile(NULL, file, 0, 1, &n), -EINVAL);
	CHECK_EQ(n, 0);
	CHECK_EQ(scope_conn_sendfile(pair[0], file, -1, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_sendfile(pair[0], directory, 0, 1, &n), -EINVAL);
	CHECK_EQ(scope_conn_sendfile(pair[0], scope_conn_fd(pair[1]), 0, 1, &n), -ESPIPE);
	close(directory);
	close(file);
	close_pair(pair);
	return 0;
}

Test(sendfile, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(sendfile, a_file_without_positions_espipe)
{
	must_run(wrong, NULL);
}

Test(sendfile, S2_outside_a_run_enotconn)
{
	struct scope_conn *c = (struct scope_conn *)&c;
	size_t n;

	cr_assert_eq(scope_conn_sendfile(c, 0, 0, 1, &n), -ENOTCONN);
}
