/* runtime/sched/timers.c: alarms on the workers' wheels, and the clock. */
#include "sched/sched.h"

int64_t sc_now(void)
{
	if (sc_sched.flags & SC_SCHED_VIRTUAL)
		return at_load_rlx(&sc_sched.virtual_now);
	return sc_os.now();
}

/* lock: timers->lock */
static void note_next(struct sc_timers *timers)
{
	at_store_rlx(&timers->next, sc_wheel_next(&timers->wheel, 0));
}

void sc_alarm_arm(struct sc_worker *worker, struct sc_alarm *alarm, int64_t when)
{
	struct sc_timers *timers = &worker->timers;

	at_store_rlx(&alarm->timer.when, when);
	alarm->wheel = worker->index;
	sc_lock_take(&timers->lock);
	sc_wheel_insert(&timers->wheel, &alarm->timer);
	if (when < at_load_rlx(&timers->next))
		at_store_rlx(&timers->next, when);
	sc_lock_drop(&timers->lock);
	at_fence_sc(); /* [timer.dekker] */
	if (when < at_load_rlx(&sc_sched.armed_until)) {
		uint32_t keeper = at_load_rlx(&sc_sched.timekeeper);

		if (keeper)
			sc_wake_worker(&sc_sched.workers[keeper - 1]);
	}
}

void sc_alarm_disarm(struct sc_alarm *alarm)
{
	struct sc_timers *timers = &sc_sched.workers[alarm->wheel].timers;
	unsigned turn = 0;

	sc_lock_take(&timers->lock);
	if (alarm->timer.link) {
		sc_wheel_remove(&timers->wheel, &alarm->timer);
		if (timers->wheel.count == 0)
			at_store_rlx(&timers->next, SC_NEVER);
	}
	while (timers->firing == alarm) {
		sc_lock_drop(&timers->lock);
		sc_relax(turn++);
		sc_lock_take(&timers->lock);
	}
	sc_lock_drop(&timers->lock);
}

/* lock: timers->lock, released meanwhile.  A CALL may walk the tree and take its locks. */
static void call(struct sc_timers *timers, struct sc_alarm *alarm)
{
	timers->firing = alarm;
	sc_lock_drop(&timers->lock);
	sc_hooks.expire(alarm);
	sc_lock_take(&timers->lock);
	timers->firing = NULL;
}

/* A worker takes what it fires into its own ring and leaves the rest in the wheel until there
 * is room again: a million strands are not touched before their turn. */
static int take_in(struct sc_worker *worker, struct sc_strand *strand)
{
	return sc_ring_push(&worker->ring, &strand->item);
}

int sc_timers_poll(struct sc_timers *timers, int64_t now)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_worker *worker = sc_self();
	int mine = worker != &sc_worker_none && timers == &worker->timers;
	struct sc_timer *timer;
	int fired = 0;

	if (at_load_rlx(&timers->next) > now)
		return 0;
	sc_lock_take(&timers->lock);
	/* One CALL at a time: who takes its alarm off waits for it. */
	while (!timers->firing && !(mine && sc_ring_count(&worker->ring) >= SC_RING_SIZE / 2) &&
	       (timer = sc_wheel_advance(&timers->wheel, now, 1))) {
		struct sc_alarm *alarm = SC_CONTAINER(timer, struct sc_alarm, timer);

		fired = 1;
		if (alarm->kind == SC_ALARM_CALL) {
			call(timers, alarm);
		} else {
			struct sc_card *card = SC_CONTAINER(alarm, struct sc_card, alarm);

			/* The strand can't go on before this lock is free: it disarms. */
			if (sc_card_claim(card, SC_WAIT_TIMEOUT) &&
			    !(mine && take_in(worker, card->strand)))
				sc_batch_pack(&woken, card->strand);
		}
	}
	note_next(timers);
	sc_lock_drop(&timers->lock);
	sc_ready_batch(&woken);
	if (mine && fired)
		sc_notify();
	return fired;
}

int64_t sc_timers_next(int exact)
{
	int64_t earliest = SC_NEVER;
	unsigned i;

	for (i = 0; i < sc_sched.count; i++) {
		struct sc_timers *timers = &sc_sched.workers[i].timers;
		int64_t next = at_load_rlx(&timers->next);

		if (exact && next != SC_NEVER) {
			sc_lock_take(&timers->lock);
			next = sc_wheel_next(&timers->wheel, 1);
			sc_lock_drop(&timers->lock);
		}
		if (next < earliest)
			earliest = next;
	}
	return earliest;
}
