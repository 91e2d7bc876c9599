/* runtime/sched/poll.h: descriptors, who waits for them, and who asks the kernel.
 *
 * A descriptor has a slot, found by its number, with two sides: IN and OUT.  One task at a time
 * uses a side.  Everything in a slot is changed under its lock.
 *
 * No edge is lost.  `edges` counts what the kernel told of a side, `drained` how many of these
 *   the user of the side had seen before it began the system call that left nothing over.  While
 *   the two differ a call is worth it.  Nothing is ever cleared: an edge that comes between a
 *   call and the note of its end still makes a difference, and who is about to wait looks at it
 *   under the lock under which the next one comes.
 *
 * No claim is misplaced.  A waiter is claimed under the lock, and whoever waited takes the lock
 *   before it goes on: so it is in that very wait when it is claimed.
 *
 * No descriptor is taken for another.  `life` moves when the number may mean something else:
 *   events of another life are dropped, and who comes back from its wait to another life leaves
 *   the slot alone.  While a call is in the kernel with the number, its closing is left to the
 *   end of that call.
 *
 * There are two ways to be watched:
 *   own      opened by the runtime, told at each edge from sc_fd_open to sc_fd_close
 *   foreign  any number that a program has; told once for each wait, which asks the kernel
 *            whether it is ready already, since others read and write it
 *
 * Who asks the kernel (all of it only once something was watched): the sleeper with the timeout
 * waits there instead of at its futex; who is busy looks now and then, who searches too; where
 * neither happens, because all compute, the monitor does.
 *
 * Memory order
 *   [poll.chunk]  cas_acqrel(chunk) of who made its slots -> load_acq(chunk) of who uses them
 *   [poll.open]   store_rel(polling) of who made the set -> load_acq(polling) of who asks it.
 *                 store(polling), fence_sc, load(timekeeper) of who watches first <->
 *                 store(timekeeper), fence_sc, load(polling) of who is going to sleep with the
 *                 timeout: it waits in the set, or is woken to
 *   [poll.bell]   cas_rel(parker) of who waits in the set -> cas_acq(parker) of who wakes it, and
 *                 may never have looked at `polling`
 */
#ifndef SC_SCHED_POLL_H
#define SC_SCHED_POLL_H

#include "base/lock.h"
#include "sched/sched.h"
#include <errno.h>

enum sc_side { SC_IN, SC_OUT, SC_SIDES };

struct sc_fd {
	struct sc_lock lock;
	SC_PLAIN(int) fd;         /* const */
	SC_PLAIN(uint32_t) life;  /* lock, as all that follows */
	SC_PLAIN(uint32_t) state; /* enum sc_fd_state */
	SC_PLAIN(uint32_t) calls; /* own: that are in the kernel, or about to be */
	uint16_t asked[SC_SIDES]; /* events that the waiter waits for */
	uint16_t came[SC_SIDES];  /* ... and those that came since */
	struct {
		SC_PLAIN(uint32_t) edges;
		SC_PLAIN(uint32_t) drained;
		/* Is about to park, parked, or about to come back. */
		SC_PLAIN(struct sc_strand *) waiter;
	} side[SC_SIDES];
};
_Static_assert(sizeof(struct sc_fd) <= SC_CACHE_LINE, "a slot is a line");

enum sc_fd_state {
	SC_FD_OWN = 1,
	SC_FD_CLOSING = 2, /* no call begins any more */
	SC_FD_ENDED = 4,   /* no more edges of IN may come: it is read until it says so */
	SC_FD_OUT = 8,     /* OUT is watched too: since something did not fit */
	SC_FD_STREAM = 16, /* const: a transfer that falls short leaves nothing over */
	SC_FD_BUSY = 32    /* << side: a call uses it */
};

/* What a program may wait for: HUP and ERR come unasked. */
enum { SC_EVENT_ASKED = SC_EVENT_IN | SC_EVENT_PRI | SC_EVENT_OUT | SC_EVENT_RDHUP };

/* A call that uses a side of an own descriptor. */
struct sc_use {
	struct sc_fd *fd;
	enum sc_side side;
	uint32_t life;
	uint32_t seen; /* edges when the next system call begins */
	int ready;     /* it is worth it */
	int stream;    /* const: SC_FD_STREAM */
};

/* ---- own descriptors ---- */

/* Watches a non-blocking descriptor, which is ready for everything until the kernel denies it.
 * `kind`: SC_FD_STREAM; SC_FD_OUT: a connection on its way, OUT is watched too, and not ready
 * until the kernel says so.  0, -EMFILE, -ENFILE, -ENOMEM,
 * -ENOSPC, -EPERM: it can't be watched; then it is left to the caller. */
