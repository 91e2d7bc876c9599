/* runtime/sched/loop.c: what a worker runs next, and how strands follow one another.
 *
 * The loop runs on the worker's own stack.  It continues ready strands and starts
 * unstarted tasks on a spare strand.  A strand that parks goes back to the loop; one that
 * yields, or ends and thereby wakes its parent, switches to the next strand directly.
 */
#include "sched/sched.h"

enum { INBOX_EVERY = 61, BATCH = 32, LIFO_MOST = 3 };

/* About 20 us of ticks between two looks at the clock while timers are armed. */
#define CLOCK_TICKS 50000u

struct sc_worker sc_worker_none;
__thread struct sc_worker *sc_self_tls = &sc_worker_none;
struct sc_sched sc_sched;
struct sc_hooks sc_hooks;

static struct sc_strand *strand_of(struct sc_item *item)
{
	return SC_CONTAINER(item, struct sc_strand, item);
}

static struct sc_task *task_of(struct sc_item *item)
{
	return SC_CONTAINER(item, struct sc_task, item);
}

static void count(uint64_t *counter, uint64_t more)
{
	at_store_rlx(counter, *counter + more);
}

/* ---- switching --------------------------------------------------------------------- */

/* First thing on every stack that was just continued: what the one before left to do. */
void sc_land(void)
{
	struct sc_worker *worker = sc_self();
	void (*post)(struct sc_worker *, struct sc_strand *) = worker->post;

	if (post) {
		worker->post = NULL;
		post(worker, worker->post_strand);
	}
}

static void set_running(struct sc_worker *worker, struct sc_strand *strand)
{
	worker->strand = strand;
	worker->cur = strand->place;
	at_store_rlx(&worker->stack_limit, (uintptr_t)strand->fiber.stack_low + 16384);
}

static void switch_to(struct sc_worker *worker, struct sc_strand *from, struct sc_strand *to)
{
	from->place = worker->cur;
	set_running(worker, to);
	sc_fiber_switch(&from->fiber, &to->fiber);
	sc_land();
}

/* Back to the worker's loop, which calls post(worker, from). */
static void leave(struct sc_worker *worker, struct sc_strand *from,
		  void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	worker->post = post;
	worker->post_strand = from;
	switch_to(worker, from, &worker->native);
}

static void recycle(struct sc_worker *worker, struct sc_strand *strand)
{
	if (strand->own_stack)
		return;
	if (!worker->spare)
		worker->spare = strand;
	else
		sc_fiber_give(&worker->pool, &strand->fiber);
}

/* Other tasks of the strand's scopes become runnable elsewhere. */
static void put_aside(struct sc_worker *worker)
{
	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	sc_hooks.suspend(worker);
	if (sc_deque_exposed(&worker->deque) > 1)
		sc_notify();
}

void sc_park(struct sc_worker *worker, enum sc_reason reason,
	     void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	worker->strand->reason = reason;
	count(&worker->parks, 1);
	put_aside(worker);
	leave(worker, worker->strand, post);
	sc_hooks.resume(sc_self());
}

/* ---- picking ------------------------------------------------------------------------- */

static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* The seeded schedule (one worker): any queued item may go first. */
static struct sc_item *pop_seeded(struct sc_ring *ring)
{
	uint32_t queued = ring->tail - ring->head;

	if (queued > 1) {
		uint32_t other = ring->head + (uint32_t)(mix(&sc_sched.seed) % queued);
		struct sc_item *first = ring->items[ring->head % SC_RING_SIZE];

		ring->items[ring->head % SC_RING_SIZE] = ring->items[other % SC_RING_SIZE];
		ring->items[other % SC_RING_SIZE] = first;
	}
	return sc_ring_pop(ring);
}

static void push(struct sc_worker *worker, struct sc_item *item)
{
	if (!sc_ring_push(&worker->ring, item)) {
		/* Full: half of the ring moves to the inbox, so that this happens seldom. */
		struct sc_batch batch = {NULL, NULL, 0};

		while (batch.count < SC_RING_SIZE / 2) {
			struct sc_item *old = sc_ring_pop(&worker->ring);

			if (!old)
				break;
			sc_batch_add(&batch, old);
		}
		sc_batch_add(&batch, item);
		sc_inbox_put(&sc_sched.inbox, &batch);
	}
}

static struct sc_item *from_inbox(struct sc_worker *worker, struct sc_inbox *inbox)
{
	struct sc_batch batch = sc_inbox_get(inbox, inbox == &sc_sched.inbox ? 128 : 1);
	struct sc_item *first = batch.first, *item, *rest;

	if (!first)
		return NULL;
	for (item = first->next; item; item = rest) {
		rest = item->next;
		push(worker, item);
	}
	return first;
}

static struct sc_item *pop_queued(struct sc_worker *worker)
{
	struct sc_item *item = worker->next;

	if (sc_sched.seed) {
		if (item)
			push(worker, item);
		worker->next = NULL;
		return pop_seeded(&worker->ring);
	}
	if (item && worker->lifo_run < LIFO_MOST) {
		worker->next = NULL;
		worker->lifo_run++;
		return item;
	}
	worker->lifo_run = 0;
	item = sc_ring_pop(&worker->ring);
	if (!item) {
		item = worker->next;
		worker->next = NULL;
	}
	return item;
}

