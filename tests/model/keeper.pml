/* tests/model/keeper.pml: one sleeper watches the clock, and no alarm is slept through.
 *
 * Two alarms are armed, by a worker and by a thread that is none, in any order against workers
 * that fall asleep and a clock that goes on.  When nothing moves any more and the time of all
 * alarms has come, no item may be left while a worker sleeps, and no alarm in a wheel.  Except:
 * where a worker computes without end, an alarm that came while nobody watched the clock is
 * left to the monitor, which looks every 10 ms as long as somebody is awake.
 *
 * Mutants: ARM_NO_WAKE KEEPER_NO_SECOND_LOOK KEEPER_NO_SUCCESSOR
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#define TIMERS
#define START_ITEMS 1
#include "idle.pml"

byte arms = 1;

inline work(me) {
	if
	:: d_step { arms > 0 -> arms-- }; arm(1)
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
	arm(2)
}

active proctype clock() {
	now = 1;
	now = 2
}

active proctype quiet() {
	byte w, busy;

	timeout;
	do
	:: w == WORKERS -> break
	:: else -> busy = busy + endless[w]; w++
	od;
	assert(busy == WORKERS || items == 0);
	assert(busy == WORKERS || next == NEVER || (busy > 0 && unkept))
}
