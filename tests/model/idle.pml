/* tests/model/idle.pml: how workers fall asleep and wake each other, step by step.
 *
 * Not a model by itself: a model includes it and adds what workers do and what must hold.
 * A step that stands for an access with a tag names it and the function that it is in:
 * "wake: cas_acq(parker) [idle.dekker]"; tests/lint/steps.sh compares them with the source.
 * All steps are interleaved, in the order of the program: an order that hardware could change
 * without a fence shows as a swap.  M_... drops or swaps a step; a model has to notice it.
 *
 * A queue is a number of items; `items` are those that any worker may take.
 *
 * Follows: runtime/sched/idle.c all but sc_poke_all sc_attended
 * Follows: runtime/sched/loop.c only find end_search
 * Follows: runtime/sched/timers.c all
 * Follows: runtime/sched/start.c only sc_sched_stop
 * Follows: runtime/sched/monitor.c only sc_monitor_nudge
 */

#define SEARCHING 1
#define SLEEPING 16 /* the halves of a smaller word */
#define sleepers(word) (((word) + SLEEPING / 2) / SLEEPING)
#define searchers(word) ((word) - SLEEPING * sleepers(word))

#define NEVER 9
#define TIMES 3 /* alarms are due at 1 .. TIMES - 1 */

#ifndef START_ITEMS
#define START_ITEMS 0
#endif

mtype = { AWAKE, ASLEEP, POLLING, NOTIFIED };

short idle;
mtype parker[WORKERS] = AWAKE;
bool blocked[WORKERS]; /* inside os.wait */
byte until[WORKERS];   /* what it sleeps until */
bool stop;
byte timekeeper;       /* index + 1 */
byte armed_until = NEVER;
byte now;
byte due[TIMES];       /* alarms in the wheels */
byte next = NEVER;     /* the earliest of them */
bool last_lock;
bool monitor_asleep;
byte monitor;
bool monitor_blocked;   /* in an os.wait without a timeout */

byte items = START_ITEMS; /* for any worker */
byte pinned[WORKERS];  /* for this one only */
byte held;             /* taken out of a queue or a wheel, not yet ended or put in again */
byte runs;             /* items that were taken to be run so far */
byte gone;             /* workers that left */
bool endless[WORKERS]; /* in a task that never ends */
bool unkept;           /* nobody watched the clock when there was an alarm */
bool polling;          /* descriptors are watched */
bool bell;             /* rung for who waits for them */
byte events;           /* that came and that nobody took */

#define any_work(me) (items > 0 || pinned[me] > 0)

/* What the steps below need in a process. */
#define LOCALS bool woke, rings, mine, again, still; byte i, keeper, fired, nearest, runs_before; short seen

/* ---- waking -------------------------------------------------------------------------------- */

/* The load before the CAS is left out: it fails exactly when a CAS in its place would. */
inline wake(w) {
#ifdef M_FUTEX_BEFORE_CLAIM
	blocked[w] = false;
#endif
	/* wake: cas_acq(parker) [poll.bell] */
	d_step { /* wake: cas_acq(parker) [idle.dekker] */
		rings = (parker[w] == POLLING);
		woke = (parker[w] == ASLEEP || rings);
		if
		:: woke -> parker[w] = NOTIFIED
		:: else
		fi
	};
	if
	:: woke ->
		idle = idle + SEARCHING; /* wake: add_rlx(idle) [idle.dekker] */
#ifdef M_WAKER_TAKES_SLEEPER_OFF
		idle = idle - SLEEPING;
#endif
#if !defined(M_FUTEX_BEFORE_CLAIM) && !defined(M_NO_FUTEX_WAKE)
		if
#ifndef M_FUTEX_INSTEAD_OF_BELL
		:: rings -> bell = true; rings = false
#endif
		:: else -> blocked[w] = false
		fi
#endif
	:: else
	fi
}

