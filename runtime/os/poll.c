/* runtime/os/poll.c: the set of descriptors that are watched: entries of the real table. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/linux.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, NS_PER_SEC = 1000000000 };

_Static_assert(SC_EVENT_IN == (int)EPOLLIN && SC_EVENT_OUT == (int)EPOLLOUT &&
		       SC_EVENT_PRI == (int)EPOLLPRI && SC_EVENT_ERR == (int)EPOLLERR &&
		       SC_EVENT_HUP == (int)EPOLLHUP &&
		       SC_EVENT_RDHUP == (int)EPOLLRDHUP, "events are those of epoll");

static int poller = -1;
/* Rung to end a wait: an eventfd, level-triggered, which only who waits reads. */
static int bell = -1;

int sc_linux_poll_open(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = UINT64_MAX};
	int rc;

	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		return -errno;
	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = bell < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, bell, &event) ? -errno : 0;
	if (rc < 0)
		sc_linux_poll_close();
	return rc;
}

void sc_linux_poll_close(void)
{
	close(poller);
	if (bell >= 0)
		close(bell);
	poller = bell = -1;
}

int sc_linux_poll_watch(int fd, enum sc_watch how, unsigned events, uint64_t tag)
{
	struct epoll_event event = {.events = events, .data.u64 = tag};
	int op = how == SC_WATCH_NEW ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	event.events |= how == SC_WATCH_ONCE ? (unsigned)EPOLLONESHOT : (unsigned)EPOLLET;
	if (epoll_ctl(poller, op, fd, &event) == 0)
		return 0;
	if (how != SC_WATCH_ONCE || errno != ENOENT)
		return -errno;
	return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) ? -errno : 1;
}

void sc_linux_poll_forget(int fd)
{
	epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
}

/* Kernels before 5.11 count in milliseconds: late rather than early. */
static int wait_for(struct epoll_event *events, int most, int64_t left_ns)
{
	struct timespec limit = {left_ns / NS_PER_SEC, left_ns % NS_PER_SEC};
	int n;

	n = (int)syscall(SYS_epoll_pwait2, poller, events, most, &limit, NULL, (size_t)8);
	if (n >= 0 || errno != ENOSYS)
		return n;
	left_ns = (left_ns + NS_PER_MS - 1) / NS_PER_MS;
	return epoll_wait(poller, events, most, left_ns > INT32_MAX ? INT32_MAX : (int)left_ns);
}

/* The poller is a descriptor that is ready when it has something to tell, the bell included. */
static unsigned wait_only(int64_t left_ns)
{
	struct timespec limit = {left_ns / NS_PER_SEC, left_ns % NS_PER_SEC};
	struct pollfd one = {.fd = poller, .events = POLLIN};
	int n = ppoll(&one, 1, left_ns < 0 ? NULL : &limit, NULL);
	uint64_t rung;

	(void)!read(bell, &rung, sizeof rung);
	return n > 0;
}

unsigned sc_linux_poll_wait(struct sc_event *out, unsigned most, int64_t deadline)
{
	struct epoll_event events[SC_EVENTS];
	int64_t left_ns = deadline == INT64_MAX ? -1 : 0;
	unsigned count = 0;
	uint64_t rung;
	int n, i;

	if (deadline > 0 && left_ns == 0) {
		left_ns = deadline - sc_os.now();
		left_ns = left_ns > 0 ? left_ns : 0;
	}
	if (most == 0)
		return wait_only(left_ns);
	if (left_ns > 0)
		n = wait_for(events, (int)most, left_ns);
	else
		n = epoll_wait(poller, events, (int)most, (int)left_ns);
	for (i = 0; i < n; i++) {
		if (events[i].data.u64 != UINT64_MAX)
			out[count++] = (struct sc_event){events[i].data.u64, events[i].events};
		else if (deadline > 0)
			(void)!read(bell, &rung, sizeof rung);
	}
	return count;
}

void sc_linux_poll_wake(void)
{
	uint64_t one = 1;

	(void)!write(bell, &one, sizeof one);
}
