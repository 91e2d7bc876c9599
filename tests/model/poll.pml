/* tests/model/poll.pml: one sleeper waits for descriptors too, and no event is slept through.
 *
 * A worker begins to watch a descriptor, which becomes ready at any time, while the other falls
 * asleep, at its futex or in the set; a thread that is none queues an item.  When nothing moves
 * any more, no item and no event may be left while all workers sleep: where one computes without
 * end events are left to the monitor.
 *
 * Mutants: OPEN_NO_WAKE FUTEX_INSTEAD_OF_BELL OPEN_AFTER_WAKE
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#define TIMERS
#define POLLER
#define START_ITEMS 1
#include "idle.pml"

byte opens = 1;
byte arrivals;

inline open() {
#ifdef M_OPEN_AFTER_WAKE
	wake_keeper();
#endif
	polling = true;
	arrivals = 1;
#if !defined(M_OPEN_NO_WAKE) && !defined(M_OPEN_AFTER_WAKE)
	wake_keeper()
#endif
}

inline work(me) {
	if
	:: d_step { opens > 0 -> opens-- }; open(); held--
	:: held--
	:: endless[me] = true; false
	fi
}

active [WORKERS] proctype worker() {
	LOCALS;
	bool got;

	do
	:: find(_pid); work(_pid)
	od
}

active proctype foreign() {
	LOCALS;

	held++;
	put(1)
}

active proctype kernel() {
	d_step { arrivals > 0 -> arrivals--; events++ }
}

active proctype quiet() {
	byte w, busy;

	timeout;
	do
	:: w == WORKERS -> break
	:: else -> busy = busy + endless[w]; w++
	od;
	assert(busy == WORKERS || items == 0);
	assert(busy > 0 || events == 0)
}