inline wake_keeper() {
	/* sc_wake_keeper: fence_sc [poll.open] */
	keeper = timekeeper;
	if
	:: keeper > 0 -> wake(keeper - 1)
	:: else
	fi;
	keeper = 0;
	woke = false
}

/* The keeper of the time last. */
inline wake_one() {
	keeper = timekeeper;
	woke = false;
	i = 0;
	do
	:: i == WORKERS || woke -> break
	:: i < WORKERS && !woke ->
		if
		:: i + 1 != keeper -> wake(i)
		:: else
		fi;
		i++
	od;
	if
	:: keeper > 0 && !woke -> wake(keeper - 1)
	:: else
	fi;
	i = 0;
	keeper = 0;
	woke = false
}

inline notify() {
	/* sc_notify: fence_sc [idle.dekker] */
	seen = idle;
	if
	:: sleepers(seen) > 0 && searchers(seen) <= 0 -> wake_one()
	:: else
	fi;
	seen = 0
}

/* Queues n items that the caller held. */
inline put(n) {
#ifdef M_NOTIFY_BEFORE_PUT
	notify();
#endif
	d_step { items = items + n; held = held - n };
#if !defined(M_NOTIFY_BEFORE_PUT) && !defined(M_NO_NOTIFY)
	notify()
#endif
}

inline wake_worker(w) {
	/* sc_wake_worker: fence_sc [idle.dekker] */
	wake(w);
	woke = false
}

inline put_pinned(w) {
#ifdef M_WAKE_BEFORE_PINNED
	wake_worker(w);
#endif
	d_step { pinned[w]++; held-- };
#ifndef M_WAKE_BEFORE_PINNED
	wake_worker(w)
#endif
}

inline sched_stop() {
#ifdef M_WAKE_BEFORE_STOP
	do
	:: i < WORKERS -> wake_worker(i); i++
	:: else -> break
	od;
#endif
	stop = true; /* sc_sched_stop: store_rlx(stop) [idle.dekker] */
#if !defined(M_WAKE_BEFORE_STOP) && !defined(M_STOP_NO_WAKE)
	do
	:: i < WORKERS -> wake_worker(i); i++
	:: else -> break
	od;
#endif
	i = 0
}

/* ---- time ---------------------------------------------------------------------------------- */

#define note_next() next = (due[1] -> 1 : (due[2] -> 2 : NEVER))

/* The wheel's lock makes the first step one. */
inline arm(when) {
	d_step { due[when]++; held--; note_next() };
	/* sc_alarm_arm: fence_sc [timer.dekker] */
#ifndef M_ARM_NO_WAKE
	if
	:: when < armed_until ->
		keeper = timekeeper;
		if
		:: keeper > 0 -> wake_worker(keeper - 1)
		:: else -> unkept = true
		fi;
		keeper = 0
	:: else
	fi
#endif
}

/* Takes out what is due and queues the strands that waited for it. */
inline poll() {
	d_step {
		fired = (now >= 1 -> due[1] : 0) + (now >= 2 -> due[2] : 0);
		held = held + fired;
		due[1] = (now >= 1 -> 0 : due[1]);
		due[2] = (now >= 2 -> 0 : due[2]);
		note_next()
	};
	if
	:: fired > 0 -> put(fired); fired = 0
	:: else
	fi
}

inline keep_time(me) {
	until[me] = NEVER;
#if defined(TIMERS) && !defined(VIRTUAL)
	/* Nothing but the fence below keeps the first look behind the CAS. */
	until[me] = next;
	d_step { /* keep_time: cas_acq(timekeeper) [timer.keeper] */
		mine = (timekeeper == 0);
		if
		:: mine -> timekeeper = me + 1
		:: else -> until[me] = NEVER
		fi
	};
	do
	:: !mine -> break
	:: mine ->
		armed_until = until[me];
		/* keep_time: fence_sc [timer.dekker], keep_time: fence_sc [poll.open] */
#ifndef M_KEEPER_NO_SECOND_LOOK
		if
		:: next < until[me] -> until[me] = next
		:: else -> mine = false
		fi
#else
		mine = false
#endif
	od
#endif
}

