/* runtime/sched/pick.c: what a worker runs next, of its own and of others.
 *
 * Order of a pick: now and then the inbox; then, each eighth time, the oldest exposed slot;
 * then the queue of ready strands, where the one woken last goes first, at most three times in a
 * row; then the inbox; then the late ones, which compute until the monitor calls, and which go
 * before all others every 50 ms.  Who finds nothing steals: half of another's exposed slots, at
 * most 32, or half of its ready ring.
 */
#include "sched/poll.h"

enum {
	INBOX_EVERY = 61,
	SLOT_EVERY = 8,
	INBOX_MOST = 16,
	INBOX_ROOM = 256, /* with the packs, into an empty ring */
	BATCH = 32,
	STEAL_MOST = 128
};

/* About 50 ms. */
#define LATE_TICKS 125000000u

static struct sc_strand *strand_of(struct sc_item *item)
{
	return SC_CONTAINER(item, struct sc_strand, item);
}

static struct sc_task *task_of(struct sc_item *item)
{
	return SC_CONTAINER(item, struct sc_task, item);
}

/* ---- the worker's own queues ------------------------------------------------------------ */

/* Full: half of the ring moves to the inbox, so that this happens seldom. */
static SC_NOINLINE void overflow(struct sc_worker *worker, struct sc_item *item)
{
	struct sc_batch batch = {NULL, NULL, 0};
	struct sc_item *old;

	while (batch.count < SC_RING_SIZE / 2 && (old = sc_ring_pop(&worker->ring)))
		sc_batch_add(&batch, old);
	sc_batch_add(&batch, item);
	sc_inbox_put(&sc_sched.inbox, &batch);
}

void sc_enqueue(struct sc_worker *worker, struct sc_item *item)
{
	if (SC_UNLIKELY(!sc_ring_push(&worker->ring, item)))
		overflow(worker, item);
}

/* Takes the strands that came in this one's pack, while nobody else sees it; how many. */
static uint32_t unpack(struct sc_item *item, struct sc_item **out)
{
	struct sc_strand *strand = strand_of(item);
	uint32_t i, count = item->kind == SC_ITEM_STRAND ? item->packed : 0;

	if (count == 0)
		return 0;
	item->packed = 0;
	for (i = 0; i < count; i++)
		out[i] = strand->pack[i];
	return count;
}

/* In their order: neighbours in memory stay neighbours in time. */
static SC_NOINLINE struct sc_item *unload(struct sc_worker *worker, struct sc_inbox *inbox)
{
	size_t most = inbox == &sc_sched.inbox ? INBOX_MOST : 1;
	size_t room = sc_ring_count(&worker->ring) ? INBOX_MOST : INBOX_ROOM;
	struct sc_batch batch = sc_inbox_get(inbox, most, room);
	struct sc_item *first = batch.first, *item, *rest, *pack[SC_PACK];
	uint32_t i, count;

	for (item = first; item; item = rest) {
		rest = item->next;
		count = unpack(item, pack);
		if (item != first)
			sc_enqueue(worker, item);
		for (i = 0; i < count; i++)
			sc_enqueue(worker, pack[i]);
	}
	return first;
}

SC_INLINE struct sc_item *from_inbox(struct sc_worker *worker, struct sc_inbox *inbox)
{
	return SC_UNLIKELY(sc_inbox_count(inbox)) ? unload(worker, inbox) : NULL;
}

SC_INLINE struct sc_item *from_shared(struct sc_worker *worker)
{
	struct sc_item *item = from_inbox(worker, &sc_sched.inbox);

	return item ? item : from_inbox(worker, &sc_sched.late);
}

SC_INLINE void prefetch(const void *first, int lines)
{
	int line;

	for (line = 0; line < lines; line++)
		__builtin_prefetch((const char *)first + line * SC_CACHE_LINE, 1);
}

/* Of many strands that were parked for long none is in the cache: fetches the control block of one
 * that comes soon and, when that is there, the frames that it goes on in.  Only without thieves may
 * it be looked into; else the frames are taken to lie directly below. */
static void prefetch_ahead(struct sc_ring *ring)
{
	enum { AHEAD = 8, SOON = 4, BLOCK = 2, FRAMES = 6, BELOW = 12 };
	uint32_t head = at_load_rlx(&ring->head), count = at_load_rlx(&ring->tail) - head;
	struct sc_strand *strand;

	if (count <= AHEAD)
		return;
	strand = strand_of(at_load_rlx(&ring->items[(head + AHEAD) % SC_RING_SIZE]));
	prefetch(strand, BLOCK);
	prefetch(&strand->since, 1);
	if (!ring->solo) {
		prefetch((const char *)strand - BELOW * SC_CACHE_LINE, BELOW);
		return;
	}
	strand = strand_of(at_load_rlx(&ring->items[(head + SOON) % SC_RING_SIZE]));
	if (strand->item.kind == SC_ITEM_STRAND)
		prefetch(strand->fiber.context.sp, FRAMES);
}

struct sc_item *sc_pop_in_turn(struct sc_worker *worker)
{
	struct sc_item *item;