static struct sc_strand *spare(struct sc_worker *worker)
{
	if (!worker->spare) {
		struct sc_fiber *fiber = sc_fiber_take(&worker->pool);

		if (fiber)
			worker->spare = SC_CONTAINER(fiber, struct sc_strand, fiber);
	}
	return worker->spare;
}

/* Hands an unstarted task to the spare strand.  The caller has seen that there is one. */
static struct sc_strand *start(struct sc_worker *worker, const struct sc_slot *slot,
			       struct sc_task *task)
{
	struct sc_strand *strand = worker->spare;

	worker->spare = NULL;
	strand->slot = *slot;
	strand->task = task;
	strand->pinned = task ? task->pinned : NULL;
	strand->place = 0;
	strand->item.kind = SC_ITEM_STRAND;
	return strand;
}

/* A queued item as a strand; an unstarted task without a spare goes back. */
static struct sc_strand *strand_for(struct sc_worker *worker, struct sc_item *item)
{
	struct sc_batch batch = {NULL, NULL, 0};

	if (item->kind == SC_ITEM_STRAND)
		return strand_of(item);
	if (spare(worker))
		return start(worker, &task_of(item)->slot, task_of(item));
	sc_batch_add(&batch, item);
	sc_inbox_put(task_of(item)->pinned ? &worker->pinned : &sc_sched.inbox, &batch);
	return NULL;
}

static int take_own(struct sc_worker *worker, struct sc_slot *slot)
{
	if (sc_deque_exposed(&worker->deque) == 0)
		return 0;
	return sc_deque_take(&worker->deque, slot, 1) == 1;
}

static struct sc_strand *from_deque(struct sc_worker *worker)
{
	struct sc_slot slot;

	if (sc_deque_exposed(&worker->deque) == 0 || !spare(worker) || !take_own(worker, &slot))
		return NULL;
	return start(worker, &slot, NULL);
}

static void poll_timers(struct sc_worker *worker)
{
	int64_t next = at_load_rlx(&worker->timers.next);
	uint64_t ticks;

	if (next == SC_NEVER)
		return;
	ticks = sc_ticks();
	if (ticks - worker->clock_ticks < CLOCK_TICKS)
		return;
	worker->clock_ticks = ticks;
	if (!(sc_sched.flags & SC_SCHED_VIRTUAL))
		sc_timers_poll(&worker->timers, sc_now());
}

/* The next strand from what this worker has itself. */
static struct sc_strand *pick(struct sc_worker *worker)
{
	uint32_t turn = sc_sched.seed ? (uint32_t)mix(&sc_sched.seed) : worker->picks++;
	struct sc_item *item = NULL;
	struct sc_strand *strand;

	poll_timers(worker);
	if (turn % INBOX_EVERY == 0)
		item = from_inbox(worker, &sc_sched.inbox);
	if (!item && sc_inbox_count(&worker->pinned))
		item = from_inbox(worker, &worker->pinned);
	/* Slots and queued strands take turns: neither starves the other. */
	if (!item && (turn & 1) && (strand = from_deque(worker)))
		return strand;
	if (!item)
		item = pop_queued(worker);
	if (!item) {
		strand = from_deque(worker);
		if (strand)
			return strand;
		item = from_inbox(worker, &sc_sched.inbox);
	}
	return item ? strand_for(worker, item) : NULL;
}

/* ---- stealing -------------------------------------------------------------------------- */

/* The worker's loop has nothing private, so what it took can be laid out for all. */
static struct sc_strand *keep_loot(struct sc_worker *worker, struct sc_slot *loot, unsigned got)
{
	struct sc_slot *top;
	unsigned i;

	count(&worker->stolen, got);
	sc_deque_reset(&worker->deque, &worker->bottom);
	top = worker->bottom.top;
	for (i = 1; i < got; i++)
		*top++ = loot[i];
	at_signal_fence();
	at_store_rlx(&worker->bottom.top, top);
	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	return start(worker, &loot[0], NULL);
}

static struct sc_strand *steal_from(struct sc_worker *worker, struct sc_worker *victim)
{
	struct sc_slot loot[BATCH];
	struct sc_item *items[SC_RING_SIZE / 2];
	unsigned got, i;

	if (sc_deque_exposed(&victim->deque) && spare(worker)) {
		uint32_t room = (uint32_t)(worker->deque.slots + worker->deque.capacity -
					   worker->bottom.top);

		got = sc_deque_take(&victim->deque, loot, room > BATCH ? BATCH : 1);
		if (got)
			return keep_loot(worker, loot, got);
	}
	got = sc_ring_steal(&victim->ring, items, SC_RING_SIZE / 2);
	for (i = 1; i < got; i++)
		push(worker, items[i]);
	return got ? strand_for(worker, items[0]) : NULL;
}

static int has_private(struct sc_worker *victim)
{
	return at_load_rlx(&victim->bottom.top) > at_load_rlx(&victim->bottom.split);
}