inline drop_time(me) {
#if defined(TIMERS) && !defined(VIRTUAL)
	if
	:: timekeeper == me + 1 ->
		armed_until = NEVER;
		timekeeper = 0; /* drop_time: store_rel(timekeeper) [timer.keeper] */
		/* drop_time: fence_sc [timer.dekker] */
		if
		:: next != NEVER ->
			if
			:: next <= now -> poll()
			:: else
			fi;
#ifndef M_KEEPER_NO_SUCCESSOR
			if
			:: sleepers(idle) > 0 && any_work(me) -> wake_one()
			:: else -> unkept = true
			fi
#endif
		:: else
		fi
	:: else
	fi
#else
	skip
#endif
}

/* ---- the decision -------------------------------------------------------------------------- */

inline check_asleep() {
	still = (sleepers(idle) == WORKERS); /* all_asleep: load_acq(idle) [idle.still] */
	i = 0;
	do
	:: i < WORKERS && still ->
#ifdef M_DECIDE_BY_COUNT
		still = true;
#else
		still = (parker[i] == ASLEEP || parker[i] == POLLING);
#endif
		i++
	:: else -> break
	od;
	i = 0;
	still = still && !stop
}

/* Whether nothing ran since the caller took the lock: what it saw belongs together. */
inline check_still() {
	/* still: fence_sc [idle.still] */
#ifdef M_NO_SECOND_CHECK
	still = true
#else
	check_asleep();
	still = still && (runs == runs_before)
#endif
}

#ifndef DEADLOCK
#define DEADLOCK() skip
#endif

/* lock: last_lock.  `again` is left false if the caller shall sleep.  Every worker has a
 * spare stack here, so whatever is queued can run. */
inline decide(me) {
	nearest = next;
	do
	:: i < WORKERS && !again ->
		if
		:: i != me && pinned[i] > 0 -> wake(i); again = woke
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	woke = false;
	if
	:: again
	:: !again && any_work(me) -> wake(0); again = true
	:: !again && !any_work(me) ->
		check_still();
		if
		:: !still -> again = true
		:: still && nearest == NEVER ->
#ifdef DETECT
			assert(held == 0 && items == 0); /* all is still */
			DEADLOCK();
			again = true
#endif
		:: still && nearest != NEVER ->
#ifdef VIRTUAL
			assert(held == 0 && items == 0);
			now = nearest;
			poll();
			again = true
#endif
		fi
	fi;
	nearest = 0
}

inline take_last_lock() {
	atomic { !last_lock -> last_lock = true }
}

inline drop_last_lock() {
	last_lock = false
}

inline last_one(me) {
	again = false;
#if defined(VIRTUAL) || defined(DETECT)
	check_asleep();
	if
	:: still ->
		take_last_lock();
		runs_before = runs;
		/* last_one: fence_sc [idle.still] */
		check_asleep();
		if
		:: still -> decide(me)
		:: else
		fi;
		d_step { runs_before = 0; still = false };
		drop_last_lock()
	:: else
	fi
#endif
}

/* ---- sleeping ------------------------------------------------------------------------------ */

inline block(me) {
	do
	:: parker[me] != ASLEEP -> break
	:: parker[me] == ASLEEP ->
		if
		:: stop || until[me] <= now -> break
		:: else
		fi;
		/* os.wait: asleep only if the word is unchanged */
		d_step { blocked[me] = (parker[me] == ASLEEP) };
		!blocked[me] || until[me] <= now;
		blocked[me] = false
	od
}

