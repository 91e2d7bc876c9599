/* tests/sim/scn_fdmix.c: reads, writes and waits at random beside cancels and a close. */
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

static int storm(void *arg)
{
	__typeof__(*d) all = {.written = 0};
	struct job job[TASKS];
	struct sc_fd *side;
	struct group g;
	int fd[2], i;

	(void)arg;
	d = &all;
	signal(SIGPIPE, SIG_IGN);
	sim_check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0, "no sockets");
	for (i = 0; i < 2; i++) {
		sim_check(sc_fd_open(fd[i], sim_random(2) ? SC_FD_STREAM : 0, &side) == 0,
			  "can't be watched");
		d->pair[i] = (struct scope_conn *)side;
	}
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
