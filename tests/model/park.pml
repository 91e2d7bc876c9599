/* tests/model/park.pml: an event, a cancel and a timeout agree on who ends a wait.
 *
 * A strand waits twice.  Its waiter is in a scope, under the scope's lock, and in a wheel,
 * under the wheel's; both are published while the word is PREPARING.  Each wait is ended by
 * exactly one party, the strand is continued once, after its context was saved, and nobody
 * claims a wait in which it found no waiter: a late loser must not end the next one.
 *
 * Mutants: COMMIT_STORES UNREGISTER_NO_LOCK NO_DISARM CLAIM_CONTINUES
 * Mutants: COMMITTER_GIVES_UP
 * Follows: runtime/sched/wait.h all but sc_wait_take_back
 * Follows: runtime/scope/cancel.c only sc_unregister claim_waiter sc_scope_lock sc_scope_unlock
 */
#define WAITS 2

mtype = { NONE, PREPARING, WAITING, EVENT, CANCEL, TIMEOUT };

mtype word = NONE;
byte wait;        /* how many the strand has begun */
bool waiter;      /* WAITER: the strand is to be found in the scope */
bool alarm;       /* it is in the wheel */
bool scope_lock, wheel_lock;
bool saved;       /* the context of the strand is complete */
byte queued;      /* times that it was made ready and has not gone on yet */
bool ended;

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }

inline ready() {
	d_step { queued++; assert(queued == 1 && saved) }
}

/* `number` is the wait in which the caller found the waiter. */
inline claim(outcome, number) {
	atomic { /* sc_card_try: cas_acqrel(wait) [wait.claim] */
		won = (word == PREPARING || word == WAITING);
		parked = (word == WAITING);
		if
		:: won ->
			assert(wait == number);
			word = outcome
		:: else
		fi
	};
#ifdef M_CLAIM_CONTINUES
	parked = won;
#endif
	if
	:: won && parked -> ready()
	:: else
	fi
}

active proctype strand() {
	bool parked, won;
	mtype outcome;

	do
	:: wait == WAITS -> break
	:: else ->
		d_step { word = PREPARING; wait++ };
		/* the switch to the next stack */
		saved = true;
		/* sc_scope_lock: or_acq(state) [scope.lock] */
		lock(scope_lock);
		waiter = true;
		/* sc_scope_unlock: and_rel(state) [scope.lock] */
		unlock(scope_lock);
		lock(wheel_lock);
		alarm = true;
		unlock(wheel_lock);
#ifdef M_COMMIT_STORES
		parked = (word == PREPARING);
		word = (parked -> WAITING : word);
#else
		d_step { /* sc_wait_commit: cas_acqrel(wait) [wait.claim] */
			parked = (word == PREPARING);
			word = (parked -> WAITING : word)
		};
#endif
		if
		:: parked
#ifndef M_COMMITTER_GIVES_UP
		:: !parked -> ready()
#endif
		fi;
		queued > 0;
		d_step { queued--; saved = false };
		outcome = word;
		assert(outcome == EVENT || outcome == CANCEL || outcome == TIMEOUT);
		if
#ifndef M_NO_DISARM
		:: outcome != TIMEOUT ->
			lock(wheel_lock);
			alarm = false;
			unlock(wheel_lock)
#endif
		:: else
		fi;
#ifndef M_UNREGISTER_NO_LOCK
		lock(scope_lock);
#endif
		waiter = false; /* sc_unregister */
#ifndef M_UNREGISTER_NO_LOCK
		unlock(scope_lock)
#endif
	od;
	ended = true
}

/* A walk reaches the scope, or the last task of a watched scope ends: under its lock. */
proctype walk(mtype outcome) {
	bool won, parked;
	byte found;

	do
	:: ended -> break
	:: waiter ->
		lock(scope_lock);
		if
		:: waiter ->
			found = wait;
			skip; /* claim_waiter: fence_sc [wait.again]; see linger.pml */
			claim(outcome, found);
			waiter = false /* claim_waiter */
		:: else
		fi;
		unlock(scope_lock)
	od
}

active proctype timer() {
	bool won, parked;
	byte found;

	do
	:: ended -> break
	:: alarm ->
		lock(wheel_lock);
		if
		:: alarm ->
			found = wait;
			alarm = false;
			claim(TIMEOUT, found)
		:: else
		fi;
		unlock(wheel_lock)
	od
}

init {
	run walk(CANCEL);
	run walk(EVENT)
}

active proctype quiet() {
	timeout;
	assert(ended)
}
