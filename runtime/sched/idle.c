/* runtime/sched/idle.c: sleeping and waking workers without losing a wake-up; see sched.h. */
#include "sched/poll.h"

/* A producer of slots wakes another worker at most once in about 50 us. */
#define OFFER_TICKS 125000u

void sc_poke(struct sc_worker *worker)
{
	at_store_rlx(&worker->stack_limit, UINTPTR_MAX);
	at_store_rlx(&worker->bottom.lim, NULL);
}

void sc_poke_all(void)
{
	unsigned i;

	at_fence_sc(); /* the reason is visible before the call [attend.dekker] [idle.dekker] */
	for (i = 0; i < sc_sched.count; i++)
		sc_poke(&sc_sched.workers[i]);
}

void sc_attended(struct sc_worker *worker)
{
	/* Under a seed each spawn takes the slow path, which exposes the slot. */
	at_store_rlx(&worker->bottom.lim,
		     sc_seeded() ? NULL : worker->deque.slots + worker->deque.capacity);
	at_store_rlx(&worker->stack_limit, (uintptr_t)worker->strand->fiber.stack_low + 16384);
	at_fence_sc(); /* [attend.dekker] */
}

/* After a fence behind what it is woken for. */
static int wake(struct sc_worker *worker)
{
	uint32_t seen = at_load_rlx(&worker->parker);

	do {
		if (seen != SC_ASLEEP && seen != SC_POLLING)
			return 0;
	} while (!at_cas_acq(&worker->parker, &seen, SC_NOTIFIED)); /* [idle.dekker] [poll.bell] */
	at_add_rlx(&sc_sched.idle, SC_SEARCHING); /* [idle.dekker] so that no second one is woken */
	if (seen == SC_POLLING)
		sc_os.poll_wake();
	else
		sc_os.wake(&worker->parker, 1);
	return 1;
}

void sc_wake_worker(struct sc_worker *worker)
{
	at_fence_sc(); /* [idle.dekker] */
	wake(worker);
}

void sc_wake_keeper(void)
{
	uint32_t keeper;

	at_fence_sc(); /* [poll.open] */
	keeper = at_load_rlx(&sc_sched.timekeeper);
	if (keeper)
		wake(&sc_sched.workers[keeper - 1]);
}

void sc_wake_one(void)
{
	uint32_t keeper = at_load_rlx(&sc_sched.timekeeper);
	unsigned i;

	for (i = 0; i < sc_sched.count; i++)
		if (i + 1 != keeper && wake(&sc_sched.workers[i]))
			return;
	if (keeper)
		wake(&sc_sched.workers[keeper - 1]);
}

void sc_notify(void)
{
	uint32_t idle;

	at_fence_sc(); /* [idle.dekker] */
	idle = at_load_rlx(&sc_sched.idle);
	if (sc_sleepers(idle) && sc_searchers(idle) <= 0)
		sc_wake_one();
}

void sc_offer(struct sc_worker *worker)
{
	uint64_t ticks;

	/* A hint, without a fence: a sleeper that is missed misses work that its owner does
	 * itself, until the next offer or the monitor's tick. */
	if (!sc_sleepers(at_load_rlx(&sc_sched.idle)))
		return;
	ticks = sc_ticks();
	if (ticks - worker->wake_ticks < OFFER_TICKS)
		return;
	worker->wake_ticks = ticks;
	sc_notify();
}

/* By a thread that is no worker, or of one that belongs to a worker. */
static SC_NOINLINE void ready_there(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_worker *home = strand->pinned;
	struct sc_batch batch = {NULL, NULL, 0};

	sc_batch_add(&batch, &strand->item);
	if (!home) {
		sc_ready_batch(&batch);
		return;
	}
	sc_inbox_put(&home->pinned, &batch);
	if (home != worker)
		sc_wake_worker(home);
}

static SC_NOINLINE void displace(struct sc_worker *worker, struct sc_item *item)
{
	struct sc_batch batch = {NULL, NULL, 0};

	sc_batch_add(&batch, item);
	if (!sc_ring_push(&worker->ring, item))
		sc_inbox_put(&sc_sched.inbox, &batch);
	sc_notify();
}

