/* runtime/io/wait.c: waits of tasks at descriptors: rules N1, N3, C3 and C6. */
#include "io/io.h"
#include "scope/inplace.h"

#include <errno.h>
#include <scope_net.h>

/* ---- parking ------------------------------------------------------------------------------- */

int sc_io_park(enum sc_reason reason, int fd)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);

	worker->strand->object = (const void *)(intptr_t)fd;
	sc_park_for_outside(worker, reason, sc_wait_post);
	return sc_wait_end(place);
}

/* ---- own descriptors ------------------------------------------------------------------------- */

int sc_io_own(int fd, unsigned kind, struct sc_fd **out)
{
	int rc = sc_fd_open(fd, kind, out);

	if (rc < 0)
		sc_os.close(fd);
	return rc;
}

int sc_io_wait(struct sc_use *use, enum sc_reason reason)
{
	struct sc_worker *worker = sc_self();
	int rc, closed;

	sc_wait_begin(worker, SC_NEVER);
	rc = sc_fd_wait(use, worker->strand);
	use->ready = 1;
	if (rc == 0)
		return 0;
	if (rc < 0) {
		sc_fd_leave(use, 0);
		return rc;
	}
	rc = sc_io_park(reason, use->fd->fd);
	closed = sc_fd_woken(use);
	if (closed < 0)
		return rc < 0 ? rc : closed;
	if (rc < 0)
		sc_fd_leave(use, 0);
	return rc;
}

/* ---- any descriptor -------------------------------------------------------------------------- */

_Static_assert((int)SCOPE_FD_READ == SC_EVENT_IN && (int)SCOPE_FD_WRITE == SC_EVENT_OUT &&
		       (int)SCOPE_FD_URGENT == SC_EVENT_PRI &&
		       (int)SCOPE_FD_ERROR == SC_EVENT_ERR && (int)SCOPE_FD_HANGUP == SC_EVENT_HUP,
	       "events are those of the system");

/* Parks until events come: these, or why not. */
static int wait_for(int fd, unsigned events, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_strand *strand = worker->strand;
	struct sc_arm arm;
	int rc, came;

	sc_wait_begin(worker, deadline_ns);
	rc = sc_fd_arm(fd, events, strand, &arm);
	if (rc == -EPERM) /* a regular file */
		return (int)events;
	if (rc < 0)
		return rc;
	rc = sc_io_park(events == SC_EVENT_OUT ? SC_IN_WRITE : SC_IN_READ, fd);
	came = sc_fd_disarm(&arm, strand);
	return rc < 0 ? rc : came;
}

int scope_fd_poll_until(int fd, unsigned events, int64_t deadline_ns, unsigned *out_events)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_fd_poll_until");
	if (events == 0 || (events & ~(unsigned)SC_EVENT_ASKED) || !out_events)
		return -EINVAL;
	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	if (deadline_ns != SC_NEVER && deadline_ns <= sc_now()) {
		rc = sc_os.ready(fd, events);
		if (rc == 0)
			return -ETIMEDOUT;
	} else {
		rc = wait_for(fd, events, deadline_ns);
	}
	if (rc < 0)
		return rc;
	*out_events = (unsigned)rc & (events | SC_EVENT_ERR | SC_EVENT_HUP);
	return 0;
}

int scope_fd_wait_until(int fd, unsigned events, int64_t deadline_ns)
{
	unsigned ignored;

	return scope_fd_poll_until(fd, events, deadline_ns, &ignored);
}

int scope_fd_close(int fd)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_fd_close");
	if (sc_os.ready(fd, 0) < 0)
		return -EBADF;
	sc_fd_shut(fd);
	return 0;
}
