/* tests/sim/poll.c: descriptors in the simulation: real ones, whose waiting is simulated.
 *
 * What a simulated thread writes has arrived when the system call returns, so nothing here
 * depends on anything but the schedule.  Calls on descriptors of the runtime now and then find
 * nothing, or transfer less than they could, and the kernel tells of the rest again.  Only who
 * waits for descriptors must not do so in the kernel, where all threads would stand still.
 */
#define _GNU_SOURCE
#include "core.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

static int set = -1;
static uint32_t bell; /* rung and not heard */

/* What is watched at each edge, by number: the kernel is asked again after a refusal of ours. */
enum { NUMBERS = 1024, LEAST = 16 };
static struct epoll_event watched[NUMBERS];

static void step(void)
{
	sim_step(&bell, __builtin_return_address(0), SIM_STEP);
}

static int os_poll_open(void)
{
	step();
	if (sim_refused())
		return -EMFILE;
	if (set >= 0) /* of a schedule that failed */
		close(set);
	set = epoll_create1(EPOLL_CLOEXEC);
	bell = 0;
	memset(watched, 0, sizeof watched);
	return set < 0 ? -errno : 0;
}

static void os_poll_close(void)
{
	close(set);
	set = -1;
}

static int os_poll_watch(int fd, enum sc_watch how, unsigned events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	int op = how == SC_WATCH_NEW ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	step();
	if (sim_refused())
		return -ENOMEM;
	event.events |= how == SC_WATCH_ONCE ? (unsigned)EPOLLONESHOT : (unsigned)EPOLLET;
	if (how != SC_WATCH_ONCE && fd >= 0 && fd < NUMBERS)
		watched[fd] = event;
	if (epoll_ctl(set, op, fd, &event) == 0)
		return 0;
	if (how != SC_WATCH_ONCE || errno != ENOENT)
		return -errno;
	return epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) ? -errno : 1;
}

static void os_poll_forget(int fd)
{
	step();
	if (fd < NUMBERS)
		watched[fd].events = 0;
	epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
}

static int by_tag(const void *a, const void *b)
{
	const struct epoll_event *one = a, *other = b;

	return (one->data.u64 > other->data.u64) - (one->data.u64 < other->data.u64);
}

/* One change in a file may make two descriptors ready, in an order that follows addresses of the
 * kernel's: it must not be the schedule's. */
static unsigned look(struct sc_event *out, unsigned most)
{
	struct epoll_event events[SC_EVENTS];
	struct pollfd one = {.fd = set, .events = POLLIN};
	int n, i;

	if (most == 0)
		return poll(&one, 1, 0) == 1;
	n = epoll_wait(set, events, (int)most, 0);
	if (n > 1)
		qsort(events, (size_t)n, sizeof *events, by_tag);
	for (i = 0; i < n; i++)
		out[i] = (struct sc_event){events[i].data.u64, events[i].events};
	return n > 0 ? (unsigned)n : 0;
}

static unsigned os_poll_wait(struct sc_event *out, unsigned most, int64_t deadline)
{
	struct sim_thread *me = sim.current;
	unsigned count;

	step();
	count = look(out, most);
	if (count || deadline == 0 || bell || deadline <= sim.now) {
		bell = deadline == 0 ? bell : 0;
		return count;
	}
	me->state = SIM_WAITING;
	me->word = &bell;
	me->deadline = deadline;
	sim_step(&bell, __builtin_return_address(0), SIM_BLOCK);
	bell = 0;
	return look(out, most);
}

static void end_wait(void)
{
	unsigned i;

	for (i = 0; i < sim.threads; i++)
		if (sim.thread[i].state == SIM_WAITING && sim.thread[i].word == &bell)
			sim.thread[i].state = SIM_READY;
}

static void os_poll_wake(void)
{
	step();
	bell = 1;
	end_wait();
}

bool sim_poll(void)
{
	struct pollfd one = {.fd = set, .events = POLLIN};
	unsigned i;

	for (i = 0; i < sim.threads; i++)
		if (sim.thread[i].state == SIM_WAITING && sim.thread[i].word == &bell)
			break;
	if (i == sim.threads || set < 0 || poll(&one, 1, 0) != 1)
		return false;
	end_wait();
	return true;
}

/* ---- what is done with them ---------------------------------------------------------------- */

/* Now and then the kernel has less than there is.  It will tell of the rest: what is ready when a
 * descriptor is watched anew makes an edge. */
static bool is_short(int fd)
{
	if (sim.strategy == SIM_EXHAUSTIVE || fd >= NUMBERS || !watched[fd].events ||
	    sim_next_random() % 4)
		return false;
	epoll_ctl(set, EPOLL_CTL_MOD, fd, &watched[fd]);
	return true;
}

/* So much of it, not less than tests ask for in one piece. */
static size_t part_of(size_t size)
{
	return size > LEAST ? LEAST + sim_next_random() % (size - LEAST) : size;
}

static int64_t os_recv(int fd, void *buffer, size_t size)
{
	step();
	if (is_short(fd))
		return sim_next_random() % 2 ? -EAGAIN
					     : sc_os_system.recv(fd, buffer, part_of(size));
	return sc_os_system.recv(fd, buffer, size);
}

static int64_t os_send(int fd, const void *data, size_t size)
{
	step();
	if (is_short(fd))
		return sim_next_random() % 2 ? -EAGAIN : sc_os_system.send(fd, data, part_of(size));
	return sc_os_system.send(fd, data, size);
}

static int64_t os_send_file(int fd, int file, int64_t offset, size_t size)
{
	step();
	if (is_short(fd))
		return sim_next_random() % 2
			       ? -EAGAIN
			       : sc_os_system.send_file(fd, file, offset, part_of(size));
	return sc_os_system.send_file(fd, file, offset, size);
}

static int os_accept(int fd)
{
	step();
	if (sim_refused())
		return -EMFILE;
	return is_short(fd) ? -EAGAIN : sc_os_system.accept(fd);
}

static int os_ready(int fd, unsigned events)
{
	step();
	return sc_os_system.ready(fd, events);
}

static void os_close(int fd)
{
	step();
	sc_os_system.close(fd);
}

static int os_connect(const struct sc_address *address, int *out_fd)
{
	step();
	return sc_os_system.connect(address, out_fd);
}

/* Now and then what is asked for is not in memory. */
static int64_t os_read_now(int fd, void *buffer, size_t size, uint64_t offset)
{
	step();
	if (sim.strategy != SIM_EXHAUSTIVE && sim_next_random() % 2)
		return -EAGAIN;
	return sc_os_system.read_now(fd, buffer, size, offset);
}

void sim_poll_install(struct sc_os *table)
{
	table->poll_open = os_poll_open;
	table->poll_close = os_poll_close;
	table->poll_watch = os_poll_watch;
	table->poll_forget = os_poll_forget;
	table->poll_wait = os_poll_wait;
	table->poll_wake = os_poll_wake;
	table->recv = os_recv;
	table->send = os_send;
	table->send_file = os_send_file;
	table->accept = os_accept;
	table->ready = os_ready;
	table->close = os_close;
	table->connect = os_connect;
	table->read_now = os_read_now;
}