void sc_ready(struct sc_strand *strand)
{
	struct sc_worker *worker = sc_self();
	struct sc_item *old;

	strand->reason = SC_READY;
	if (SC_UNLIKELY(strand->pinned || worker == &sc_worker_none)) {
		ready_there(worker, strand);
		return;
	}
	/* The one woken last goes first, here; the one before it may go elsewhere. */
	old = worker->next;
	worker->next = &strand->item;
	if (old)
		displace(worker, old);
}

void sc_ready_batch(struct sc_batch *batch)
{
	if (!batch->first)
		return;
	sc_inbox_put(&sc_sched.inbox, batch);
	sc_notify();
}

void sc_ready_here(struct sc_batch *batch)
{
	struct sc_worker *worker = sc_self();
	struct sc_batch rest = {NULL, NULL, 0};
	struct sc_item *item = worker == &sc_worker_none ? NULL : batch->first, *next;

	if (!item) {
		sc_ready_batch(batch);
		return;
	}
	for (; item; item = next) {
		next = item->next;
		if (!sc_ring_push(&worker->ring, item))
			sc_batch_add(&rest, item);
	}
	sc_ready_batch(&rest);
	sc_notify();
}

void sc_submit(struct sc_task *task)
{
	struct sc_worker *worker = sc_self();
	struct sc_batch batch = {NULL, NULL, 0};

	task->item.kind = SC_ITEM_TASK;
	if (task->pinned) {
		struct sc_worker *home = task->pinned;

		sc_batch_add(&batch, &task->item);
		sc_inbox_put(&home->pinned, &batch);
		sc_wake_worker(home);
	} else if (worker != &sc_worker_none && sc_ring_push(&worker->ring, &task->item)) {
		sc_notify();
	} else {
		sc_batch_add(&batch, &task->item);
		sc_ready_batch(&batch);
	}
}

/* Work that any worker may take. */
static int shared_work(void)
{
	unsigned i;

	if (sc_shared_count())
		return 1;
	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *other = &sc_sched.workers[i];

		if (sc_deque_exposed(&other->deque) || sc_ring_count(&other->ring))
			return 1;
	}
	return 0;
}

int sc_any_work(struct sc_worker *worker)
{
	return sc_inbox_count(&worker->pinned) || shared_work();
}

/* ---- sleeping -------------------------------------------------------------------------- */

/* Takes one unstarted task that can't have a stack and fails it: false if none was there,
 * because what is queued can run after all. */
static int refuse_one(struct sc_worker *worker)
{
	struct sc_inbox *inbox = &sc_sched.inbox;
	struct sc_strand *woken = NULL;
	struct sc_batch batch;
	struct sc_item *first;
	struct sc_slot slot;
	unsigned i;

	for (i = 0; i < sc_sched.count; i++)
		if (sc_deque_take(&sc_sched.workers[i].deque, &slot, 1)) {
			woken = sc_hooks.refuse(&slot, NULL);
			goto refused;
		}
	if (sc_inbox_count(&worker->pinned))
		inbox = &worker->pinned;
	batch = sc_inbox_get(inbox, 1, 1);
	first = batch.first;
	if (!first || first->kind != SC_ITEM_TASK) {
		sc_inbox_put(inbox, &batch);
		return 0;
	}
	woken = sc_hooks.refuse(NULL, SC_CONTAINER(first, struct sc_task, item));
refused:
	if (woken)
		sc_ready(woken);
	return 1;
}

enum verdict { SLEEP, LOOK_AGAIN };

/* Whether nobody runs or is about to: who was notified is counted as a sleeper until it runs,
 * so the count is never too low, and whoever is the last to announce itself sees it. */
static int all_asleep(void)
{
	unsigned i;

	if (sc_sleepers(at_load_acq(&sc_sched.idle)) != sc_sched.count) /* [idle.still] */
		return 0;
	for (i = 0; i < sc_sched.count; i++) {
		uint32_t parker = at_load_rlx(&sc_sched.workers[i].parker);

		if (parker != SC_ASLEEP && parker != SC_POLLING)
			return 0;
	}
	return !at_load_rlx(&sc_sched.stop);
}

/* Whether all sleep and nothing ran since `before`.  Who has announced itself may still turn
 * back, or be woken from outside, and take the only item between two looks of the caller. */
