/* runtime/sched/sched.h: workers, the loop, parking and waking, timers, the monitor.
 *
 * Idle and wake.  `idle` counts workers that search (low half) and sleep (high half).
 *   A producer publishes work, then looks at `idle`; a sleeper adds itself to `idle`, then
 *   looks at all work again.  With a full order between the two steps on both sides one of
 *   them sees the other, so no wake-up is lost.  A producer wakes one sleeper, and only if
 *   nobody searches: a searcher that finds something wakes the next one if it was the last
 *   to search.
 *
 * Attention.  Anyone may store 0 to a worker's lim and the maximum to its stack_limit: its
 *   next spawn, close or checkpoint takes the slow path.  The owner resets both, then looks
 *   for reasons; who calls makes the reason visible first.  Same argument as above.
 *
 * Memory order
 *   [idle.dekker]   producer publishes or sets stop, fence_sc, then looks at idle and parker
 *                   <-> sleeper store(parker), add(idle), fence_sc (in sc_poke_all), then looks
 *                   at queues and stop.  The accesses are relaxed: fences alone order them, also
 *                   who is woken has one before it looks for what it was woken for
 *   [idle.still]    a worker that turns back or is woken: sub(idle), fence_sc, takes an item,
 *                   progress + 1, add_rel(idle) when it sleeps again -> the last sleeper, which
 *                   missed the item: fence_sc, load_acq(idle): awake, or the sum has moved; it
 *                   sees what was begun outside, too
 *   [attend.dekker] caller sets the reason, fence_sc, then store(lim) <-> owner store(lim),
 *                   fence_sc, load(reason)
 *   [timer.dekker]  inserter fence_sc between the wheel's next and load(armed_until) <->
 *                   timekeeper store(armed_until), fence_sc, load(next)
 *   [timer.keeper]  store_rel(timekeeper, 0) -> cas_acq(timekeeper, 0 -> self): one sleeper
 *                   at a time writes armed_until
 *   [monitor.nudge] add_rel(monitor) after the reason (signals, stop, who is awake) ->
 *                   load_acq(monitor) before the monitor looks for reasons; it waits only while
 *                   the word is unchanged.  Who wakes up nudges only if monitor_asleep: sub(idle),
 *                   fence_sc, load(monitor_asleep) <-> store(monitor_asleep), fence_sc, load(idle)
 *   [guest.gate]    or_rel(gate) when a run is set up -> cas_acq(gate) of who enters; sub_rel(gate)
 *                   of who leaves -> load_acq(gate) = 0 of who ends the run, also of those who
 *                   left before the last: in between are read-modify-writes only
 *   [thread.known]  creator store_rel(known) after the handle -> load_acq(known) of who
 *                   wants to signal the thread
 *   [sched.inside]  sub_rel(inside) of a worker after its last signal -> load_acq(inside)
 *                   before the first of them is joined
 */
#ifndef SC_SCHED_SCHED_H
#define SC_SCHED_SCHED_H

#include "sched/wait.h"
#include "sched/worker.h"

enum { SC_MAX_WORKERS = 1024 };

/* What the layer above installs before start. */
struct sc_hooks {
	/* Runs strand->slot; returns a strand to continue at once, or NULL. */
	struct sc_strand *(*run)(struct sc_strand *strand);
	/* An unstarted task that can't ever have a stack: fail it. */
	struct sc_strand *(*refuse)(struct sc_slot *slot, struct sc_task *task);
	/* The running strand is about to be put aside, was continued. */
	void (*suspend)(struct sc_worker *worker);
	void (*resume)(struct sc_worker *worker);
	void (*expire)(struct sc_alarm *alarm);     /* a CALL alarm is due */
	void (*deadlock)(void);                     /* nothing will ever run again */
	void (*signal)(int signal, unsigned count); /* on the monitor's thread */
	void (*stuck)(int signal);                  /* no progress after a hard cancel */
	void (*dump)(void);                         /* SIGQUIT came; likewise */
	void (*look)(void);                         /* each tick while sc_sched.watchers is not 0 */
	void (*arrived)(void);                      /* on the monitor's thread, after arrivals */
};

