/* runtime/sched/monitor.c: the thread that is no worker: ticks, late timers, signals.
 *
 * While a worker is busy it looks every 10 ms: it calls for the attention of the busy ones,
 * so that a long task gives way and its deadlines are seen, fires timers that nobody polls,
 * and wakes a sleeper if work is left.  When all are asleep it sleeps too.
 */
#include "sched/poll.h"
#include <signal.h>

#define TICK_NS INT64_C(10000000)
/* Turns of a tenth of that, after one in which it had to look at descriptors instead of others:
 * tasks that compute once will again. */
#define SHORT_TURNS 32
/* About 1 ms: who asked the kernel longer ago than that may compute since then.  A server that is
 * busy asks before, after 61 picks of a few microseconds each. */
#define RECENT_TICKS 2500000u

void sc_monitor_nudge(void)
{
	at_add_rel(&sc_sched.monitor, 1); /* [monitor.nudge] */
	sc_os.wake(&sc_sched.monitor, 1);
}

void sc_sched_watch(int change)
{
	at_add_rlx(&sc_sched.watchers, (uint32_t)change);
	if (change > 0)
		sc_monitor_nudge();
}

static int all_asleep(void)
{
	return sc_sleepers(at_load_rlx(&sc_sched.idle)) == sc_sched.count;
}

static void tick_worker(struct sc_worker *worker)
{
	/* A seeded schedule depends on nothing but the seed. */
	if (at_load_rlx(&worker->parker) != SC_AWAKE || sc_seeded())
		return;
	at_store_rlx(&worker->tick, 1);
	at_fence_sc(); /* [attend.dekker] */
	sc_poke(worker);
	/* Work that its owner keeps while others sleep. */
	if (sc_sleepers(at_load_rlx(&sc_sched.idle)) &&
	    at_load_acq(&worker->known) && /* [thread.known] */
	    at_load_rlx(&worker->bottom.top) > at_load_rlx(&worker->bottom.split))
		sc_os.thread_signal(worker->thread);
}

static void tick(void)
{
	int64_t now = sc_now();
	unsigned i;

	at_store_rlx(&sc_sched.recent, now);
	for (i = 0; i < sc_sched.count; i++)
		tick_worker(&sc_sched.workers[i]);
	/* Nobody may decide that all is still while a strand is between wheel and queue. */
	sc_lock_take(&sc_sched.last_lock);
	if (!(sc_sched.flags & SC_SCHED_VIRTUAL))
		for (i = 0; i < sc_sched.count; i++)
			sc_timers_poll(&sc_sched.workers[i].timers, now);
	sc_lock_drop(&sc_sched.last_lock);
	for (i = 0; i < sc_sched.count; i++)
		if (sc_any_work(&sc_sched.workers[i])) {
			sc_notify();
			break;
		}
}

/* All compute: nobody asked the kernel about descriptors since the monitor looked last, or not
 * just now.  It does, and calls for the attention of the workers if somebody became ready;
 * *polled is when. */
static int look_instead(uint64_t *polled)
{
	uint64_t last = at_load_rlx(&sc_sched.polled);
	unsigned i;
	int found;

	if (!sc_polling() || at_load_rlx(&sc_sched.timekeeper) ||
	    (last != *polled && sc_ticks() - last < RECENT_TICKS)) {
		*polled = last;
		return 0;
	}
	sc_lock_take(&sc_sched.last_lock);
	found = sc_poll_look();
	sc_lock_drop(&sc_sched.last_lock);
	for (i = 0; found && i < sc_sched.count; i++)
		tick_worker(&sc_sched.workers[i]);
	*polled = at_load_rlx(&sc_sched.polled);
	return 1;
}

uint64_t sc_progress(void)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < sc_sched.count; i++)
		sum += at_load_rlx(&sc_sched.workers[i].progress);
	return sum;
}

/* After a hard cancel somebody has to move within kill_after. */
static void watch_progress(uint64_t *last)
{
	uint32_t signal = at_load_rlx(&sc_sched.hard_signal);
	uint64_t now_at;
	int64_t now;

	if (!signal)
		return;
	now_at = sc_progress();
	now = sc_os.now();
	/* Only time in which the monitor itself ran counts: the process may have been stopped. */
	if (sc_sched.looked_at == 0 || now_at != *last)
		sc_sched.stuck_for = 0;
	else if (now - sc_sched.looked_at < 2 * TICK_NS)
		sc_sched.stuck_for += now - sc_sched.looked_at;
	else
		sc_sched.stuck_for += 2 * TICK_NS;
	*last = now_at;
	sc_sched.looked_at = now;
	if (sc_sched.stuck_for > sc_sched.kill_after)
		sc_hooks.stuck((int)signal);
}

