/* tests/model/monitor.pml: the monitor sleeps without end only while all workers do.
 *
 * Workers run items that end or go on for ever while the monitor decides how to wait, and an
 * interrupt comes.  When nothing moves any more the monitor must be ticking if a worker is
 * busy, and have delivered the interrupt; once all workers have left it must have ended.
 *
 * Mutants: NO_NUDGE MONITOR_LOOKS_FIRST MONITOR_READS_WORD_LATE SIGNAL_AFTER_NUDGE
 * Mutants: STOP_NO_NUDGE
 * Follows: runtime/sched/monitor.c only monitor on_signal
 */
#define WORKERS 1
#define MONITOR
#include "idle.pml"

bool ticking, ended;
byte signals, delivered;

inline work(me) {
	if
	:: held--
	:: held--; sched_stop()
	:: endless[me] = true; false
	fi
}

active [WORKERS] proctype worker() {
	LOCALS;
	bool got;

	do
	:: stop -> break
	:: else -> find(_pid);
		if
		:: got -> work(_pid)
		:: else
		fi
	od;
	gone++
}

active proctype foreign() {
	LOCALS;

	held++;
	put(1)
}

active proctype main_thread() {
	gone == WORKERS;
#ifndef M_STOP_NO_NUDGE
	nudge_monitor()
#endif
}

inline deliver() {
	delivered = signals
}

active proctype monitor_thread() {
	byte word;
	bool asleep;

	do
	:: true ->
#ifdef M_MONITOR_READS_WORD_LATE
		deliver();
#endif
		word = monitor; /* monitor: load_acq(monitor) [monitor.nudge] */
		if
		:: stop -> break
		:: else
		fi;
#ifndef M_MONITOR_READS_WORD_LATE
		deliver();
#endif
#ifdef M_MONITOR_LOOKS_FIRST
		asleep = (sleepers(idle) == WORKERS);
		monitor_asleep = true;
#else
		monitor_asleep = true;
		/* monitor: fence_sc [monitor.nudge] */
		asleep = (sleepers(idle) == WORKERS);
#endif
		if
		:: asleep ->
			/* os.wait without a timeout */
			d_step { monitor_blocked = (monitor == word) };
			!monitor_blocked;
			monitor_asleep = false
		:: else ->
			monitor_asleep = false;
			/* os.wait with a timeout, then a tick: it comes round whatever happens */
			ticking = true;
			monitor != word;
			ticking = false
		fi
	od;
	deliver();
	ended = true
}

active proctype handler() {
#ifdef M_SIGNAL_AFTER_NUDGE
	nudge_monitor();
#endif
	signals++; /* on_signal: cas_rlx(signals) [monitor.nudge] */
#ifndef M_SIGNAL_AFTER_NUDGE
	nudge_monitor()
#endif
}

active proctype quiet() {
	byte w, busy;

	timeout;
	do
	:: w == WORKERS -> break
	:: else -> busy = busy + endless[w]; w++
	od;
	assert(busy == 0 || ended || ticking);
	assert(delivered == signals || ticking || ended);
	assert(!stop || busy > 0 || ended)
}