struct sc_sched {
	unsigned count;            /* const after start */
	unsigned flags;            /* const after start: enum sc_sched_flags */
	int64_t kill_after;        /* const after start */
	struct sc_worker *workers; /* const after start */
	SC_WORD(uint32_t) idle SC_ALIGNED(SC_CACHE_LINE); /* searching | sleeping << 16 */
	SC_WORD(uint32_t) stop;
	SC_WORD(uint32_t) inside;      /* futex: workers that may still signal others */
	SC_WORD(uint32_t) timekeeper;  /* index + 1 of the sleeper that owns the timeout */
	SC_WORD(int64_t) armed_until;  /* when the timekeeper wakes by itself */
	SC_WORD(int64_t) virtual_now;  /* the virtual clock */
	SC_WORD(int64_t) recent;       /* sc_now() a tick ago at most, while anybody runs */
	SC_WORD(uint32_t) outside[2];  /* see sc_outside */
	SC_WORD(uint32_t) polling;     /* descriptors are watched: poll.h */
	SC_WORD(uint64_t) polled;      /* ticks when the kernel was asked about them last */
	uint64_t seed;                 /* owner (one worker): of the seeded schedule, 0: none */
	uint64_t trace;                /* likewise: a hash of what was chosen so far */
	struct sc_inbox inbox;         /* for any worker */
	struct sc_inbox late;          /* strands that compute, after all others: pick.c */
	struct sc_lock last_lock;      /* who decides when all are idle */
	SC_WORD(uint32_t) monitor;     /* futex: bumped to wake the monitor */
	SC_WORD(uint32_t) monitor_asleep;
	SC_WORD(uint32_t) watchers;    /* who wants hooks.look called */
	SC_WORD(uint32_t) signals;     /* signals so far << 8 | OVER | the last one */
	SC_WORD(uint32_t) arrivals;    /* moved before a nudge: to call hooks.arrived */
	SC_WORD(uint32_t) dumps;       /* asked for by SIGQUIT so far */
	int64_t stuck_for;             /* monitor: watched without progress, hard cancel on */
	int64_t looked_at;             /* monitor: when last, 0: no hard cancel yet */
	SC_WORD(uint32_t) hard_signal; /* a hard cancel by this signal is under way */
	struct sc_thread monitor_thread;
};

enum sc_sched_flags {
	SC_SCHED_VIRTUAL = 1,
	SC_SCHED_DETECT = 2,
	SC_SCHED_SIGNALS = 4,
	SC_SCHED_SEEDED = 8
};

enum { SC_SIGNALS_OVER = 128, SC_SIGNAL_LAST = 127 };

extern struct sc_sched sc_sched;
extern struct sc_hooks sc_hooks;

/* Starts workers (the caller's thread is the first), continues `root` and returns when
 * sc_sched_stop was called and all workers left.  0, -ENOMEM, -EAGAIN. */
int sc_sched_run(unsigned workers, struct sc_strand *root);
void sc_sched_stop(void);

/* ---- for code that runs on a strand ---- */

/* Exposes the worker's slots, puts the running strand aside, calls post(worker, strand) on
 * the next stack; returns when somebody continued it, perhaps on another worker. */
void sc_park(struct sc_worker *worker, enum sc_reason reason,
	     void (*post)(struct sc_worker *worker, struct sc_strand *strand));
/* The same in fewer steps, for a strand with no slots and no scope to put aside: if there is
 * another to continue at once.  sc_hooks.resume is left to the caller. */
int sc_park_lightly(struct sc_worker *worker, enum sc_reason reason,
		    void (*post)(struct sc_worker *worker, struct sc_strand *strand));
/* First thing on a stack that was continued by other means than sc_park. */
void sc_land(void);
/* Whether anything but the running strand's own slots waits for this worker. */
int sc_others_wait(struct sc_worker *worker);
/* Lets others go first; false if nobody was there.  `last`: it had its time, and comes behind all
 * that are ready anywhere. */
int sc_give_way(struct sc_worker *worker, int last);
/* The same in fewer steps, for a strand with no slots and no scope to put aside: if the next
 * in turn is a strand in the ring.  sc_hooks.resume is left to the caller. */
int sc_hand_over(struct sc_worker *worker);

/* ---- from anywhere ---- */

/* Makes a strand that won its wait, or was never published, ready to run. */
void sc_ready(struct sc_strand *strand);
/* The same for many; takes them over.  They may be tasks too. */
void sc_ready_batch(struct sc_batch *batch);
/* The same for strands, which a worker takes into its own ring. */
void sc_ready_here(struct sc_batch *batch);
/* Adds a strand to a batch of strands.  Most ride in the pack of another: who takes the batch
 * over can queue them without touching each, of which none may be in the cache. */
SC_INLINE void sc_batch_pack(struct sc_batch *batch, struct sc_strand *strand)
{
	struct sc_item *last = batch->last;

	if (last && last->packed < SC_PACK)
		SC_CONTAINER(last, struct sc_strand, item)->pack[last->packed++] = &strand->item;
	else
		sc_batch_add(batch, &strand->item);
}
/* Queues an unstarted task. */
void sc_submit(struct sc_task *task);
/* Calls for the attention of one worker, or of all. */
void sc_poke(struct sc_worker *worker);
void sc_poke_all(void);
/* Owner: after new slots while others are idle: wakes one, not too often. */
void sc_offer(struct sc_worker *worker);
/* Owner, in a seeded run: one of so many options. */
uint32_t sc_draw(uint32_t options);
/* Owner: puts lim and stack_limit back; the reasons are to be looked at afterwards. */
void sc_attended(struct sc_worker *worker);

