/* tests/model/decide.pml: the last sleeper moves the virtual clock or names a deadlock, in time.
 *
 * Two tasks sleep on the virtual clock, park for good, wake each other, or end; the monitor
 * looks for work that was left and delivers an interrupt, which cancels who is parked.  The
 * run ends when all tasks have: if nothing moves before, somebody should have decided.  The
 * steps assert that nothing could run when the clock jumps or a deadlock is named.
 *
 * Mutants: DECIDE_BY_COUNT WAKER_TAKES_SLEEPER_OFF NO_SECOND_CHECK NO_LAST_LOCK
 * Mutants: STOP_NO_WAKE WAKE_BEFORE_STOP
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#define VIRTUAL
#define DETECT
#define TIMERS
#define TASKS 2
#define START_ITEMS TASKS
#define DEADLOCK() assert(parked > 0); cancel_parked()
#include "idle.pml"

byte live = TASKS;
byte parked;     /* for good, unless cancelled */
byte turns = 2;  /* times that tasks park */
bool cancelled;

/* Those who are parked are woken, and nobody parks any more. */
inline cancel_parked() {
	d_step { cancelled = true; fired = parked; held = held + fired; parked = 0 };
	if
	:: fired > 0 -> put(fired); fired = 0
	:: else
	fi
}

inline work_here(me) {
	if
	:: d_step { turns > 0 && !cancelled -> turns-- }; arm(1)
	:: d_step { turns > 0 && !cancelled -> turns--; parked++; held-- }
	:: d_step { turns > 0 && parked > 0 -> turns--; parked--; held++ }; put(1); put(1)
	:: d_step { held--; live--; got = (live == 0) };
		if
		:: got -> sched_stop()
		:: else
		fi
	fi
}

/* A cancelled task belongs to worker 0, where it came from by a batch that anyone may take. */
inline work(me) {
	if
	:: cancelled && me != 0 -> put_pinned(0)
	:: !cancelled || me == 0 -> runs++; work_here(me)
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

active proctype monitor_thread() {
	LOCALS;

	if
	:: items > 0 -> notify()
	:: true ->
#ifndef M_NO_LAST_LOCK
		take_last_lock();
#endif
		cancel_parked();
#ifndef M_NO_LAST_LOCK
		drop_last_lock()
#endif
	:: true
	fi
}

active proctype quiet() {
	timeout;
	assert(gone == WORKERS)
}
