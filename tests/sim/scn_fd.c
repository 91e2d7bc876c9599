/* tests/sim/scn_fd.c: descriptors beside closes, refusals and the virtual clock. */
#define _GNU_SOURCE
#include "scn.h"

#include "sched/poll.h"
#include <fcntl.h>
#include <scope_chan.h>
#include <scope_net.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MUCH = 1 << 16, PAGE = 4096 }; /* MUCH is more than a pair holds */
static char much[MUCH];
static struct scope_chan *chan;

static void make_pair(struct scope_conn *pair[2])
{
	struct sc_fd *side;
	int fd[2], room = PAGE, i;

	sim_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0, "no sockets");
	for (i = 0; i < 2; i++) {
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
		sim_check(sc_fd_open(fd[i], SC_FD_STREAM, &side) == 0, "can't be watched");
		pair[i] = (struct scope_conn *)side;
	}
}

/* ---- closing ------------------------------------------------------------------------- */

/* What ends its wait is the close or a cancel; the next wait is its own. */
static int read_and_sleep(struct job *job)
{
	size_t done;
	char byte;

	job->saw = scope_conn_read(job->pointer, &byte, 1, &done);
	sim_check(job->saw == -EBADF, "read gave %d", job->saw);
	return body_sleep(job);
}

static int write_once(struct job *job)
{
	int rc = scope_conn_write(job->pointer, "x", 1, NULL);

	sim_check(rc == 0 || rc == -EBADF, "write gave %d", rc);
	return 0;
}

static int close_between(void *arg)
{
	struct scope_conn *pair[2];
	struct job reader, writer;
	struct group g;

	(void)arg;
	make_pair(pair);
	group_open(&g);
	reader.pointer = writer.pointer = pair[0];
	reader.number = 1000000;
	group_spawn(&g, &reader, read_and_sleep);
	group_spawn(&g, &writer, write_once);
	scope_sleep_for((int64_t)sim_random(3000));
	scope_conn_close(pair[0]);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	scope_conn_close(pair[1]);
	return 0;
}

Test(sim, N3_who_was_told_of_a_close_is_left_alone)
{
	explore("N3_who_was_told_of_a_close_is_left_alone", close_between,
		PARALLEL | WITH_TIMERS);
}

static int wait_for_it(struct job *job)
{
	int rc = scope_fd_wait_until((int)job->number, SCOPE_FD_READ, SCOPE_NEVER);

	sim_check(rc == -EBADF, "the wait gave %d", rc);
	return 0;
}

static int close_beside(void *arg)
{
	struct job waiter;
	struct group g;
	int fd[2];

	(void)arg;
	sim_check(pipe(fd) == 0, "no pipe");
	/* From here on the runtime has its own. */
	sim_check(scope_fd_wait_until(fd[1], SCOPE_FD_WRITE, SCOPE_NEVER) == 0, "can't wait");
	group_open(&g);
	waiter.number = (uint64_t)fd[0];
	group_spawn(&g, &waiter, wait_for_it);
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	sim_check(scope_fd_close(fd[0]) == 0, "not closed");
	sim_check(group_close(&g) == 0, "an error from nowhere");
	scope_fd_close(fd[1]);
	return 0;
}

Test(sim, N3_who_begins_to_wait_beside_a_close_hears_of_it)
{
	explore("N3_who_begins_to_wait_beside_a_close_hears_of_it", close_beside,
		PARALLEL | WITH_TIMERS);
}

/* ---- select -------------------------------------------------------------------------- */

/* A channel, a descriptor and a deadline at once, of which one fires; and a close, a cancel. */
static int select_one(struct job *job)
{
	const int *fd = job->pointer;
	uint64_t item = 0;
	struct scope_case cases[4] = {
		{.kind = SCOPE_CASE_FD, .fd = fd[0], .events = SCOPE_FD_READ},
		{.kind = SCOPE_CASE_RECV, .object = chan, .item = &item},
		{.kind = SCOPE_CASE_FD, .fd = fd[3], .events = SCOPE_FD_WRITE},
		{.kind = SCOPE_CASE_DEADLINE, .deadline_ns = scope_now() + (int64_t)job->number}};
	int rc = scope_select_until(cases, 4, 0, SCOPE_NEVER), result;
	char byte;

	sim_check(rc == -ECANCELED || (rc >= 0 && rc < 4), "select gave %d", rc);
	sim_check((item != 0) == (rc == 1), "an item without its arm");
	if (rc < 0)
		return rc;
	result = cases[rc].result;
	if (rc == 0 && result == SCOPE_FD_READ)
		sim_check(read(fd[0], &byte, 1) == 1 || errno == EBADF, /* closed since */
			  "nothing to read");
	else if (rc == 0)
		sim_check(result == -EBADF, "the descriptor gave %d", result);
	else if (rc == 1)
		sim_check(result == 0, "the channel gave %d", result);
	else if (rc == 2)
		sim_check(result == SCOPE_FD_WRITE, "the other descriptor gave %d", result);
	/* Nothing of that wait reaches the next. */
	job->number = 1000000;
	return body_sleep(job);
}

