/* runtime/sched/loop.c: the worker's loop and how strands follow one another.
 *
 * The loop runs on the worker's own stack.  It continues ready strands and starts
 * unstarted tasks on a spare strand.  A strand that parks goes back to the loop; one that
 * yields, or ends and thereby wakes its parent, switches to the next strand directly.
 */
#include "sched/poll.h"

/* About 4 us of ticks. */
#define SHORT_TICKS 10000u

struct sc_worker sc_worker_none;
__thread struct sc_worker *sc_self_tls = &sc_worker_none;
struct sc_sched sc_sched;
struct sc_hooks sc_hooks;

static void count(SC_WORD(uint64_t) *counter)
{
	at_store_rlx(counter, *counter + 1);
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

SC_INLINE void set_running(struct sc_worker *worker, struct sc_strand *strand)
{
	worker->strand = strand;
	worker->cur = strand->place;
	at_store_rlx(&worker->stack_limit, (uintptr_t)strand->fiber.stack_low + 16384);
}

SC_INLINE void switch_to(struct sc_worker *worker, struct sc_strand *from, struct sc_strand *to)
{
	from->place = worker->cur;
	set_running(worker, to);
	sc_fiber_switch(&from->fiber, &to->fiber);
	sc_land();
}

/* Back to the worker's loop, which calls post(worker, from). */
static SC_NOINLINE void leave(struct sc_worker *worker, struct sc_strand *from,
		  void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	worker->post = post;
	worker->post_strand = from;
	switch_to(worker, from, &worker->native);
}

static void recycle(struct sc_worker *worker, struct sc_strand *strand)
{
	strand->reason = SC_FREE;
	if (strand->own_stack)
		return;
	if (!worker->spare)
		at_store_rlx(&worker->spare, strand);
	else
		sc_fiber_give(&worker->pool, &strand->fiber);
}

/* Other tasks of the strand's scopes become runnable elsewhere. */
static void put_aside(struct sc_worker *worker)
{
	if (worker->bottom.top != worker->bottom.split)
		sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	sc_hooks.suspend(worker);
	if (sc_deque_exposed(&worker->deque) > 1)
		sc_notify();
}

/* Whether a pick would look at nothing but the worker's own queue. */
SC_INLINE int only_queue_is_due(struct sc_worker *worker)
{
	return worker->inbox_turn > 1 && !sc_inbox_count(&worker->pinned) &&
	       worker->bottom.top == worker->deque.slots && !sc_clock_is_due(worker) &&
	       !sc_seeded();
}

/* The strand of an item that was taken out of the worker's queue, if it can be continued just so;
 * else the item goes back to the front, for the long way round. */
SC_INLINE struct sc_strand *plain_strand(struct sc_worker *worker, struct sc_item *item)
{
	struct sc_strand *strand = SC_CONTAINER(item, struct sc_strand, item);

	if (SC_LIKELY(item->kind == SC_ITEM_STRAND && !strand->on_resume && !strand->pinned)) {
		worker->inbox_turn--;
		return strand;
	}
	if (worker->next)
		sc_enqueue(worker, worker->next);
	worker->next = item;
	return NULL;
}

/* Who continues in place of a strand that parks, if that can be told without the loop. */
SC_INLINE struct sc_strand *next_in_turn(struct sc_worker *worker)
{
	struct sc_item *item = only_queue_is_due(worker) ? sc_pop_queued(worker) : NULL;

	return item ? plain_strand(worker, item) : NULL;
}

SC_INLINE void park_for(struct sc_worker *worker, struct sc_strand *to, enum sc_reason reason,
			void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	struct sc_strand *self = worker->strand;

	self->reason = reason;
	self->since = at_load_rlx(&sc_sched.recent);
	count(&worker->parks);
	if (!to) {
		leave(worker, self, post);
		return;
	}
	count(&worker->progress);
	to->reason = SC_RUNNING;
	worker->post = post;
	worker->post_strand = self;
	switch_to(worker, self, to);
}

void sc_park(struct sc_worker *worker, enum sc_reason reason,
	     void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	put_aside(worker);
	park_for(worker, next_in_turn(worker), reason, post);
	sc_hooks.resume(sc_self());
}

int sc_park_lightly(struct sc_worker *worker, enum sc_reason reason,
		    void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	struct sc_strand *to = next_in_turn(worker);

	if (!to)
		return 0;
	park_for(worker, to, reason, post);
	return 1;
}

/* ---- searching -------------------------------------------------------------------------- */

static int has_private(struct sc_worker *victim)
{
	return at_load_rlx(&victim->bottom.top) > at_load_rlx(&victim->bottom.split);
}

/* Calls those who have private work: whether there is one. */
static int ask(struct sc_worker *worker, int by_signal)
{
	int asked = 0;
	unsigned i;

	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *victim = &sc_sched.workers[i];

		if (victim == worker || !has_private(victim))
			continue;
		sc_poke(victim);
		if (by_signal && at_load_acq(&victim->known)) /* [thread.known] */
			sc_os.thread_signal(victim->thread);
		asked = 1;
	}
	return asked;
}