	worker->lifo_run = 0;
	prefetch_ahead(&worker->ring);
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
			at_store_rlx(&worker->spare, SC_CONTAINER(fiber, struct sc_strand, fiber));
	}
	return worker->spare;
}

int sc_can_start(struct sc_worker *worker)
{
	return spare(worker) != NULL;
}

/* Hands an unstarted task to the spare strand.  The caller has seen that there is one. */
static struct sc_strand *start(struct sc_worker *worker, const struct sc_slot *slot,
			       struct sc_task *task)
{
	struct sc_strand *strand = worker->spare;

	at_store_rlx(&worker->spare, NULL);
	strand->slot = *slot;
	strand->batch = 1;
	strand->task = task;
	strand->pinned = task ? task->pinned : NULL;
	strand->place = 0;
	strand->item.kind = SC_ITEM_STRAND;
	sc_card(strand)->strand = strand;
	return strand;
}

static struct sc_item *next_queued(struct sc_worker *worker)
{
	struct sc_item *item = sc_ring_pop(&worker->ring);

	if (!item)
		item = from_inbox(worker, &worker->pinned);
	return item ? item : from_shared(worker);
}

/* No stack for an unstarted task: it goes back, and a strand is looked for instead, which
 * may end and give its stack back. */
static SC_NOINLINE struct sc_strand *pick_strand(struct sc_worker *worker, struct sc_item *item)
{
	struct sc_batch tasks = {NULL, NULL, 0}, own = {NULL, NULL, 0};
	struct sc_strand *strand = NULL;
	uint64_t left = sc_ring_count(&worker->ring) + sc_shared_count() +
			sc_inbox_count(&worker->pinned) + 1;

	for (; item; item = left-- ? next_queued(worker) : NULL) {
		if (item->kind == SC_ITEM_STRAND) {
			strand = strand_of(item);
			break;
		}
		sc_batch_add(task_of(item)->pinned ? &own : &tasks, item);
	}
	sc_inbox_put(&sc_sched.inbox, &tasks);
	sc_inbox_put(&worker->pinned, &own);
	sc_notify(); /* somebody else may have a stack */
	if (strand && strand->pinned && strand->pinned != worker) {
		sc_ready(strand);
		return NULL;
	}
	return strand;
}

/* A queued item as a strand that this worker may continue. */
static struct sc_strand *strand_for(struct sc_worker *worker, struct sc_item *item)
{
	if (SC_LIKELY(item->kind == SC_ITEM_STRAND)) {
		struct sc_strand *strand = strand_of(item);

		if (SC_LIKELY(!strand->pinned || strand->pinned == worker))
			return strand;
		sc_ready(strand); /* batches go to any worker: this one belongs home */
		return NULL;
	}
	if (spare(worker))
		return start(worker, &task_of(item)->slot, task_of(item));
	return pick_strand(worker, item);
}

static SC_NOINLINE struct sc_strand *from_deque(struct sc_worker *worker)
{
	struct sc_slot slot;

	if (!spare(worker) || !sc_deque_take(&worker->deque, &slot, 1))
		return NULL;
	return start(worker, &slot, NULL);
}

static SC_NOINLINE void poll_timers(struct sc_worker *worker)
{
	worker->clock_ticks = sc_ticks();
	if (!(sc_sched.flags & SC_SCHED_VIRTUAL))
		sc_timers_poll(&worker->timers, sc_now());
}

/* One that computes has the worker for 10 ms, in which thousands of others could have had it: so
 * its turn comes by the clock, however many there are. */
static struct sc_item *from_late(struct sc_worker *worker)
{
	uint64_t ticks;

	if (!sc_inbox_count(&sc_sched.late))
		return NULL;
	ticks = sc_ticks();
	if (ticks - worker->late_ticks < LATE_TICKS)
		return NULL;
	worker->late_ticks = ticks;
	return from_inbox(worker, &sc_sched.late);
}

/* What is looked at only sometimes. */
static SC_NOINLINE struct sc_item *pick_rare(struct sc_worker *worker)
{
	struct sc_item *item = NULL;

	if (worker->inbox_turn == 0) {
		worker->inbox_turn = INBOX_EVERY;
		if (sc_polling())
			sc_poll_glance();
		item = from_late(worker);
		if (!item)
			item = from_inbox(worker, &sc_sched.inbox);
	}
	return item ? item : from_inbox(worker, &worker->pinned);
}

/* ---- the seeded schedule (one worker) ----------------------------------------------------- */

