/* runtime/scope/signal.c: signals as streams: rule I4.
 *
 * A handler does no more than count: `arrived` of its signal, in which OPEN says that there is
 * a stream.  The monitor, which it nudges, wakes the task that waits.  A handler that was
 * entered before the end of a stream and goes on after it finds OPEN gone and leaves the signal
 * to the old disposition.
 *
 * Where the program itself blocks the signal in all of its threads, somebody has to let it in:
 * the monitor does, from the moment that the handler is installed, and shuts it out again before
 * the handler goes.
 *
 * Memory order
 *   [signal.mask] store_rel(let_in, 0) of the monitor after it blocked the signal -> load_acq of
 *                 who closes the stream and then restores the disposition
 */
#include "scope/tree.h"
#include <errno.h>
#include <scope_signal.h>
#include <signal.h>

enum { OPEN = 1 << 16 };

struct scope_signal {
	int signal;              /* const */
	int closed;              /* lock: who waits frees it */
	/* lock: from before its park, when it has looked, until it is back.  So what comes
	 * later is a call of the monitor that finds it, wherever it is on its way. */
	struct sc_strand *waiter;
};

static struct sc_lock lock; /* of all streams: they are few and seldom used */
static struct scope_signal *streams[SC_OS_SIGNALS]; /* lock */
static SC_WORD(uint32_t) arrived[SC_OS_SIGNALS]; /* OPEN + signals not taken, fewer than OPEN */
/* The monitor may have it unblocked: lock: set, by the monitor, which alone clears it. */
static SC_WORD(uint32_t) let_in[SC_OS_SIGNALS];

/* ---- the receiving side ------------------------------------------------------------------- */

static void call_monitor(void)
{
	at_add_rlx(&sc_sched.arrivals, 1);
	sc_monitor_nudge();
}

/* Signal context, any thread.  False if there is no stream any more. */
static int on_signal(int signal)
{
	uint32_t seen = at_load_rlx(&arrived[signal]);

	do {
		if (!(seen & OPEN))
			return 0;
	} while (!at_cas_rlx(&arrived[signal], &seen, seen == 2u * OPEN - 1 ? seen : seen + 1));
	call_monitor();
	return 1;
}

static int take_one(int signal)
{
	uint32_t seen = at_load_rlx(&arrived[signal]);

	while (seen & (OPEN - 1))
		if (at_cas_rlx(&arrived[signal], &seen, seen - 1))
			return 1;
	return 0;
}

/* A waiter that has something now: to be continued by the caller, or NULL. */
static struct sc_strand *claim(int signal)
{
	struct sc_strand *woken = NULL;

	sc_lock_take(&lock);
	if (streams[signal] && streams[signal]->waiter &&
	    (at_load_rlx(&arrived[signal]) & (OPEN - 1)) &&
	    sc_wait_claim(streams[signal]->waiter, SC_WAIT_EVENT))
		woken = streams[signal]->waiter;
	sc_lock_drop(&lock);
	return woken;
}

/* On the monitor's thread, whose mask this is.  The run's own signals are let in anyway. */
static void let_signal_in(int signal)
{
	uint32_t wanted, was;

	if ((signal == SIGINT || signal == SIGTERM) && (sc_sched.flags & SC_SCHED_SIGNALS))
		return;
	/* Said before it is done, under the lock: who closes the stream then waits for the end
	 * of it.  The other way round it is done before it is said. */
	sc_lock_take(&lock);
	wanted = streams[signal] != NULL;
	was = at_load_rlx(&let_in[signal]);
	if (wanted)
		at_store_rlx(&let_in[signal], 1);
	sc_lock_drop(&lock);
	if (was == wanted)
		return;
	sc_os_signal_block(signal, !wanted);
	if (!wanted)
		at_store_rel(&let_in[signal], 0); /* [signal.mask] */
}

void sc_signals_arrived(void)
{
	int signal;

	for (signal = 1; signal < SC_OS_SIGNALS; signal++) {
		struct sc_strand *woken = claim(signal);

		if (woken)
			sc_ready(woken);
		let_signal_in(signal);
	}
}

