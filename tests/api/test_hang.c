/* tests/api/test_hang.c: scenarios 12, 13 and 17 of docs/testing.md: closes, resets and calls that
 * hang beside all else.
 */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <fcntl.h>
#include <scope_file.h>
#include <scope_net.h>
#include <scope_offload.h>
#include <scope_watch.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(hang, .timeout = 100);

/* ---- 12: a watch is closed while a change is on its way --------------------------------- */

struct readers {
	struct scope_watch *watch;
	atomic_int refused;
};

static int hears_of_changes(void *arg)
{
	struct readers *readers = arg;
	struct scope_watch_event event;
	int rc = scope_watch_next(readers->watch, &event);

	CHECK(rc == 0 || rc == -EBADF || rc == -EBUSY);
	readers->refused += rc == -EBUSY;
	return 0;
}

/* Whether the reader hears of the change or of the close, nothing comes after the close.  Of two
 * readers one is refused, and then the other is in the call: none begins one after the close. */
static int close_beside_changes(void *arg)
{
	struct readers readers;
	struct scope s;
	int i, fd;

	for (i = 0; i < 50; i++) {
		readers.refused = 0;
		CHECK_EQ(scope_watch_open(arg, &readers.watch), 0);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, hears_of_changes, &readers, &concurrent), 0);
		CHECK_EQ(scope_spawn_with(&s, hears_of_changes, &readers, &concurrent), 0);
		while (!readers.refused)
			CHECK_EQ(scope_sleep_for(SCOPE_US), 0);
		fd = open(arg, O_WRONLY | O_APPEND);
		CHECK_EQ(write(fd, "x", 1), 1);
		close(fd);
		if (i % 3)
			CHECK_EQ(scope_yield(), 0);
		scope_watch_close(readers.watch);
		CHECK_EQ(scope_close(&s), 0);
	}
	return 0;
}

Test(hang, s12_a_watch_is_closed_while_a_change_is_on_its_way)
{
	char path[TEMPORARY_SIZE];
	int fd;

	temporary(path, "watch");
	fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	close(fd);
	cr_assert_eq(run_flags(close_beside_changes, path, 0, 0), 0);
	unlink(path);
}

/* ---- 13: calls that hang ---------------------------------------------------------------- */

enum { HANGING = CHECKED ? 200 : 1000, ECHOES = 50 };

static const struct scope_offload_options abandon = {.mode = SCOPE_OFFLOAD_ABANDON};
static int stuck[2]; /* a pipe in which nothing comes until its end is closed */
static atomic_int begun, given_up;
static struct scope_listener *listener;

static int hang(void *arg)
{
	char byte;

	(void)arg;
	atomic_fetch_add(&begun, 1);
	return (int)read(stuck[0], &byte, 1);
}

static int offload_hang(void *arg)
{
	CHECK_EQ(scope_offload(hang, arg, &abandon), -ECANCELED);
	atomic_fetch_add(&given_up, 1);
	return 0;
}

static int connect_here(struct scope_conn **out)
{
	return scope_tcp_connect("127.0.0.1", (uint16_t)scope_listener_port(listener), out);
}

static int echo_bytes(struct scope_conn *c, void *arg)
{
	char byte;
	size_t n;

	(void)arg;
	while (scope_conn_read(c, &byte, 1, &n) == 0 && n == 1)
		CHECK_EQ(scope_conn_write(c, &byte, 1, NULL), 0);
	return 0;
}

static int serve_echo(void *arg)
{
	return scope_serve(listener, echo_bytes, arg, NULL);
}

static void use_sockets_and_timers(void)
{
	struct scope_conn *c;
	char byte = 'a';
	struct scope s;
	size_t n;
	int i;

	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serve_echo, NULL, &concurrent), 0);
	CHECK_EQ(connect_here(&c), 0);
	for (i = 0; i < ECHOES; i++) {
		CHECK_EQ(scope_conn_write(c, &byte, 1, NULL), 0);
		CHECK_EQ(scope_conn_read(c, &byte, 1, &n), 0);
		CHECK_EQ(n, 1);
		if (i % 10 == 0)
			CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	}
	scope_conn_close(c);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	scope_listener_close(listener);
}

static int beside_calls_that_hang(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < HANGING; i++)
		CHECK_EQ(scope_spawn_with(&s, offload_hang, NULL, &concurrent), 0);
	while (!atomic_load(&begun))
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	use_sockets_and_timers();
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(atomic_load(&given_up), HANGING);
	return 0;
}

static int returns(void *arg)
{
	(void)arg;
	return 0;
}

static int offloads_one(void *arg)
{
	return scope_offload(returns, arg, NULL);
}

Test(hang, s13_calls_that_hang_stop_neither_sockets_nor_timers_nor_the_end)
{
	struct scope_config config = {.orphan_grace_ns = 10 * SCOPE_MS};
	int threads;

	must_run(offloads_one, NULL);
	threads = entries("/proc/self/task");
	begun = given_up = 0;
	cr_assert_eq(pipe(stuck), 0);
	cr_assert_eq(run_config(beside_calls_that_hang, NULL, config), 0);
	close(stuck[1]);
	/* Those that hang still end now; a later run takes their threads in. */
	do
		must_run(offloads_one, NULL);
	while (entries("/proc/self/task") > threads);
}

