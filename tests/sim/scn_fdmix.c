/* tests/sim/scn_fdmix.c: reads, writes and waits at random beside cancels and a close; streams
 * that are closed by halves and broken off. */
#define _GNU_SOURCE
#include "scn.h"

#include "sched/poll.h"
#include <fcntl.h>
#include <scope_net.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TASKS = 4, TURNS = 4 };

static struct {
	struct scope_conn *pair[2];
	int fd[2];  /* a pipe */
	bool closed[2]; /* an end of the pair: no call begins any more */
	uint64_t written, read;
} *d;

static void check(int rc, int other)
{
	sim_check(rc == 0 || rc == -ECANCELED || rc == -EBADF || rc == -EBUSY || rc == other ||
			  rc == -EPIPE || rc == -ECONNRESET,
		  "a call gave %d", rc);
}

static int64_t soon(void)
{
	return sim_random(3) ? scope_now() + (int64_t)sim_random(2000) : SCOPE_NEVER;
}

static void use_one(void)
{
	unsigned end = (unsigned)sim_random(2), what = (unsigned)sim_random(7);
	char bytes[64] = {0};
	size_t done;
	int rc;

	switch (what) {
	case 0:
	case 1:
		if (d->closed[end])
			return;
		rc = scope_conn_read(d->pair[end], bytes, 1 + sim_random(40), &done);
		d->read += done;
		check(rc, 0);
		break;
	case 2:
		if (d->closed[end])
			return;
		rc = scope_conn_write(d->pair[end], bytes, 1 + sim_random(40), &done);
		d->written += done;
		check(rc, 0);
		break;
	case 3:
		if (d->closed[end])
			return;
		check(scope_fd_wait_until(scope_conn_fd(d->pair[end]),
					  sim_random(2) ? SCOPE_FD_READ : SCOPE_FD_WRITE, soon()),
		      -ETIMEDOUT);
		break;
	case 4:
		check(scope_fd_wait_until(d->fd[0], SCOPE_FD_READ, soon()), -ETIMEDOUT);
		break;
	case 5:
		rc = scope_fd_wait_until(d->fd[1], SCOPE_FD_WRITE, soon());
		check(rc, -ETIMEDOUT);
		if (rc == 0)
			sim_check(write(d->fd[1], "x", 1) == 1 || errno == EAGAIN ||
					  errno == EPIPE || errno == EBADF,
				  "errno %d", errno);
		break;
	default:
		sim_check(read(d->fd[0], bytes, 1 + sim_random(3)) >= 0 || errno == EAGAIN ||
				  errno == EBADF,
			  "errno %d", errno);
	}
}

static int use_all(struct job *job)
{
	int i;

	for (i = 0; i < TURNS; i++) {
		int64_t before, length;

		use_one();
		before = scope_now();
		length = (int64_t)sim_random(500);
		if (sim_random(3) == 0 && scope_sleep_for(length) == 0)
			sim_check(scope_now() >= before + length, "woke early");
	}
	(void)job;
	return 0;
}

static void open_pair(struct scope_conn *pair[2])
{
	struct sc_fd *side;
	int fd[2], i;

	sim_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0, "no sockets");
	for (i = 0; i < 2; i++) {
		sim_check(sc_fd_open(fd[i], sim_random(2) ? SC_FD_STREAM : 0, &side) == 0,
			  "can't be watched");
		pair[i] = (struct scope_conn *)side;
	}
}

static int storm(void *arg)
{
	__typeof__(*d) all = {.written = 0};
	struct job job[TASKS];
	struct group g;
	int i;

	(void)arg;
	d = &all;
	signal(SIGPIPE, SIG_IGN);
	open_pair(d->pair);
	sim_check(pipe2(d->fd, O_NONBLOCK) == 0, "no pipe");
	group_open(&g);
	for (i = 0; i < TASKS; i++)
		group_spawn(&g, &job[i], use_all);
	scope_sleep_for((int64_t)sim_random(10000));
	if (sim_random(2)) {
		d->closed[0] = true;
		scope_conn_close(d->pair[0]);
	}
	scope_sleep_for((int64_t)sim_random(5000));
	if (sim_random(2))
		sim_check(scope_fd_close(d->fd[0]) == 0, "not closed");
	scope_sleep_for((int64_t)sim_random(5000));
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(d->read <= d->written, "%llu were written, %llu read",
		  (unsigned long long)d->written, (unsigned long long)d->read);
	if (!d->closed[0])
		scope_conn_close(d->pair[0]);
	scope_conn_close(d->pair[1]);
	scope_fd_close(d->fd[0]);
	scope_fd_close(d->fd[1]);
	return 0;
}

