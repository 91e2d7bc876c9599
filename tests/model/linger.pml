/* tests/model/linger.pml: a waiter that stays registered between two waits at one place is found
 * by a cancel in the second, whenever it comes.
 *
 * A strand waits at its place again and again.  A giver ends some of its waits; then nobody does
 * but the cancel, which must not be missed.  Between two waits the cancel may find the waiter and
 * no wait; and the place may be shielded and cancelled again, which takes the waiter off before
 * the last cancel comes.
 *
 * Mutants: NO_LOOK NO_LOOK_PREPARED NO_REGISTER KEEPS_WAITING
 * Follows: runtime/scope/tree.h only sc_commit_again sc_register_again
 * Follows: runtime/sched/wait.h only sc_wait_prepare
 * Follows: runtime/scope/cancel.c only sc_commit_slowly
 */
#define GIFTS 2

mtype = { NONE, PREPARING, WAITING, EVENT, CANCEL };

mtype word = NONE;
bool waiter = true; /* WAITER: registered, from the wait before */
bool effective;     /* the place is cancelled; one word with `waiter` */
bool scope_lock;
bool saved;         /* the context of the strand is complete */
byte queued;        /* times that it was made ready and has not gone on yet */
bool ended;

inline lock(l) { atomic { !l -> l = true } }
inline unlock(l) { l = false }

inline ready() {
	d_step { queued++; assert(queued == 1 && saved) }
}

inline claim(outcome) {
	atomic {
		parked = (word == WAITING);
		if
		:: word == PREPARING || word == WAITING -> word = outcome
		:: else -> parked = false
		fi
	}
	if
	:: parked -> ready()
	:: else
	fi
}

/* What the next stack does; the strand is parked, or continues by `ready`.  Either the wait is
 * committed at once, or prepared first, so that it may end before. */
inline publish_prepared() {
	word = PREPARING; /* sc_wait_prepare: store_rlx(wait) [wait.again] */
	skip; /* sc_register_again: fence_sc [wait.again] */
	atomic { /* sc_register_again: load_rlx(state) [wait.again] */
		seen = waiter && !effective
	}
#ifdef M_NO_LOOK_PREPARED
	seen = true;
#endif
	if
	:: seen
	:: else ->
		lock(scope_lock);
		if
		:: effective ->
			d_step {
				if
				:: word == PREPARING -> word = CANCEL
				:: else
				fi
			}
		:: else -> waiter = true
		fi;
		unlock(scope_lock)
	fi;
	atomic {
		parked = (word == PREPARING);
		if
		:: parked -> word = WAITING
		:: else
		fi
	}
	if
	:: parked
	:: else -> ready()
	fi
}

inline publish() {
	word = WAITING; /* sc_commit_again: store_rel(wait) [wait.again] */
	/* sc_commit_again: store_rel(wait) [wait.claim] */
	skip; /* sc_commit_again: fence_sc [wait.again] */
	atomic { /* sc_commit_again: load_rlx(state) [wait.again] */
		seen = waiter && !effective
	}
#ifdef M_NO_LOOK
	seen = true;
#endif
	if
	:: seen
	:: else ->
		atomic { /* sc_commit_slowly: cas_rlx(wait) [wait.claim] */
			back = (word == WAITING);
			if
			:: back -> word = PREPARING
			:: else
			fi
		}
#ifdef M_KEEPS_WAITING
		word = WAITING;
		back = false;
#endif
		if
		:: back ->
			lock(scope_lock);
#ifndef M_NO_REGISTER
			if
			:: effective -> word = CANCEL
			:: else -> waiter = true
			fi;
#endif
			unlock(scope_lock);
			atomic {
				parked = (word == PREPARING);
				if
				:: parked -> word = WAITING
				:: else
				fi
			}
			if
			:: parked
			:: else -> ready()
			fi
		:: else
		fi
	fi
}

active proctype strand() {
	bool seen, back, parked;

	do
	:: word == CANCEL -> break
	:: word != CANCEL ->
		saved = true;
		if
		:: publish()
		:: publish_prepared()
		fi;
		queued > 0;
		d_step { assert(queued == 1); queued = 0; saved = false }
	od;
	ended = true
}

active proctype giver() {
	byte gifts;
	bool parked;

	do
	:: gifts < GIFTS && word == WAITING ->
		gifts++;
		claim(EVENT)
	:: gifts == GIFTS || ended -> break
	:: word == NONE || word == EVENT || word == CANCEL || word == PREPARING ->
		if
		:: ended -> break
		:: gifts++
		fi
	od
}

/* lock: the scope.  A walk makes the place effective. */
inline walk() {
	effective = true;
	if
	:: waiter ->
		claim(CANCEL);
		waiter = false
	:: else
	fi
}

active proctype canceller() {
	bool parked;

	if
	:: lock(scope_lock); walk(); unlock(scope_lock);
	   lock(scope_lock); effective = false; unlock(scope_lock) /* a shield */
	:: skip
	fi;
	lock(scope_lock);
	walk();
	unlock(scope_lock)
}

active proctype quiet() {
	timeout;
	assert(ended)
}
