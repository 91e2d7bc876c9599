/* runtime/io/io.h: how the running task waits at a descriptor. */
#ifndef SC_IO_IO_H
#define SC_IO_IO_H

#include "sched/poll.h"
#include "scope/tree.h"

/* Parks with the wait begun, for what `reason` says, until an event claims it, or a cancel, a
 * soft stop or the deadline does: as sc_wait_end.  While it does, standing still is no deadlock. */
int sc_io_park(enum sc_reason reason, int fd);

/* Takes over a descriptor, which is closed if that fails: as sc_fd_open. */
int sc_io_own(int fd, unsigned kind, struct sc_fd **out);

/* A call on one side of an own descriptor begins with a checkpoint and enters it. */
SC_INLINE int sc_io_begin(struct sc_fd *fd, enum sc_side side, struct sc_use *use)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("a call on a connection");
	if (SC_UNLIKELY(sc_is_due(worker)) && (rc = sc_check(worker)) < 0)
		return rc;
	return sc_fd_enter(fd, side, use);
}
/* The last system call left nothing over: 0 when another is worth it; else the call is over. */
int sc_io_wait(struct sc_use *use, enum sc_reason reason);

#endif