/* Where the one with the timeout waits; it takes what came when it counts as awake again. */
inline block_polling(me) {
	/* block_polling: cas_rel(parker) [poll.bell] */
	d_step { /* block_polling: cas_rel(parker) [idle.dekker] */
		mine = (parker[me] == ASLEEP);
		if
		:: mine -> parker[me] = POLLING
		:: else
		fi
	};
	do
	:: !mine || parker[me] != POLLING || stop -> break
	:: else ->
		blocked[me] = true;
		bell || events > 0 || until[me] <= now || !blocked[me];
		d_step { blocked[me] = false; bell = false };
		if
		:: events > 0 || until[me] <= now -> break
		:: else
		fi
	od;
	mine = false
}

inline fall_asleep(me) {
	keep_time(me);
#ifdef POLLER
	if
	:: polling && timekeeper == me + 1 -> block_polling(me)
	:: else -> block(me)
	fi
#else
	block(me)
#endif
}

inline take_events() {
#ifdef POLLER
	d_step { fired = (polling -> events : 0); held = held + fired; events = events - fired };
	if
	:: fired > 0 -> put(fired); fired = 0
	:: else
	fi
#else
	skip
#endif
}

inline nudge_monitor() {
	monitor++; /* sc_monitor_nudge: add_rel(monitor) [monitor.nudge] */
	monitor_blocked = false
}

inline nudge() {
	/* sc_idle_sleep: fence_sc [idle.dekker], sc_idle_sleep: fence_sc [idle.still],
	 * sc_idle_sleep: fence_sc [monitor.nudge] */
#if defined(MONITOR) && !defined(M_NO_NUDGE)
	if
	:: monitor_asleep -> nudge_monitor()
	:: else
	fi
#else
	skip
#endif
}

/* The caller counts as searching, before and after. */
inline idle_sleep(me) {
#ifdef M_LOOK_BEFORE_ANNOUNCING
	again = any_work(me);
#endif
	parker[me] = ASLEEP;
	/* sc_idle_sleep: add_rel(idle) [idle.dekker], sc_idle_sleep: add_rel(idle) [idle.still] */
	idle = idle + SLEEPING - SEARCHING;
#ifndef M_LOOK_BEFORE_ANNOUNCING
	again = any_work(me);
#endif
	if
	:: !again ->
		last_one(me);
		if
		:: !again -> fall_asleep(me)
		:: else
		fi
	:: else
	fi;
	atomic { /* sc_idle_sleep: cas_rlx(parker) [idle.dekker] */
		mine = (parker[me] == ASLEEP || parker[me] == POLLING);
		if
		:: mine -> parker[me] = AWAKE
		:: else
		fi
	};
	if
	:: mine ->
		/* sc_idle_sleep: sub_rlx(idle) [idle.dekker] */
		idle = idle - (SLEEPING - SEARCHING)
	:: else ->
		parker[me] = AWAKE;
#ifndef M_WAKER_TAKES_SLEEPER_OFF
		idle = idle - SLEEPING /* sc_idle_sleep: sub_rlx(idle) [idle.dekker] */
#endif
	fi;
	d_step { again = false; mine = false; until[me] = 0 };
	nudge();
	drop_time(me);
	take_events()
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* An item that this worker may run, into its hands. */
inline take(me) {
	d_step {
		got = any_work(me);
		if
		:: pinned[me] > 0 -> pinned[me]--; held++
		:: pinned[me] == 0 && items > 0 -> items--; held++
		:: else
		fi
	}
}

inline end_search(me) {
	atomic { /* end_search: sub_rlx(idle) [idle.dekker] */
		seen = searchers(idle);
		idle = idle - SEARCHING
	};
	/* end_search: fence_sc [idle.dekker] */
#ifndef M_NO_CHAIN
	if
	:: seen <= 1 && any_work(me) -> wake_one()
	:: else
	fi;
#endif
	seen = 0
}

inline find(me) {
	take(me);
	if
	:: got
	:: else ->
		idle = idle + SEARCHING; /* find: add_rlx(idle) [idle.dekker] */
		do
		:: stop -> break
		:: else ->
			take(me);
			if
			:: got -> break
			:: else
			fi;
			idle_sleep(me)
		od;
		end_search(me)
	fi
}