static int still(uint64_t before)
{
	at_fence_sc(); /* [idle.still] */
	return all_asleep() && sc_progress() == before;
}

/* What happens when no strand can run: the virtual clock moves on, a deadlock is named, or
 * a task that can't have a stack is refused.  `last_lock` lets one decide at a time, and only
 * if all is still since `before`. */
static enum verdict decide(struct sc_worker *worker, uint64_t before)
{
	int64_t next = sc_timers_next(1);
	unsigned i;

	for (i = 0; i < sc_sched.count; i++)
		if (i != worker->index && sc_inbox_count(&sc_sched.workers[i].pinned) &&
		    wake(&sc_sched.workers[i]))
			return LOOK_AGAIN;

	if (sc_any_work(worker)) {
		/* Unstarted work, which needs a stack: whoever has one in reserve shall run it. */
		for (i = 0; i < sc_sched.count; i++)
			if (at_load_rlx(&sc_sched.workers[i].spare) &&
			    (i == worker->index || shared_work())) {
				wake(&sc_sched.workers[i]);
				return LOOK_AGAIN;
			}
		if (next == SC_NEVER) { /* and nobody is left to give one back */
			if (at_load_rlx(&sc_sched.outside[SC_CALL]))
				return SLEEP;
			if (!still(before))
				return LOOK_AGAIN;
			return refuse_one(worker) ? LOOK_AGAIN : SLEEP;
		}
	} else if (next == SC_NEVER) {
		if (!(sc_sched.flags & SC_SCHED_DETECT) || sc_outside_waits())
			return SLEEP;
		if (still(before))
			sc_hooks.deadlock();
		return LOOK_AGAIN;
	}
	if (!(sc_sched.flags & SC_SCHED_VIRTUAL) || at_load_rlx(&sc_sched.outside[SC_CALL]))
		return SLEEP;
	/* What tasks sent each other before has arrived by now. */
	if (sc_polling() && sc_poll_look())
		return LOOK_AGAIN;
	if (!still(before))
		return LOOK_AGAIN;
	if (next > sc_now()) { /* a deadline may have been moved into the past */
		at_store_rlx(&sc_sched.virtual_now, next);
		at_store_rlx(&sc_sched.recent, next);
	}
	for (i = 0; i < sc_sched.count; i++)
		sc_timers_poll(&sc_sched.workers[i].timers, sc_now());
	return LOOK_AGAIN;
}

/* The caller has announced itself as asleep. */
static enum verdict last_one(struct sc_worker *worker)
{
	enum verdict verdict = SLEEP;
	uint64_t before;

	if (!all_asleep())
		return SLEEP;
	sc_lock_take(&sc_sched.last_lock);
	before = sc_progress();
	at_fence_sc(); /* [idle.still] */
	if (all_asleep())
		verdict = decide(worker, before);
	sc_lock_drop(&sc_sched.last_lock);
	return verdict;
}

/* Becomes the sleeper with the timeout if there is none; what it sleeps until. */
static int64_t keep_time(struct sc_worker *worker)
{
	uint32_t expected = 0;
	int64_t until;

	if ((sc_sched.flags & SC_SCHED_VIRTUAL) && !sc_polling())
		return SC_NEVER;
	if (!at_cas_acq(&sc_sched.timekeeper, &expected, worker->index + 1)) /* [timer.keeper] */
		return SC_NEVER;
	if (sc_sched.flags & SC_SCHED_VIRTUAL) {
		at_store_rlx(&sc_sched.armed_until, INT64_MIN); /* an alarm wakes nobody */
		return SC_NEVER;
	}
	do {
		until = sc_timers_next(0);
		at_store_rlx(&sc_sched.armed_until, until);
		at_fence_sc(); /* [timer.dekker] [poll.open] */
	} while (sc_timers_next(0) < until);
	return until;
}