/* Any queued strand or exposed slot may go first. */
static SC_NOINLINE struct sc_strand *pick_seeded(struct sc_worker *worker)
{
	struct sc_inbox *inbox = NULL;
	struct sc_ring *ring = &worker->ring;
	struct sc_item *item;
	uint32_t queued;

	/* Draws only where there is a choice: how often a worker looks and finds nothing is
	 * not the seed's. */
	if (sc_inbox_count(&sc_sched.inbox))
		inbox = &sc_sched.inbox;
	if (sc_inbox_count(&worker->pinned) && (!inbox || sc_draw(2)))
		inbox = &worker->pinned;
	if (inbox && sc_ring_count(ring) < SC_RING_SIZE / 2 && (item = from_inbox(worker, inbox)))
		sc_enqueue(worker, item);
	if (worker->next)
		sc_enqueue(worker, worker->next);
	worker->next = NULL;
	queued = sc_ring_count(ring);
	if (sc_deque_exposed(&worker->deque) &&
	    (queued == 0 || sc_draw(queued + 1) == 0))
		return from_deque(worker);
	if (queued > 1) {
		uint32_t head = ring->head % SC_RING_SIZE;
		uint32_t other = (uint32_t)((ring->head + sc_draw(queued)) % SC_RING_SIZE);
		struct sc_item *first = ring->items[head];

		ring->items[head] = ring->items[other];
		ring->items[other] = first;
	}
	item = sc_ring_pop(ring);
	if (!item)
		item = from_inbox(worker, &sc_sched.inbox);
	if (!item)
		item = from_inbox(worker, &worker->pinned);
	return item ? strand_for(worker, item) : NULL;
}

/* ---- picking --------------------------------------------------------------------------------- */

struct sc_strand *sc_pick(struct sc_worker *worker)
{
	struct sc_item *item = NULL;
	struct sc_strand *strand;

	if (SC_UNLIKELY(sc_clock_is_due(worker)))
		poll_timers(worker);
	if (SC_UNLIKELY(sc_seeded()))
		return pick_seeded(worker);
	if (SC_UNLIKELY(--worker->inbox_turn == 0 || sc_inbox_count(&worker->pinned)))
		item = pick_rare(worker);
	/* A first turn may touch a new stack and make one more sleeper: of eight only one begins a
	 * task while others could go on, or those that have begun are late. */
	if (worker->inbox_turn % SLOT_EVERY == 1 && !item && sc_deque_exposed(&worker->deque) &&
	    (strand = from_deque(worker)))
		return strand;
	if (SC_LIKELY(!item))
		item = sc_pop_queued(worker);
	if (SC_UNLIKELY(!item)) {
		if (sc_deque_exposed(&worker->deque) && (strand = from_deque(worker)))
			return strand;
		item = from_shared(worker);
	}
	while (item) {
		strand = strand_for(worker, item);
		if (SC_LIKELY(strand))
			return strand;
		item = sc_ring_pop(&worker->ring);
	}
	return NULL;
}

int sc_others_wait(struct sc_worker *worker)
{
	return worker->next || sc_ring_count(&worker->ring) || sc_shared_count() ||
	       sc_inbox_count(&worker->pinned) ||
	       sc_deque_exposed_below(&worker->deque, worker->floor);
}

int sc_next_slot(struct sc_worker *worker, struct sc_strand *strand)
{
	if (strand->own_stack || worker->next || sc_ring_count(&worker->ring) ||
	    --worker->inbox_turn == 0 || sc_seeded() || at_load_rlx(&worker->tick) ||
	    !sc_deque_exposed(&worker->deque) || !sc_deque_take(&worker->deque, &strand->slot, 1)) {
		if (worker->inbox_turn == 0)
			worker->inbox_turn = 1;
		return 0;
	}
	strand->batch = 1;
	strand->task = NULL;
	strand->pinned = NULL;
	return 1;
}

/* ---- stealing -------------------------------------------------------------------------- */

/* The worker's loop has nothing private.  Tasks of the first one's scope make up a batch,
 * which one strand runs: they lie above top, the oldest last, for the strand to put on the
 * deque as its own.  The others are laid out for all. */
static struct sc_strand *keep_loot(struct sc_worker *worker, struct sc_slot *loot, unsigned got)
{
	struct sc_strand *strand;
	struct sc_slot *top;
	unsigned batch, i;

	at_store_rlx(&worker->stolen, worker->stolen + got);
	sc_deque_reset(&worker->deque, &worker->bottom);
	for (batch = 1; batch < got && loot[batch].scope == loot[0].scope; batch++)
		;
	top = worker->bottom.top;
	for (i = batch; i < got; i++)
		*top++ = loot[i];
	at_signal_fence();
	at_store_rlx(&worker->bottom.top, top);
	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	for (i = batch > 1 ? batch : 0; i > 0; i--)
		*top++ = loot[i - 1];
	strand = start(worker, &loot[0], NULL);
	strand->batch = batch;
	return strand;
}

static struct sc_strand *steal_from(struct sc_worker *worker, struct sc_worker *victim)
{
	struct sc_slot loot[BATCH];
	struct sc_item *items[STEAL_MOST];
	unsigned got, i;

	if (sc_deque_exposed(&victim->deque) && spare(worker)) {
		uint32_t room = (uint32_t)(worker->deque.slots + worker->deque.capacity -
					   worker->bottom.top);

		got = sc_deque_take(&victim->deque, loot, room > BATCH ? BATCH : 1);
		if (got)
			return keep_loot(worker, loot, got);
	}
	got = sc_ring_steal(&victim->ring, items, STEAL_MOST);
	for (i = 1; i < got; i++)
		sc_enqueue(worker, items[i]);
	return got ? strand_for(worker, items[0]) : NULL;
}

struct sc_strand *sc_steal(struct sc_worker *worker)
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

