/* scope_net.h: waiting for descriptors; connections, listeners, datagrams. */
#ifndef SCOPE_NET_H
#define SCOPE_NET_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- any descriptor --------------------------------------------------------------------- */

/* What a descriptor is ready for: the values are those of poll(2), POLLIN and so on. */
enum scope_fd_event {
	SCOPE_FD_READ = 0x1,
	SCOPE_FD_URGENT = 0x2,
	SCOPE_FD_WRITE = 0x4,
	SCOPE_FD_ERROR = 0x8,  /* told unasked */
	SCOPE_FD_HANGUP = 0x10 /* told unasked */
};

/**
 * Waits until a descriptor is ready: a pipe, a socket, a terminal, a timer, whatever poll(2)
 * takes; a regular file always is.  It stays the program's, which reads and writes it, best
 * without blocking (O_NONBLOCK): another may have been faster.  An error or the end of the other
 * side counts as ready.  Two tasks may wait for one descriptor, one to read and one to write.
 *
 * events       SCOPE_FD_READ, SCOPE_FD_WRITE, SCOPE_FD_URGENT, or several: any of them
 * deadline_ns  absolute, monotonic; already past: polls; SCOPE_NEVER: no limit
 * Cancellation point: -ECANCELED leaves the descriptor as it is, and the data in the kernel.
 * Thread safety: any task of the run.
 * Cost: a system call and a park.
 * Returns 0, else nothing is known of it:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     events are 0 or not known
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ETIMEDOUT  it was not ready until deadline_ns
 *   -EBADF      it is not open, or was closed by scope_fd_close meanwhile
 *   -EBUSY      another task waits to read, or to write, it
 *   -ENOMEM     no memory
 * or what epoll_ctl(2) said: -EMFILE, -ENFILE, -ENOSPC.
 */
SCOPE_API int scope_fd_wait_until(int fd, unsigned events, int64_t deadline_ns);

/**
 * scope_fd_wait_until that tells what the descriptor is ready for.
 *
 * out_events   those of `events` that came, SCOPE_FD_ERROR and SCOPE_FD_HANGUP
 * Cancellation point: as scope_fd_wait_until.
 * Thread safety: any task of the run.
 * Returns what scope_fd_wait_until does, and then *out_events is untouched; and
 *   -EINVAL     out_events is NULL
 */
SCOPE_API int scope_fd_poll_until(int fd, unsigned events, int64_t deadline_ns,
				  unsigned *out_events);

/**
 * Closes a descriptor of the program; tasks that wait for it get -EBADF.  After a close(2)
 * instead they would wait for what never comes.
 *
 * Thread safety: any task of the run.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EBADF     it is not open
 */
SCOPE_API int scope_fd_close(int fd);

#ifdef __cplusplus
}
#endif

#endif