static struct sc_strand *steal(struct sc_worker *worker)
{
	unsigned first = (worker->random = worker->random * 1664525u + 1013904223u) >> 8, i;

	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *victim = &sc_sched.workers[(first + i) % sc_sched.count];
		struct sc_strand *strand = victim == worker ? NULL : steal_from(worker, victim);

		if (strand)
			return strand;
	}
	return NULL;
}

static void ask(struct sc_worker *worker, int by_signal)
{
	unsigned i;

	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *victim = &sc_sched.workers[i];

		if (victim == worker || !has_private(victim))
			continue;
		sc_poke(victim);
		if (by_signal)
			sc_os.thread_signal(victim->thread);
	}
}

/* Searches for about the time that a wake-up takes.  The caller counts as searching. */
static struct sc_strand *search(struct sc_worker *worker)
{
	uint64_t start_ticks = sc_ticks();
	unsigned turn;

	for (turn = 0; !at_load_acq(&sc_sched.stop); turn++) { /* [sched.stop] */
		struct sc_strand *strand = steal(worker);

		if (!strand)
			strand = pick(worker);
		if (strand)
			return strand;
		if (turn == 0)
			ask(worker, 0);
		if (sc_ticks() - start_ticks > 2 * CLOCK_TICKS || turn > 2000)
			break;
		sc_relax(turn);
	}
	/* No answer: who has private work computes without calling in. */
	ask(worker, 1);
	return steal(worker);
}

/* A searcher that found work hands the search on if it was the last one. */
static void end_search(struct sc_worker *worker)
{
	if ((at_sub_sc(&sc_sched.idle, 1) & 0xffff) == 1 && sc_any_work(worker)) /* [idle.dekker] */
		sc_wake_one();
}

static struct sc_strand *find(struct sc_worker *worker)
{
	struct sc_strand *strand = pick(worker);

	if (strand)
		return strand;
	sc_deque_reset(&worker->deque, &worker->bottom);
	at_add_sc(&sc_sched.idle, 1); /* [idle.dekker] */
	while (!at_load_acq(&sc_sched.stop)) { /* [sched.stop] */
		if (sc_sched.count > 1 && (at_load_rlx(&sc_sched.idle) & 0xffff) * 2 <= sc_sched.count)
			strand = search(worker);
		else
			strand = pick(worker);
		if (strand)
			break;
		sc_idle_sleep(worker);
	}
	end_search(worker);
	return strand;
}

static void run(struct sc_worker *worker, struct sc_strand *strand)
{
	count(&worker->progress, 1);
	strand->reason = SC_RUNNING;
	if (strand->on_resume)
		strand->on_resume(worker, strand);
	else
		switch_to(worker, &worker->native, strand);
}

void sc_worker_loop(struct sc_worker *worker)
{
	while (!at_load_acq(&sc_sched.stop)) { /* [sched.stop] */
		struct sc_strand *strand = find(worker);

		if (strand)
			run(worker, strand);
	}
}

/* ---- on a strand -------------------------------------------------------------------------- */

static void requeue(struct sc_worker *worker, struct sc_strand *strand)
{
	if (strand->pinned) {
		sc_ready(strand);
		return;
	}
	strand->reason = SC_READY;
	push(worker, &strand->item);
}

int sc_give_way(struct sc_worker *worker)
{
	struct sc_strand *self = worker->strand, *strand;

	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	strand = pick(worker);
	if (!strand)
		return 0;
	count(&worker->progress, 1);
	put_aside(worker);
	if (strand->on_resume) {
		/* It wants the worker's own stack: the loop continues it first. */
		sc_ready(strand);
		leave(worker, self, requeue);
	} else {
		strand->reason = SC_RUNNING;
		worker->post = requeue;
		worker->post_strand = self;
		switch_to(worker, self, strand);
	}
	sc_hooks.resume(sc_self());
	return 1;
}

/* The next unstarted task for the strand that just ended one: no switch at all. */
static int next_slot(struct sc_worker *worker, struct sc_strand *strand)
{
	if (strand->own_stack || worker->next || sc_ring_count(&worker->ring) ||
	    ++worker->picks % INBOX_EVERY == 0 || sc_sched.seed ||
	    at_load_rlx(&worker->tick) || !take_own(worker, &strand->slot))
		return 0;
	strand->task = NULL;
	strand->pinned = NULL;
	return 1;
}

/* Where a new strand starts; goes round once for each task that it runs. */
void sc_strand_main(void *fiber)
{
	struct sc_strand *strand = SC_CONTAINER((struct sc_fiber *)fiber, struct sc_strand, fiber);

	sc_land();
	for (;;) {
		struct sc_strand *to = sc_hooks.run(strand);
		struct sc_worker *worker = sc_self();

		count(&worker->started, 1);
		worker->cur = 0;
		if (to && (to->on_resume || to->pinned)) {
			sc_ready(to);
			to = NULL;
		}
		if (to) {
			to->reason = SC_RUNNING;
			worker->post = recycle;
			worker->post_strand = strand;
			switch_to(worker, strand, to);
		} else if (!next_slot(worker, strand)) {
			leave(worker, strand, recycle);
		}
	}
}