int sc_fd_open(int fd, unsigned kind, struct sc_fd **out);
/* Waits end with -EBADF.  It is forgotten and then closed, now or by the last call in it. */
void sc_fd_close(struct sc_fd *fd);
/* Which one of those that had the number it is; only that one is closed, if it still is open. */
uint32_t sc_fd_life(struct sc_fd *fd);
void sc_fd_close_in(struct sc_fd *fd, uint32_t life);
/* After a system call that left nothing over: becomes the waiter, and has to park, 1; 0: there
 * is something again; -EBADF: it is being closed.  -ENOMEM, -ENOSPC. */
int sc_fd_wait(struct sc_use *use, struct sc_strand *strand);
/* The wait is over, by whatever: 0, or -EBADF: it was closed, and is not to be left any more. */
int sc_fd_woken(struct sc_use *use);
/* lock, dropped.  It was closed while there were calls, of which this was the last. */
void sc_fd_end(struct sc_fd *f);

/* Around each call.  0; -EBADF: it is being closed; -EBUSY: another call uses the side. */
SC_INLINE int sc_fd_enter(struct sc_fd *f, enum sc_side side, struct sc_use *use)
{
	int rc = 0;

	sc_lock_take(&f->lock);
	if (SC_UNLIKELY((f->state & (SC_FD_OWN | SC_FD_CLOSING)) != SC_FD_OWN)) {
		rc = -EBADF;
	} else if (SC_UNLIKELY(f->state & SC_FD_BUSY << side || f->side[side].waiter)) {
		rc = -EBUSY;
	} else {
		f->state |= SC_FD_BUSY << side;
		f->calls++;
		use->fd = f;
		use->side = side;
		use->life = f->life;
		use->seen = f->side[side].edges;
		use->ready = use->seen != f->side[side].drained;
		use->stream = (f->state & SC_FD_STREAM) != 0;
	}
	sc_lock_drop(&f->lock);
	return rc;
}

/* `drained`: the last system call transferred less than it was asked to. */
SC_INLINE void sc_fd_leave(struct sc_use *use, int drained)
{
	struct sc_fd *f = use->fd;

	sc_lock_take(&f->lock);
	f->state &= ~(uint32_t)(SC_FD_BUSY << use->side);
	if (drained && (f->state & (SC_FD_STREAM | SC_FD_ENDED)) == SC_FD_STREAM)
		f->side[use->side].drained = use->seen;
	f->calls--;
	if (SC_UNLIKELY(f->calls == 0 && (f->state & SC_FD_CLOSING)))
		sc_fd_end(f);
	else
		sc_lock_drop(&f->lock);
}

/* ---- any descriptor ---- */

/* A wait for events of a descriptor: the memory of who waits. */
struct sc_arm {
	struct sc_fd *fd;
	unsigned events; /* SC_EVENT_IN, PRI, OUT, RDHUP */
	uint32_t life;
};

/* The strand's wait is prepared: the events claim it.  0; -EBUSY: another waits for them;
 * -EPERM: it is always ready; -EBADF, -EMFILE, -ENFILE, -ENOMEM, -ENOSPC. */
int sc_fd_arm(int fd, unsigned events, struct sc_strand *strand, struct sc_arm *arm);
/* Nothing claims it any more.  The events that came, ERR and HUP among them; 0: none; -EBADF: the
 * descriptor was closed. */
int sc_fd_disarm(struct sc_arm *arm, struct sc_strand *strand);
/* Closes it; waits for it end with -EBADF. */
void sc_fd_shut(int fd);

/* ---- the event loop of another library ---- */

/* Watches its descriptor until it is ready once: then `ready` is called, by any thread, and adds
 * who is to be continued.  One loop, whose `ready` is always the same.  0, -EMFILE, -ENFILE,
 * -ENOMEM, -ENOSPC. */
typedef void sc_embedded_fn(struct sc_batch *woken);
int sc_poll_embed(int fd, sc_embedded_fn *ready);

/* ---- the poller ---- */

SC_INLINE int sc_polling(void)
{
	return SC_UNLIKELY(at_load_acq(&sc_sched.polling)); /* [poll.open] */
}

/* What became ready, and what follows from it, which may be left for later. */
struct sc_catch {
	unsigned count;
	unsigned left; /* there may be something that was not taken */
	struct sc_event event[SC_EVENTS];
};

/* Without waiting; true if somebody is ready now. */
int sc_poll_look(void);
/* By a busy worker: looks, if nobody did for a while. */
void sc_poll_glance(void);
/* Makes those ready who waited for it; true if there were any. */
int sc_poll_deliver(const struct sc_catch *caught);
/* All threads have ended: what is left open is closed. */
void sc_poll_end(void);

#endif