Test(sim, N1_N3_hold_in_a_storm_of_descriptors)
{
	explore("N1_N3_hold_in_a_storm_of_descriptors", storm, WITH_TIMERS);
}

/* ---- halves and resets ----------------------------------------------------------------------- */

enum { STREAMS = 3, STREAM_MOST = 200, PIECE_MOST = 64 };

/* A client that says all it has, closes its half and hears the echo of all of it; or one that
 * breaks off with the echo unread. */
struct stream {
	struct scope_conn *client, *server;
	size_t size;
	bool breaks;
};

static unsigned char byte_at(size_t place)
{
	return (unsigned char)(place * 7 + place / 64);
}

static int echo_stream(struct job *job)
{
	struct stream *stream = job->pointer;
	char bytes[PIECE_MOST];
	size_t n, done;
	int rc;

	do {
		rc = scope_conn_read(stream->server, bytes, 1 + sim_random(PIECE_MOST), &n);
		if (rc == 0 && n > 0)
			rc = scope_conn_write(stream->server, bytes, n, &done);
	} while (rc == 0 && n > 0);
	if (rc == 0)
		rc = scope_conn_shutdown(stream->server);
	sim_check(rc == 0 || (stream->breaks && (rc == -ECONNRESET || rc == -EPIPE)),
		  "the server got %d", rc);
	return 0;
}

/* So much of it. */
static void say(struct stream *stream, size_t size)
{
	unsigned char bytes[PIECE_MOST];
	size_t at = 0, n, i, done;

	while (at < size) {
		n = 1 + sim_random(size - at < PIECE_MOST ? size - at : PIECE_MOST);
		for (i = 0; i < n; i++)
			bytes[i] = byte_at(at + i);
		sim_check(scope_conn_write(stream->client, bytes, n, &done) == 0, "not said");
		at += done;
	}
}

static int say_all(struct job *job)
{
	struct stream *stream = job->pointer;

	say(stream, stream->size);
	sim_check(scope_conn_shutdown(stream->client) == 0, "the half is not closed");
	return 0;
}

static int hear_all(struct job *job)
{
	struct stream *stream = job->pointer;
	unsigned char bytes[PIECE_MOST];
	size_t at = 0, n, i;

	do {
		sim_check(scope_conn_read(stream->client, bytes, 1 + sim_random(PIECE_MOST), &n) ==
				  0, "the echo is broken off at %zu", at);
		for (i = 0; i < n; i++, at++)
			sim_check(bytes[i] == byte_at(at), "byte %zu is %u", at, bytes[i]);
	} while (n > 0);
	sim_check(at == stream->size, "%zu of %zu came", at, stream->size);
	return 0;
}

static int break_off(struct job *job)
{
	struct stream *stream = job->pointer;

	say(stream, sim_random(stream->size));
	if (sim_random(2))
		scope_sleep_for((int64_t)sim_random(3000));
	scope_conn_close(stream->client);
	return 0;
}

static int streams(void *arg)
{
	struct stream stream[STREAMS];
	struct job job[3 * STREAMS];
	struct scope_conn *pair[2];
	struct group g;
	int i, j;

	(void)arg;
	group_open(&g);
	for (i = 0; i < STREAMS; i++) {
		open_pair(pair);
		stream[i] = (struct stream){pair[0], pair[1], 1 + sim_random(STREAM_MOST),
					    sim_random(2)};
		for (j = 0; j < 3; j++)
			job[3 * i + j].pointer = &stream[i];
		group_spawn(&g, &job[3 * i], echo_stream);
		group_spawn(&g, &job[3 * i + 1], stream[i].breaks ? break_off : say_all);
		if (!stream[i].breaks)
			group_spawn(&g, &job[3 * i + 2], hear_all);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	for (i = 0; i < STREAMS; i++) {
		if (!stream[i].breaks)
			scope_conn_close(stream[i].client);
		scope_conn_close(stream[i].server);
	}
	return 0;
}

Test(sim, streams_end_by_halves_and_by_resets)
{
	explore("streams_end_by_halves_and_by_resets", streams, WITH_TIMERS);
}