/* Searches for about the time that a wake-up takes where that pays: where the worker was last idle
 * between two parts of one computation, which are divided while somebody looks for work, and
 * where descriptors are waited for, which it looks at too.  Else what comes was woken by a timer or
 * by another task, is short, and comes when it does.  The caller counts as searching. */
static struct sc_strand *search(struct sc_worker *worker)
{
	uint64_t start_ticks = sc_ticks(), most = worker->search_ticks;
	unsigned turn;

	for (turn = 0; !at_load_rlx(&sc_sched.stop); turn++) {
		struct sc_strand *strand = sc_steal(worker);

		if (!strand)
			strand = sc_pick(worker);
		if (strand)
			return strand;
		if (turn % 16 == 0 && sc_polling() && !at_load_rlx(&sc_sched.timekeeper) &&
		    sc_poll_look())
			continue;
		if (turn == 0)
			ask(worker, 0);
		if (sc_ticks() - start_ticks > most || turn > 2000) {
			if (most == SC_SEARCH_TICKS || !ask(worker, 0))
				break;
			most = SC_SEARCH_TICKS; /* somebody computes: for its answer */
		}
		sc_relax(turn);
	}
	/* No answer: who has private work computes without calling in. */
	ask(worker, 1);
	return sc_steal(worker);
}

/* A searcher that found work hands the search on if it was the last one. */
static void end_search(struct sc_worker *worker)
{
	uint32_t before = at_sub_rlx(&sc_sched.idle, SC_SEARCHING); /* [idle.dekker] */

	at_fence_sc(); /* [idle.dekker] */
	if (sc_searchers(before) <= 1 && sc_any_work(worker))
		sc_wake_one();
	else if (sc_sleepers(at_load_rlx(&sc_sched.idle)))
		ask(worker, 0); /* what others keep is for those who sleep */
}

/* Whether to search for as long before the next sleep. */
static int pays(const struct sc_strand *found, uint64_t start_ticks)
{
	int unstarted = !found->place;

	return sc_polling() || (unstarted && sc_ticks() - start_ticks < 2 * SC_SEARCH_TICKS);
}

static struct sc_strand *find(struct sc_worker *worker)
{
	struct sc_strand *strand = sc_pick(worker);
	uint64_t start_ticks;

	if (strand)
		return strand;
	start_ticks = sc_ticks();
	sc_deque_reset(&worker->deque, &worker->bottom);
	at_add_rlx(&sc_sched.idle, SC_SEARCHING); /* [idle.dekker] */
	while (!at_load_rlx(&sc_sched.stop)) {
		if (sc_sched.count > 1 &&
		    sc_searchers(at_load_rlx(&sc_sched.idle)) * 2 <= (int)sc_sched.count)
			strand = search(worker);
		else if (!(strand = sc_pick(worker)))
			strand = sc_steal(worker); /* enough others spin */
		if (strand)
			break;
		sc_idle_sleep(worker);
	}
	end_search(worker);
	if (strand)
		worker->search_ticks = pays(strand, start_ticks) ? SC_SEARCH_TICKS : SHORT_TICKS;
	return strand;
}