static void deliver(uint32_t *seen)
{
	uint32_t signals = at_load_rlx(&sc_sched.signals); /* after the nudge */

	while (*seen >> 8 != signals >> 8) {
		*seen += 1 << 8;
		sc_lock_take(&sc_sched.last_lock);
		sc_hooks.signal((int)(signals & SC_SIGNAL_LAST), *seen >> 8);
		sc_lock_drop(&sc_sched.last_lock);
	}
}

static void deliver_arrivals(uint32_t *seen)
{
	uint32_t arrivals = at_load_rlx(&sc_sched.arrivals);

	if (*seen == arrivals)
		return;
	*seen = arrivals;
	sc_hooks.arrived();
}

/* Signals that come during a dump ask for one more. */
static void dump(uint32_t *seen)
{
	uint32_t asked = at_load_rlx(&sc_sched.dumps);

	if (*seen != asked)
		sc_hooks.dump();
	*seen = asked;
}

/* Signal context, any thread.  False if the run is over. */
static int on_signal(int signal)
{
	uint32_t seen = at_load_rlx(&sc_sched.signals);

	if (signal == SIGQUIT) {
		at_add_rlx(&sc_sched.dumps, 1);
		sc_monitor_nudge();
		return 1;
	}
	do {
		if (seen & SC_SIGNALS_OVER)
			return 0;
	} while (!at_cas_rlx(&sc_sched.signals, &seen, /* [monitor.nudge] */
			    (((seen >> 8) + 1) << 8) | (uint32_t)signal));
	sc_monitor_nudge();
	return 1;
}

/* A handler may have been entered on a thread of the program's own: either it is counted, or it
 * finds the run over and the signal is left to the old disposition. */
static void stop_listening(void)
{
	sc_os_interrupt_uninstall();
	at_or_rlx(&sc_sched.signals, SC_SIGNALS_OVER);
}

static void monitor(void *unused)
{
	uint64_t progress = 0, polled = 0;
	uint32_t seen = 0, arrivals = 0, dumped = 0;
	int64_t next = 0; /* tick, while it looks for others in between */
	int alone = 0;    /* so many turns more */

	(void)unused;
	if (sc_sched.flags & SC_SCHED_SIGNALS)
		sc_os_interrupt_block(0);
	for (;;) {
		/* Read first: what a nudge tells of is looked at after it. */
		uint32_t word = at_load_acq(&sc_sched.monitor); /* [monitor.nudge] */

		if (at_load_rlx(&sc_sched.stop))
			break;
		deliver(&seen);
		deliver_arrivals(&arrivals);
		dump(&dumped);
		watch_progress(&progress);
		if (at_load_rlx(&sc_sched.watchers))
			sc_hooks.look();
		at_store_rlx(&sc_sched.monitor_asleep, 1);
		at_fence_sc(); /* [monitor.nudge] */
		if (all_asleep() && !at_load_rlx(&sc_sched.hard_signal) &&
		    !at_load_rlx(&sc_sched.watchers)) {
			sc_os.wait(&sc_sched.monitor, word, SC_NEVER);
			at_store_rlx(&sc_sched.monitor_asleep, 0);
		} else {
			at_store_rlx(&sc_sched.monitor_asleep, 0);
			sc_os.wait(&sc_sched.monitor, word,
				   sc_os.now() + (alone ? TICK_NS / 10 : TICK_NS));
			if (look_instead(&polled))
				alone = SHORT_TURNS;
			else if (alone)
				alone--;
			if (alone && sc_os.now() < next)
				continue;
			tick();
			next = alone ? sc_os.now() + TICK_NS : 0;
		}
	}
	/* What came until now still counts. */
	deliver(&seen);
}

int sc_monitor_start(void)
{
	int rc = 0;

	if (sc_sched.flags & SC_SCHED_SIGNALS)
		rc = sc_os_interrupt_install(on_signal);
	if (rc == 0 && (sc_sched.flags & SC_SCHED_SIGNALS))
		sc_os_interrupt_block(1); /* this thread is a worker: the monitor gets them */
	if (rc == 0)
		rc = sc_os.thread_start(&sc_sched.monitor_thread, monitor, NULL);
	if (rc < 0 && (sc_sched.flags & SC_SCHED_SIGNALS))
		stop_listening();
	return rc;
}

void sc_monitor_stop(void)
{
	sc_monitor_nudge();
	sc_os.thread_join(&sc_sched.monitor_thread);
	if (sc_sched.flags & SC_SCHED_SIGNALS)
		stop_listening();
}
