/* tests/model/wake.pml: work that is queued while workers fall asleep is found by one of them.
 *
 * Workers run items that queue another and then end or go on for ever; a thread that is no
 * worker queues two.  When nothing moves any more no item may be left while a worker sleeps
 * that could run it.
 *
 * Mutants: LOOK_BEFORE_ANNOUNCING NO_NOTIFY NOTIFY_BEFORE_PUT NO_CHAIN NO_FUTEX_WAKE
 * Mutants: FUTEX_BEFORE_CLAIM WAKE_BEFORE_PINNED
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#include "idle.pml"

byte spawns = 1;

inline work(me) {
	do
	:: d_step { spawns > 0 -> spawns--; held++ }; put(1)
	:: d_step { spawns > 0 -> spawns--; held++ }; put_pinned((me + 1) % WORKERS)
	:: held--; break
	:: endless[me] = true; false
	od
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
	put(1);
	held++;
	put(1)
}

active proctype quiet() {
	byte w;

	timeout;
	do
	:: w == WORKERS -> break
	:: else ->
		assert(endless[w] || (items == 0 && pinned[w] == 0));
		w++
	od
}