static void run(struct sc_worker *worker, struct sc_strand *strand)
{
	count(&worker->progress);
	strand->reason = SC_RUNNING;
	if (strand->on_resume)
		strand->on_resume(worker, strand);
	else
		switch_to(worker, &worker->native, strand);
}

void sc_worker_loop(struct sc_worker *worker)
{
	while (!at_load_rlx(&sc_sched.stop)) {
		struct sc_strand *strand = find(worker);

		if (strand)
			run(worker, strand);
	}
}

/* ---- on a strand -------------------------------------------------------------------------- */

SC_INLINE void requeue_at(struct sc_worker *worker, struct sc_strand *strand,
			  struct sc_inbox *inbox)
{
	struct sc_batch batch = {NULL, NULL, 0};

	if (strand->pinned) {
		sc_ready(strand);
		return;
	}
	strand->reason = SC_READY;
	if (inbox) {
		sc_batch_add(&batch, &strand->item);
		sc_inbox_put(inbox, &batch);
	} else {
		sc_enqueue(worker, &strand->item);
	}
	if (sc_hungry())
		sc_offer(worker);
}

static void requeue(struct sc_worker *worker, struct sc_strand *strand)
{
	requeue_at(worker, strand, NULL);
}

/* It had the worker when the tick came: behind all in the inbox, which is looked at now and then.
 * In the ring those that compute would take 10 ms for each turn of thousands of short ones.  If it
 * has not parked since the tick before, it does compute, and goes behind those too that were woken
 * meanwhile. */
static void requeue_last(struct sc_worker *worker, struct sc_strand *strand)
{
	int computes = strand->since < strand->ticked;

	strand->ticked = at_load_rlx(&sc_sched.recent);
	requeue_at(worker, strand, computes ? &sc_sched.late : &sc_sched.inbox);
}

/* The strand next in the ring if nothing else is due to be looked at: not the LIFO place,
 * not the inbox, no timers, no slots. */
SC_INLINE struct sc_strand *next_in_ring(struct sc_worker *worker)
{
	struct sc_item *item = NULL;

	if (!worker->next && only_queue_is_due(worker))
		item = sc_ring_pop(&worker->ring);
	return item ? plain_strand(worker, item) : NULL;
}

int sc_hand_over(struct sc_worker *worker)
{
	struct sc_strand *self = worker->strand, *to;

	if (self->pinned || !(to = next_in_ring(worker)))
		return 0;
	count(&worker->progress);
	self->reason = SC_READY;
	to->reason = SC_RUNNING;
	/* Without thieves it may be in the ring while it still runs; there is room. */
	if (worker->ring.solo) {
		sc_ring_push(&worker->ring, &self->item);
	} else {
		worker->post = requeue;
		worker->post_strand = self;
	}
	switch_to(worker, self, to);
	return 1;
}

int sc_give_way(struct sc_worker *worker, int last)
{
	void (*post)(struct sc_worker *, struct sc_strand *) =
		last && !sc_seeded() ? requeue_last : requeue;
	struct sc_strand *self = worker->strand, *strand;

	if (worker->bottom.top != worker->bottom.split)
		sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	strand = sc_pick(worker);
	if (!strand)
		return 0;
	count(&worker->progress);
	put_aside(worker);
	if (strand->on_resume) {
		/* It wants the worker's own stack: the loop continues it first. */
		sc_ready(strand);
		leave(worker, self, post);
	} else {
		strand->reason = SC_RUNNING;
		worker->post = post;
		worker->post_strand = self;
		switch_to(worker, self, strand);
	}
	sc_hooks.resume(sc_self());
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

		count(&worker->started);
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
		} else if (!sc_next_slot(worker, strand)) {
			leave(worker, strand, recycle);
		}
	}
}