/* ---- opening and closing ------------------------------------------------------------------ */

int scope_signal_open(int signal, struct scope_signal **out_signal)
{
	struct scope_signal *stream;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_signal_open");
	if (!out_signal || signal <= 0 || signal >= SC_OS_SIGNALS)
		return -EINVAL;
	stream = sc_os.alloc(sizeof *stream);
	if (!stream)
		return -ENOMEM;
	*stream = (struct scope_signal){.signal = signal};
	sc_lock_take(&lock);
	rc = at_load_rlx(&arrived[signal]) & OPEN ? -EBUSY : 0;
	if (rc == 0) {
		at_store_rlx(&arrived[signal], OPEN);
		rc = sc_os_signal_take(signal, on_signal);
		if (rc < 0)
			at_store_rlx(&arrived[signal], 0);
	}
	if (rc == 0) {
		streams[signal] = stream;
		sc_outside(SC_DOOR, 1);
	}
	sc_lock_drop(&lock);
	if (rc < 0) {
		sc_os.free(stream);
		return rc;
	}
	call_monitor();
	*out_signal = stream;
	return 0;
}

/* A task that has waited at it frees the stream, when it is back. */
static void close_stream(struct scope_signal *stream)
{
	struct sc_strand *waiter, *woken = NULL;
	int signal = stream->signal;
	unsigned turn = 0;

	sc_lock_take(&lock);
	streams[signal] = NULL;
	stream->closed = 1;
	waiter = stream->waiter;
	if (waiter && sc_wait_claim(waiter, SC_WAIT_EVENT))
		woken = waiter;
	sc_lock_drop(&lock);
	if (woken)
		sc_ready(woken);
	if (!waiter)
		sc_os.free(stream);
	call_monitor();
	while (at_load_acq(&let_in[signal])) /* [signal.mask] */
		sc_relax(turn++);
	sc_os_signal_give_back(signal);
	at_store_rlx(&arrived[signal], 0);
	sc_outside(SC_DOOR, -1);
}

void scope_signal_close(struct scope_signal *stream)
{
	if (sc_self()->cur)
		close_stream(stream);
}

void sc_signals_end(void)
{
	int signal;

	for (signal = 1; signal < SC_OS_SIGNALS; signal++)
		if (streams[signal])
			close_stream(streams[signal]);
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Whether to park: 1, else the result. */
static int look(struct scope_signal *stream, struct sc_strand *strand)
{
	int rc = 1;

	sc_lock_take(&lock);
	if (stream->waiter)
		rc = -EBUSY;
	else if (take_one(stream->signal))
		rc = 0;
	else
		stream->waiter = strand;
	sc_lock_drop(&lock);
	return rc;
}

static int next(struct scope_signal *stream)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place;
	int rc, closed;

	rc = sc_check(worker);
	if (rc < 0)
		return rc;
	worker = sc_self();
	place = sc_untag(worker->cur);
	sc_wait_begin(worker, SC_NEVER);
	rc = look(stream, worker->strand);
	if (rc <= 0)
		return rc;
	worker->strand->object = (const void *)(uintptr_t)stream->signal;
	sc_park(worker, SC_IN_SIGNAL, sc_wait_post);
	rc = sc_wait_end(place);
	sc_lock_take(&lock);
	stream->waiter = NULL;
	closed = stream->closed;
	if (rc == 0 && !closed)
		take_one(stream->signal);
	sc_lock_drop(&lock);
	if (!closed)
		return rc;
	sc_os.free(stream);
	return rc == 0 ? -EBADF : rc;
}

int scope_signal_next(struct scope_signal *stream)
{
	struct sc_worker *worker = sc_self();
	int rc, began;

	if (worker->cur == 0)
		return sc_not_connected("scope_signal_next");
	began = sc_region_begin(worker) == 0; /* else it is in many */
	rc = next(stream);
	if (began)
		sc_region_end(sc_self());
	return rc;
}