static int send_one(struct job *job)
{
	uint64_t item = 1;
	int rc = scope_chan_send_until(chan, &item, scope_now() + (int64_t)job->number);

	sim_check(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED, "send gave %d", rc);
	return 0;
}

static int write_byte(struct job *job)
{
	sim_check(write(((int *)job->pointer)[1], "x", 1) == 1 || errno == EPIPE, "not written");
	return 0;
}

static int make_room(struct job *job)
{
	sim_check(read(((int *)job->pointer)[2], much, MUCH) > 0, "nothing was written");
	return 0;
}

static int select_against_all(void *arg)
{
	struct job job[4];
	struct group g;
	int fd[4], i;

	(void)arg;
	signal(SIGPIPE, SIG_IGN);
	sim_check(pipe2(fd, O_NONBLOCK) == 0 && pipe2(&fd[2], O_NONBLOCK) == 0, "no pipes");
	fcntl(fd[3], F_SETPIPE_SZ, PAGE);
	while (write(fd[3], much, PAGE) > 0)
		;
	sim_check(scope_chan_new(sizeof(uint64_t), 0, NULL, &chan) == 0, "no channel");
	group_open(&g);
	for (i = 0; i < 4; i++) {
		job[i].pointer = fd;
		job[i].number = sim_random(3000);
	}
	group_spawn(&g, &job[0], select_one);
	group_spawn(&g, &job[1], send_one);
	group_spawn(&g, &job[2], sim_random(2) ? write_byte : body_nothing);
	group_spawn(&g, &job[3], sim_random(2) ? make_room : body_nothing);
	scope_sleep_for((int64_t)sim_random(3000));
	if (sim_random(2))
		scope_cancel(&g.scope);
	else if (sim_random(2))
		sim_check(scope_fd_close(fd[0]) == 0, "not closed");
	sim_check(group_close(&g) == 0, "an error from nowhere");
	for (i = 0; i < 4; i++)
		scope_fd_close(fd[i]);
	scope_chan_free(chan);
	return 0;
}

Test(sim, X5_a_select_hears_of_one_of_all)
{
	explore("X5_a_select_hears_of_one_of_all", select_against_all, PARALLEL | WITH_TIMERS);
}

/* ---- refusals ------------------------------------------------------------------------ */

static int read_all(struct job *job)
{
	static char buffer[MUCH];
	size_t done;

	for (; job->number > 0; job->number -= done) {
		int rc = scope_conn_read(job->pointer, buffer, sizeof buffer, &done);

		sim_check(rc == 0 && done > 0, "read gave %d", rc);
	}
	return 0;
}

/* The set does not take up that room is waited for: the next write has to ask again. */
static int write_after_refusal(void *arg)
{
	struct scope_conn *pair[2];
	struct job reader;
	struct group g;
	size_t done;
	int rc;

	(void)arg;
	make_pair(pair);
	sim_refuse(1, false);
	rc = scope_conn_write(pair[0], much, MUCH, &done);
	sim_refuse(0, false);
	sim_check(rc == -ENOMEM && done < MUCH, "write gave %d", rc);
	group_open(&g);
	reader.pointer = pair[1];
	reader.number = MUCH;
	group_spawn(&g, &reader, read_all);
	sim_check(scope_conn_write(pair[0], much, MUCH - done, NULL) == 0, "not written");
	sim_check(group_close(&g) == 0, "an error from nowhere");
	scope_conn_close(pair[0]);
	scope_conn_close(pair[1]);
	return 0;
}

Test(sim, a_write_waits_for_room_though_the_one_before_was_refused_that)
{
	explore("a_write_waits_for_room_though_the_one_before_was_refused_that",
		write_after_refusal, WITH_TIMERS);
}

/* ---- the virtual clock --------------------------------------------------------------- */

static int read_in_no_time(struct job *job)
{
	int64_t before = scope_now();
	size_t done;
	char byte;
	int rc;

	rc = scope_conn_read(job->pointer, &byte, 1, &done);
	sim_check(rc == 0 && done == 1, "read gave %d", rc);
	sim_check(scope_now() == before, "%lld ns went by", (long long)(scope_now() - before));
	return 0;
}

static int send_and_sleep(void *arg)
{
	struct scope_conn *pair[2];
	struct job reader;
	struct group g;

	(void)arg;
	make_pair(pair);
	group_open(&g);
	reader.pointer = pair[0];
	group_spawn(&g, &reader, read_in_no_time);
	scope_yield();
	sim_check(scope_conn_write(pair[1], "x", 1, NULL) == 0, "not sent");
	scope_sleep_for(SCOPE_SEC);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	scope_conn_close(pair[0]);
	scope_conn_close(pair[1]);
	return 0;
}

Test(sim, Z1_time_stands_still_until_what_was_sent_is_received)
{
	explore("Z1_time_stands_still_until_what_was_sent_is_received", send_and_sleep,
		VIRTUAL | WITH_TIMERS);
}