static void drop_time(struct sc_worker *worker)
{
	int64_t next;
	unsigned i;

	if (at_load_rlx(&sc_sched.timekeeper) != worker->index + 1)
		return;
	at_store_rlx(&sc_sched.armed_until, SC_NEVER);
	if (sc_polling())
		at_store_rlx(&sc_sched.polled, sc_ticks());
	at_store_rel(&sc_sched.timekeeper, 0); /* [timer.keeper] */
	at_fence_sc();                         /* [timer.dekker] */
	next = sc_timers_next(0);
	if (next == SC_NEVER || (sc_sched.flags & SC_SCHED_VIRTUAL))
		return;
	if (next <= sc_now())
		for (i = 0; i < sc_sched.count; i++)
			sc_timers_poll(&sc_sched.workers[i].timers, sc_now());
	/* This worker goes to work: another sleeper has to watch the clock. */
	if (sc_sleepers(at_load_rlx(&sc_sched.idle)) && sc_any_work(worker))
		sc_wake_one();
}

static void block(struct sc_worker *worker, int64_t until)
{
	while (at_load_rlx(&worker->parker) == SC_ASLEEP && !at_load_rlx(&sc_sched.stop)) {
		if (until != SC_NEVER && sc_os.now() >= until)
			break;
		sc_os.wait(&worker->parker, SC_ASLEEP, until);
	}
}

/* The one with the timeout waits for descriptors too.  A virtual clock must not move on while
 * something that has come is in the hands of a sleeper: then it is left where who moves the clock
 * finds it. */
static void block_polling(struct sc_worker *worker, int64_t until, struct sc_catch *caught)
{
	unsigned most = sc_sched.flags & SC_SCHED_VIRTUAL ? 0 : SC_EVENTS, came;
	uint32_t expected = SC_ASLEEP;

	if (!at_cas_rel(&worker->parker, &expected, SC_POLLING)) /* [idle.dekker] [poll.bell] */
		return;
	while (at_load_rlx(&worker->parker) == SC_POLLING && !at_load_rlx(&sc_sched.stop)) {
		came = sc_os.poll_wait(caught->event, most, until);
		caught->count = most ? came : 0;
		caught->left = !most && came;
		if (came || (until != SC_NEVER && sc_os.now() >= until))
			break;
	}
}

/* `starved`: without a spare it can't tell work it could do from work it can't: it looks again
 * soon, somebody may give a stack back. */
static void fall_asleep(struct sc_worker *worker, int starved, struct sc_catch *caught)
{
	int64_t soon = starved ? sc_os.now() + 1000000 : SC_NEVER;
	int64_t until = starved && !sc_polling() ? soon : keep_time(worker);

	if (soon < until)
		until = soon;
	if (sc_polling() && at_load_rlx(&sc_sched.timekeeper) == worker->index + 1)
		block_polling(worker, until, caught);
	else
		block(worker, until);
}

/* The caller counts as searching, before and after. */
void sc_idle_sleep(struct sc_worker *worker)
{
	enum verdict verdict = SLEEP;
	struct sc_catch caught;
	uint32_t seen;
	int starved;

	caught.count = caught.left = 0;

	at_store_rlx(&worker->parker, SC_ASLEEP);
	at_add_rel(&sc_sched.idle, SC_SLEEPING - SC_SEARCHING); /* [idle.dekker] [idle.still] */
	sc_poke_all(); /* with a fence; from now on who spawns exposes at once */
	starved = sc_any_work(worker) && !sc_can_start(worker);
	if (starved || !sc_any_work(worker)) {
		verdict = last_one(worker);
		if (verdict == SLEEP)
			fall_asleep(worker, starved, &caught);
	}
	seen = at_load_rlx(&worker->parker);
	if (seen != SC_NOTIFIED &&
	    at_cas_rlx(&worker->parker, &seen, SC_AWAKE)) { /* [idle.dekker] */
		at_sub_rlx(&sc_sched.idle, SC_SLEEPING - SC_SEARCHING); /* [idle.dekker] */
	} else { /* the waker counts it as searching */
		at_store_rlx(&worker->parker, SC_AWAKE);
		at_sub_rlx(&sc_sched.idle, SC_SLEEPING); /* [idle.dekker] */
	}
	at_store_rlx(&sc_sched.recent, sc_now());
	at_fence_sc(); /* [idle.dekker] [idle.still] [monitor.nudge] */
	if (at_load_rlx(&sc_sched.monitor_asleep))
		sc_monitor_nudge();
	drop_time(worker);
	if (caught.count)
		sc_poll_deliver(&caught);
	if (caught.left)
		sc_poll_look();
}