static int open_for_ever(void *path)
{
	struct scope_file *f;

	CHECK_EQ(scope_file_open(path, O_RDONLY, 0, &f), -ECANCELED);
	return 0;
}

static int give_up_opening(void *path)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, open_for_ever, path, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(20 * SCOPE_MS), 0);
	scope_cancel(&s);
	return scope_close(&s);
}

static void say_goodbye(void)
{
	(void)!write(stuck[1], "x", 1);
}

/* The child ends as it wants, though a thread of it opens a pipe that nobody writes to. */
Test(hang, s13_a_call_that_hangs_does_not_keep_the_process)
{
	struct scope_config config = {.flags = SCOPE_NO_SIGNALS, .orphan_grace_ns = SCOPE_MS};
	char place[TEMPORARY_SIZE], path[TEMPORARY_SIZE + 2], byte;
	int status;
	pid_t pid;

	temporary(place, "fifo");
	cr_assert_neq(mkdtemp(place), NULL);
	snprintf(path, sizeof path, "%s/p", place);
	cr_assert_eq(mkfifo(path, 0600), 0);
	cr_assert_eq(pipe(stuck), 0);
	pid = fork();
	if (pid == 0) {
		atexit(say_goodbye);
		alarm(50);
		exit(scope_run(give_up_opening, path, &config) == 0 && !first_wrong.line ? 3 : 4);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
	cr_assert_eq(WEXITSTATUS(status), 3);
	cr_assert_eq(read(stuck[0], &byte, 1), 1);
	close(stuck[0]);
	close(stuck[1]);
	unlink(path);
	rmdir(place);
}

static int waits_to_open(void *path)
{
	struct scope_file *f;

	return scope_file_open(path, O_RDONLY | O_CREAT, 0600, &f);
}

static int exits_beside(void *path)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_to_open, path, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(20 * SCOPE_MS), 0);
	exit(5);
}

/* Not abandoned: its task waits for it. */
Test(hang, s13_a_call_that_is_waited_for_does_not_keep_a_process_that_exits)
{
	struct scope_config config = {.flags = SCOPE_NO_SIGNALS};
	char place[TEMPORARY_SIZE], path[TEMPORARY_SIZE + 2];
	int status;
	pid_t pid;

	temporary(place, "fifo");
	cr_assert_neq(mkdtemp(place), NULL);
	snprintf(path, sizeof path, "%s/p", place);
	cr_assert_eq(mkfifo(path, 0600), 0);
	pid = fork();
	if (pid == 0) {
		alarm(50);
		_exit(scope_run(exits_beside, path, &config));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
	cr_assert_eq(WEXITSTATUS(status), 5);
	unlink(path);
	rmdir(place);
}

static int stats(void *arg)
{
	struct scope_file_stat about;

	(void)arg;
	return scope_file_stat("/", &about);
}

/* libuv's threads are not in the child, which would wait for them. */
Test(hang, s13_a_forked_child_uses_files_and_exits)
{
	int status, runs;
	pid_t pid;

	must_run(stats, NULL);
	for (runs = 0; runs < (CHECKED ? 1 : 2); runs++) { /* TSan: no threads after a fork */
		pid = fork();
		if (pid == 0) {
			alarm(50);
			exit(runs ? 10 + run_flags(stats, NULL, 1, 0) : 10);
		}
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert(WIFEXITED(status), "it ended by signal %d", WTERMSIG(status));
		cr_assert_eq(WEXITSTATUS(status), 10);
	}
	must_run(stats, NULL);
}

/* ---- 17: a reset before accept ---------------------------------------------------------- */

enum { CLIENTS = 20 };
static atomic_int whole;

static int reads_to_the_end(struct scope_conn *c, void *arg)
{
	char bytes[16];
	size_t n;
	int rc;

	(void)arg;
	do
		rc = scope_conn_read(c, bytes, sizeof bytes, &n);
	while (rc == 0 && n > 0);
	CHECK(rc == 0 || rc == -ECONNRESET);
	if (rc == 0)
		atomic_fetch_add(&whole, 1);
	return 0;
}

static int serve_readers(void *arg)
{
	return scope_serve(listener, reads_to_the_end, arg, NULL);
}

/* Clients come before the server does, and each second one of them has broken off by then. */
static int resets_before_accept(void *arg)
{
	static const struct linger at_once = {.l_onoff = 1};
	struct scope_conn *client[CLIENTS];
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &listener), 0);
	for (i = 0; i < CLIENTS; i++) {
		CHECK_EQ(connect_here(&client[i]), 0);
		CHECK_EQ(scope_conn_write(client[i], "x", 1, NULL), 0);
		if (i % 2 == 0)
			continue;
		CHECK_EQ(setsockopt(scope_conn_fd(client[i]), SOL_SOCKET, SO_LINGER, &at_once,
				    sizeof at_once), 0);
		scope_conn_close(client[i]);
	}
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, serve_readers, NULL, &concurrent), 0);
	for (i = 0; i < CLIENTS; i += 2)
		scope_conn_close(client[i]);
	while (atomic_load(&whole) < CLIENTS / 2)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(whole, CLIENTS / 2);
	scope_listener_close(listener);
	return 0;
}

Test(hang, s17_clients_that_break_off_before_accept_harm_nobody)
{
	whole = 0;
	cr_assert_eq(run_flags(resets_before_accept, NULL, 0, 0), 0);
}
