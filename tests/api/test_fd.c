/* tests/api/test_fd.c: waiting for descriptors: rules C2, C3, C6, G2, N1, N3, T4. */
#define _GNU_SOURCE
#include "task_check.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <scope_net.h>
#include <scope_sync.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(fd, .timeout = 60);

/* A descriptor that others use, and what they use it for. */
struct end {
	int fd;
	unsigned events;
	int result;
};

static void make_pipe(int ends[2])
{
	CHECK_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
}

static void close_pipe(const int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

/* ---- readiness ----------------------------------------------------------------------------- */

enum { BYTES = SIMULATED ? 20 : 2000 };

static int writes_bytes(void *arg)
{
	int *fd = arg, i;

	for (i = 0; i < BYTES; i++) {
		char byte = (char)i;

		CHECK_EQ(write(*fd, &byte, 1), 1);
		if (i % 3 == 0)
			CHECK_EQ(scope_yield(), 0);
	}
	return 0;
}

static int reads_bytes(void *arg)
{
	int ends[2], got = 0;
	struct scope s;

	(void)arg;
	make_pipe(ends);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, writes_bytes, &ends[1], &concurrent), 0);
	while (got < BYTES) {
		char byte;

		CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
		while (read(ends[0], &byte, 1) == 1)
			CHECK_EQ(byte, (char)got++);
	}
	CHECK_EQ(scope_close(&s), 0);
	close_pipe(ends);
	return 0;
}

Test(fd, a_task_waits_until_a_pipe_has_something)
{
	must_run(reads_bytes, NULL);
}

/* Level and not edge: what was there before the wait counts, again and again. */
static int ready_already(void *arg)
{
	unsigned events = 0;
	int ends[2], i;

	(void)arg;
	make_pipe(ends);
	CHECK_EQ(write(ends[1], "ab", 2), 2);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
		CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, 0), 0);
	}
	CHECK_EQ(scope_fd_poll_until(ends[1], SCOPE_FD_WRITE | SCOPE_FD_READ, SCOPE_NEVER, &events),
		 0);
	CHECK_EQ(events, SCOPE_FD_WRITE);
	close(ends[1]);
	CHECK_EQ(scope_fd_poll_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER, &events), 0);
	CHECK_EQ(events, SCOPE_FD_READ | SCOPE_FD_HANGUP);
	CHECK_EQ(scope_fd_poll_until(ends[0], SCOPE_FD_READ, 0, &events), 0);
	CHECK_EQ(events, SCOPE_FD_READ | SCOPE_FD_HANGUP);
	close(ends[0]);
	return 0;
}

Test(fd, what_is_ready_already_is_seen)
{
	must_run(ready_already, NULL);
}

static int waits_for_end(void *arg)
{
	struct end *end = arg;

	end->result = scope_fd_wait_until(end->fd, end->events, SCOPE_NEVER);
	return count(NULL);
}

/* One reads and one writes the same socket. */
static int two_sides(void *arg)
{
	struct end in = {.events = SCOPE_FD_READ, .result = 1};
	struct end out = {.events = SCOPE_FD_WRITE, .result = 1};
	char junk[4096] = {0};
	struct scope s;
	int pair[2], round;

	(void)arg;
	for (round = 0; round < 2; round++) {
		ran = 0;
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
		while (write(pair[0], junk, sizeof junk) > 0)
			;
		in.fd = out.fd = pair[0];
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, waits_for_end, round ? &in : &out, &concurrent), 0);
		CHECK_EQ(scope_spawn_with(&s, waits_for_end, round ? &out : &in, &concurrent), 0);
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(ran, 0);
		if (round == 0) {
			CHECK_EQ(write(pair[1], "x", 1), 1);
			CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
			CHECK_EQ(ran, 1);
		}
		while (read(pair[1], junk, sizeof junk) > 0)
			;
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		CHECK_EQ(ran, 2 - round);
		CHECK_EQ(write(pair[1], "x", 1), 1);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(in.result, 0);
		CHECK_EQ(out.result, 0);
		close_pipe(pair);
	}
	return 0;
}

Test(fd, one_task_waits_to_read_and_one_to_write)
{
	must_run(two_sides, NULL);
}

static int regular(void *arg)
{
	FILE *file = tmpfile();
	unsigned events = 0;

	(void)arg;
	CHECK(file != NULL);
	CHECK_EQ(scope_fd_wait_until(fileno(file), SCOPE_FD_READ, SCOPE_NEVER), 0);
	CHECK_EQ(scope_fd_poll_until(fileno(file), SCOPE_FD_READ | SCOPE_FD_WRITE, SCOPE_NEVER,
				     &events), 0);
	CHECK_EQ(events, SCOPE_FD_READ | SCOPE_FD_WRITE);
	fclose(file);
	return 0;
}