SC_INLINE int sc_seeded(void)
{
	return sc_sched.flags & SC_SCHED_SEEDED;
}

/* The halves of sc_sched.idle.  A waker counts the one it woke as searching right after it
 * woke it; the woken one takes itself off the sleepers.  So searchers may be too few for a
 * moment, even below 0, and sleepers too many, never too few. */
enum { SC_SEARCHING = 1, SC_SLEEPING = 1 << 16 };

SC_INLINE int sc_searchers(uint32_t idle)
{
	return (int16_t)idle;
}

SC_INLINE unsigned sc_sleepers(uint32_t idle)
{
	return (idle + SC_SLEEPING / 2) >> 16;
}

/* Items that any worker may take, in no ring and no deque; a hint. */
SC_INLINE uint64_t sc_shared_count(void)
{
	return sc_inbox_count(&sc_sched.inbox) + sc_inbox_count(&sc_sched.late);
}

SC_INLINE int sc_hungry(void)
{
	return at_load_rlx(&sc_sched.idle) != 0;
}

/* ---- the world outside ---- */

/* What may wake a strand though no worker runs and no timer is armed.  A CALL ends by itself:
 * while one is under way time does not jump (Z1), and no task is refused for want of a stack
 * (P8).  Through a DOOR somebody may come or not: a reference in other hands, a stream of
 * signals.  While there is either, standing still is no deadlock (Z3). */
enum sc_outside { SC_CALL, SC_DOOR };
/* One more or, change being -1, one less.  A CALL is begun and ended by running tasks: by who
 * waits for it.  A door is opened by a running task and shut from anywhere, in time before the
 * run ends. */
void sc_outside(enum sc_outside kind, int change);
int sc_outside_waits(void);

/* One more or, -1, one less who wants the monitor to call sc_hooks.look each 10 ms, by the real
 * clock, even while all workers sleep. */
void sc_sched_watch(int change);

/* ---- timers ---- */

int64_t sc_now(void);
void sc_alarm_arm(struct sc_worker *worker, struct sc_alarm *alarm, int64_t when);
/* Afterwards the alarm neither is in a wheel nor is being fired. */
void sc_alarm_disarm(struct sc_alarm *alarm);
/* Fires what is due in this wheel; true if something was. */
int sc_timers_poll(struct sc_timers *timers, int64_t now);
int64_t sc_timers_next(int exact);

/* ---- threads that are no workers: guest.c ---- */

/* What a run consists of stays until leave; false: there is no run, or it is ending. */
int sc_guest_enter(void);
void sc_guest_leave(void);
/* For start.c. */
void sc_guest_open(void);
void sc_guest_close(void);
void sc_guest_forked(void);

/* Internal to sched/: pick.c */
void sc_enqueue(struct sc_worker *worker, struct sc_item *item);
struct sc_strand *sc_pick(struct sc_worker *worker);
/* Of the worker's own strands and queued tasks the next in turn, or NULL: the one woken last, at
 * most so many times in a row, else sc_pop_in_turn. */
enum { SC_LIFO_MOST = 3 };
struct sc_item *sc_pop_in_turn(struct sc_worker *worker);
SC_INLINE struct sc_item *sc_pop_queued(struct sc_worker *worker)
{
	struct sc_item *item = worker->next;

	if (!item || worker->lifo_run++ >= SC_LIFO_MOST)
		return sc_pop_in_turn(worker);
	worker->next = NULL;
	return item;
}
/* Whether timers are armed and the clock was not looked at for about 20 us. */
enum { SC_CLOCK_TICKS = 50000 };
SC_INLINE int sc_clock_is_due(struct sc_worker *worker)
{
	return SC_UNLIKELY(at_load_rlx(&worker->timers.next) != SC_NEVER) &&
	       sc_ticks() - worker->clock_ticks >= SC_CLOCK_TICKS;
}
struct sc_strand *sc_steal(struct sc_worker *worker);
/* The next unstarted task for the strand that just ended one: no switch at all. */
int sc_next_slot(struct sc_worker *worker, struct sc_strand *strand);
/* Whether there is a stack for an unstarted task; it stays the worker's. */
int sc_can_start(struct sc_worker *worker);
/* The rest */
void sc_wake_one(void);
void sc_wake_worker(struct sc_worker *worker);
void sc_wake_keeper(void);
void sc_notify(void);
int sc_monitor_start(void);
void sc_monitor_stop(void);
void sc_monitor_nudge(void);
uint64_t sc_progress(void); /* moves before anybody runs anything */
void sc_idle_sleep(struct sc_worker *worker);
int sc_any_work(struct sc_worker *worker);
void sc_worker_loop(struct sc_worker *worker);
void sc_strand_main(void *fiber);

#endif