Test(fd, a_regular_file_is_always_ready)
{
	must_run(regular, NULL);
}

/* ---- what ends a wait ------------------------------------------------------------------------ */

static int cancelled(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	unsigned events = 77;
	struct scope s;
	int ends[2];
	char got[4];

	(void)arg;
	make_pipe(ends);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(write(ends[1], "abc", 3), 3);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, 0), -ECANCELED);
	CHECK_EQ(scope_fd_poll_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER, &events), -ECANCELED);
	CHECK_EQ(events, 77);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* What came is still there. */
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
	CHECK_EQ(read(ends[0], got, sizeof got), 3);
	close_pipe(ends);
	return 0;
}

Test(fd, N1_C2_C3_a_cancelled_wait_leaves_the_data_ecanceled)
{
	must_run(cancelled, NULL);
}

static int waits_softly(void *arg)
{
	struct end *end = arg;

	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_fd_wait_until(end->fd, SCOPE_FD_READ, SCOPE_NEVER), -ESHUTDOWN);
	CHECK_EQ(scope_fd_poll_until(end->fd, SCOPE_FD_READ, SCOPE_NEVER, &end->events),
		 -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_fd_wait_until(end->fd, SCOPE_FD_READ, SCOPE_NEVER), 0);
	return 0;
}

static int stopped(void *arg)
{
	struct scope s;
	struct end end;
	int ends[2];

	(void)arg;
	make_pipe(ends);
	end.fd = ends[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_softly, &end, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(scope_close(&s), 0);
	close_pipe(ends);
	return 0;
}

Test(fd, G2_in_a_soft_region_eshutdown)
{
	must_run(stopped, NULL);
}

static int times_out(void *arg)
{
	int64_t start = scope_now();
	unsigned events = 77;
	int ends[2];

	(void)arg;
	make_pipe(ends);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, start + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, 0), -ETIMEDOUT);
	CHECK_EQ(scope_fd_poll_until(ends[0], SCOPE_FD_READ, 0, &events), -ETIMEDOUT);
	CHECK_EQ(events, 77);
	CHECK_EQ(scope_fd_wait_until(ends[1], SCOPE_FD_WRITE, 0), 0);
	/* The wait that is over takes no event of the next. */
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, scope_now() + SCOPE_SEC), 0);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	close_pipe(ends);
	return 0;
}

Test(fd, T4_until_a_deadline_etimedout)
{
	must_run(times_out, NULL);
}

/* ---- misuse ---------------------------------------------------------------------------------- */

static int two_readers(void *arg)
{
	struct end end = {.events = SCOPE_FD_READ};
	struct scope s;
	unsigned events;
	int ends[2];

	(void)arg;
	make_pipe(ends);
	end.fd = ends[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_end, &end, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_READ, SCOPE_NEVER), -EBUSY);
	CHECK_EQ(scope_fd_poll_until(ends[0], SCOPE_FD_READ | SCOPE_FD_WRITE, SCOPE_NEVER, &events),
		 -EBUSY);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(end.result, 0);
	close_pipe(ends);
	return 0;
}

Test(fd, N3_two_readers_at_once_ebusy)
{
	must_run(two_readers, NULL);
}

static int closes(void *arg)
{
	struct end in = {.events = SCOPE_FD_READ}, out = {.events = SCOPE_FD_WRITE};
	char junk[4096] = {0};
	unsigned events;
	struct scope s;
	int pair[2];

	(void)arg;
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	while (write(pair[0], junk, sizeof junk) > 0)
		;
	in.fd = out.fd = pair[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_end, &in, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, waits_for_end, &out, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_fd_close(pair[0]), 0);
	CHECK_EQ(scope_fd_close(pair[0]), -EBADF);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(in.result, -EBADF);
	CHECK_EQ(out.result, -EBADF);
	CHECK_EQ(scope_fd_wait_until(pair[0], SCOPE_FD_READ, SCOPE_NEVER), -EBADF);
	CHECK_EQ(scope_fd_poll_until(pair[0], SCOPE_FD_READ, 0, &events), -EBADF);
	CHECK_EQ(scope_fd_wait_until(-1, SCOPE_FD_READ, SCOPE_NEVER), -EBADF);
	CHECK_EQ(scope_fd_wait_until(-1, SCOPE_FD_READ, 0), -EBADF);
	CHECK_EQ(scope_fd_close(-1), -EBADF);
	CHECK_EQ(read(pair[1], junk, 1), 1); /* what was written before the end */
	close(pair[1]);
	return 0;
}

Test(fd, N3_closing_it_under_those_who_wait_ebadf)
{
	must_run(closes, NULL);
}

/* A wait for a number whose descriptor was closed and replaced unseen never takes an event of the
 * new one: who waits for that finds the old wait and ends it. */
static int replaced(void *arg)
{
	struct end old = {.events = SCOPE_FD_READ};
	int ends[2], others[2];
	struct scope s;

	(void)arg;
	make_pipe(ends);
	make_pipe(others);
	old.fd = ends[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_end, &old, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(dup2(others[1], ends[0]), ends[0]); /* with a writing end */
	CHECK_EQ(scope_fd_wait_until(ends[0], SCOPE_FD_WRITE, SCOPE_NEVER), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(old.result, -EBADF);
	close_pipe(ends);
	close_pipe(others);
	return 0;
}

Test(fd, N3_a_number_that_was_closed_unseen_and_used_again_ebadf)
{
	must_run(replaced, NULL);
}

static int wrong(void *arg)
{
	unsigned events;

	(void)arg;
	CHECK_EQ(scope_fd_wait_until(0, 0, 0), -EINVAL);
	CHECK_EQ(scope_fd_wait_until(0, 1u << 31, 0), -EINVAL);
	CHECK_EQ(scope_fd_poll_until(0, SCOPE_FD_READ, 0, NULL), -EINVAL);
	CHECK_EQ(scope_fd_poll_until(0, 0, 0, &events), -EINVAL);
	return 0;
}

Test(fd, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(fd, S2_outside_a_run_enotconn)
{
	unsigned events;

	cr_assert_eq(scope_fd_wait_until(0, SCOPE_FD_READ, 0), -ENOTCONN);
	cr_assert_eq(scope_fd_poll_until(0, SCOPE_FD_READ, 0, &events), -ENOTCONN);
	cr_assert_eq(scope_fd_close(0), -ENOTCONN);
}

/* ---- many ------------------------------------------------------------------------------------ */

enum { PAIRS = SIMULATED ? 3 : 50, TURNS = SIMULATED ? 4 : 200 };

static int echoes(void *arg)
{
	int fd = *(int *)arg, turn;

	for (turn = 0; turn < TURNS; turn++) {
		char byte;

		while (read(fd, &byte, 1) != 1)
			CHECK_EQ(scope_fd_wait_until(fd, SCOPE_FD_READ, SCOPE_NEVER), 0);
		CHECK_EQ(write(fd, &byte, 1), 1);
	}
	return count(NULL);
}

static int asks(void *arg)
{
	int fd = *(int *)arg, turn;

	for (turn = 0; turn < TURNS; turn++) {
		char byte = (char)turn;

		CHECK_EQ(write(fd, &byte, 1), 1);
		while (read(fd, &byte, 1) != 1)
			CHECK_EQ(scope_fd_wait_until(fd, SCOPE_FD_READ, SCOPE_NEVER), 0);
		CHECK_EQ(byte, (char)turn);
	}
	return count(NULL);
}

static int many_pairs(void *arg)
{
	int pairs[PAIRS][2], i;
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	for (i = 0; i < PAIRS; i++) {
		CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pairs[i]), 0);
		CHECK_EQ(scope_spawn(&s, echoes, &pairs[i][0]), 0);
		CHECK_EQ(scope_spawn(&s, asks, &pairs[i][1]), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2 * PAIRS);
	for (i = 0; i < PAIRS; i++)
		close_pipe(pairs[i]);
	return 0;
}

Test(fd, no_edge_is_lost_among_many)
{
	must_run(many_pairs, NULL);
	/* By the real clock the workers sleep in the kernel. */
	cr_assert_eq(run_flags(many_pairs, NULL, 0, 0), 0);
}

/* All workers compute: nobody sleeps who would hear of the descriptor. */
static int computes(void *arg)
{
	while (!ran)
		CHECK_EQ(scope_checkpoint(), 0);
	(void)arg;
	return 0;
}

static int beside_others(void *arg)
{
	struct end end = {.events = SCOPE_FD_READ, .result = 1};
	struct scope s;
	int ends[2], i;

	(void)arg;
	ran = 0;
	make_pipe(ends);
	end.fd = ends[0];
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_end, &end, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(scope_spawn_with(&s, computes, NULL, &concurrent), 0);
	CHECK_EQ(write(ends[1], "x", 1), 1);
	CHECK_EQ(computes(NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(end.result, 0);
	close_pipe(ends);
	return 0;
}

Test(fd, tasks_that_compute_keep_nobody_from_a_descriptor)
{
	must_run(beside_others, NULL);
	cr_assert_eq(run_flags(beside_others, NULL, 0, 0), 0);
}

/* Many compute, and one waits for what a thread outside sends: who had the worker until the tick
 * goes behind who was woken. */
enum { HOGS = 8, ROUNDS = 20 };
static struct {
	atomic_int sent_at, turns, over;
	int to, from;
} beat;

static void *sends_and_waits(void *unused)
{
	char byte = 0;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		atomic_store(&beat.sent_at, atomic_load(&beat.turns));
		CHECK_EQ(write(beat.to, &byte, 1), 1);
		CHECK_EQ(read(beat.from, &byte, 1), 1);
	}
	return unused;
}

static int takes_turns(void *arg)
{
	static _Atomic(void *) last;

	while (!atomic_load(&beat.over)) {
		if (atomic_exchange(&last, arg) != arg)
			atomic_fetch_add(&beat.turns, 1);
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

static int hears_before_them(void *arg)
{
	struct scope s;
	pthread_t thread;
	int to[2], from[2], i, between = 0;
	char byte;

	make_pipe(to);
	CHECK_EQ(pipe(from), 0);
	beat.to = to[1];
	beat.from = from[0];
	beat.over = 0;
	scope_open(&s);
	for (i = 0; i < HOGS; i++)
		CHECK_EQ(scope_spawn_with(&s, takes_turns, (char *)arg + i, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(200 * SCOPE_MS), 0); /* each had the worker until a tick */
	CHECK_EQ(pthread_create(&thread, NULL, sends_and_waits, NULL), 0);
	for (i = 0; i < ROUNDS; i++) {
		CHECK_EQ(scope_fd_wait_until(to[0], SCOPE_FD_READ, SCOPE_NEVER), 0);
		between += atomic_load(&beat.turns) - atomic_load(&beat.sent_at);
		CHECK_EQ(read(to[0], &byte, 1), 1);
		CHECK_EQ(write(from[1], &byte, 1), 1);
	}
	beat.over = 1;
	pthread_join(thread, NULL);
	CHECK_EQ(scope_close(&s), 0);
	close_pipe(to);
	close_pipe(from);
	CHECK(between < ROUNDS * HOGS / 2);
	return 0;
}

Test(fd, who_was_woken_goes_before_those_that_compute)
{
	char hogs[HOGS];

#ifdef SC_VALGRIND
	cr_skip("memcheck lets one thread run at a time, for longer than a tick");
#endif
	cr_assert_eq(run_config(hears_before_them, hogs, (struct scope_config){.workers = 1}), 0);
}

/* Thousands are woken at once while two compute: each of these has 10 ms, so its turn comes by the
 * clock and not once for so many of the others. */
enum { WOKEN = 3000, TURN_NS = 20 * SCOPE_MS };
static struct scope_event all_go;
static atomic_int woken, turns;

static int is_woken(void *done)
{
	CHECK_EQ(scope_event_wait(&all_go), 0);
	if (atomic_fetch_add(&woken, 1) + 1 == WOKEN)
		scope_event_set(done);
	return 0;
}

static int counts_its_turns(void *done)
{
	int seen = 0, now;

	while (!scope_event_is_set(done)) {
		now = atomic_load(&woken);
		if (now != seen)
			atomic_fetch_add(&turns, 1);
		seen = now;
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

static int wakes_thousands(void *arg)
{
	struct scope_event done = {{0}};
	struct scope s;
	int64_t begun;
	int i;

	(void)arg;
	memset(&all_go, 0, sizeof all_go);
	woken = turns = 0;
	scope_open(&s);
	for (i = 0; i < WOKEN; i++)
		CHECK_EQ(scope_spawn(&s, is_woken, &done), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_spawn_with(&s, counts_its_turns, &done, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(100 * SCOPE_MS), 0); /* each had the worker until a tick */
	begun = scope_now();
	scope_event_set(&all_go);
	CHECK_EQ(scope_event_wait(&done), 0);
	CHECK(turns <= (scope_now() - begun) / TURN_NS + 4);
	return scope_close(&s);
}

Test(fd, thousands_that_are_woken_go_before_those_that_compute)
{
	cr_assert_eq(run_config(wakes_thousands, NULL, (struct scope_config){.workers = 1}), 0);
}
