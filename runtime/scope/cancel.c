/* runtime/scope/cancel.c: locks of the tree, lazy links, the walk of a cancel or a soft stop.
 *
 * A walk holds the locks of its whole path, from the scope where it began down to where it
 * is; unlinking needs the parent's lock.  So nothing that a walk can reach is freed.
 * Claimed strands are queued after all locks are free.
 */
#include "scope/tree.h"

SC_WORD(uint64_t) sc_epoch;
struct sc_scope sc_root;

void sc_scope_lock(struct sc_scope *s)
{
	unsigned turn = 0;

	while (at_or_acq(&s->state, SC_LOCKED) & SC_LOCKED) /* [scope.lock] */
		while (sc_state(s) & SC_LOCKED)
			sc_relax(turn++);
}

void sc_scope_unlock(struct sc_scope *s)
{
	at_and_rel(&s->state, ~(uint32_t)SC_LOCKED); /* [scope.lock] */
}

static int effective(uint32_t state)
{
	return (state & SC_OWN) || (state & (SC_OUTER | SC_SHIELD)) == SC_OUTER;
}

static int stopped(uint32_t state)
{
	return (state & (SC_SOFT | SC_SOFT_OUTER)) != 0;
}

/* Whether the scopes below one in that state have `edge`, OUTER or SOFT_OUTER. */
static int passes(uint32_t state, uint32_t edge)
{
	return edge == SC_OUTER ? effective(state) : stopped(state);
}

int sc_effective(struct sc_scope *s)
{
	for (;; s = sc_untag(s->parent)) {
		uint32_t state = sc_state(s);

		if (state & SC_OWN)
			return 1;
		if (state & SC_SHIELD)
			return 0;
		if (state & SC_LINKED)
			return (state & SC_OUTER) != 0;
	}
}

int sc_stopped(struct sc_scope *s)
{
	for (;; s = sc_untag(s->parent)) {
		uint32_t state = sc_state(s);

		if (stopped(state))
			return 1;
		if (state & SC_LINKED)
			return 0;
	}
}

/* ---- links ----------------------------------------------------------------------------- */

void sc_arm_deadline(struct sc_worker *worker, struct sc_scope *s)
{
	/* lock: s */
	if ((sc_state(s) & (SC_DEADLINE | SC_ARMED | SC_FIRED)) != SC_DEADLINE)
		return;
	s->alarm.kind = SC_ALARM_CALL;
	at_or_rlx(&s->state, SC_ARMED);
	sc_alarm_arm(worker, &s->alarm, s->alarm.timer.when);
}

/* lock: parent. */
static void insert(struct sc_scope *s, struct sc_scope *parent)
{
	s->next = parent->children;
	s->link = &parent->children;
	if (s->next)
		s->next->link = &s->next;
	parent->children = s;
}

/* lock: the parent, s. */
static void take_out(struct sc_scope *s)
{
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
}

/* lock: the parent of s, which is not linked; it is now, and says of the parent what is so.  All at
 * once: as long as it is not linked its owner writes OUTER too, as it found it a while ago. */
static void make_linked(struct sc_scope *s, uint32_t parent)
{
	uint32_t above = (effective(parent) ? SC_OUTER : 0) | (stopped(parent) ? SC_SOFT_OUTER : 0);
	uint32_t state = sc_state(s), linked;

	do {
		linked = (state & ~(uint32_t)SC_OUTER) | above | SC_LINKED;
	} while (!at_cas_rel(&s->state, &state, linked)); /* [scope.linked] */
}

/* The parent is linked.  Two strands may be here for the same s: the parent's lock decides. */
static void link_one(struct sc_worker *worker, struct sc_scope *s)
{
	struct sc_scope *parent = sc_untag(s->parent);

	sc_scope_lock(parent);
	if (!(sc_state(s) & SC_LINKED)) {
		s->children = NULL;
		insert(s, parent);
		make_linked(s, sc_state(parent));
	}
	sc_scope_unlock(parent);
	if (sc_state(s) & SC_DEADLINE) {
		sc_scope_lock(s);
		sc_arm_deadline(worker, s);
		sc_scope_unlock(s);
	}
}

static size_t unlinked_depth(struct sc_scope *s)
{
	size_t depth = 0;

	for (; !(sc_state(s) & SC_LINKED); s = sc_untag(s->parent))
		depth++;
	return depth;
}

/* Top-down without allocating: up to MOST scopes at once; of a longer chain each MOST-th part
 * by itself, which recurses log(depth) deep. */
void sc_link(struct sc_worker *worker, struct sc_scope *s)
{
	enum { MOST = 256 };
	struct sc_scope *path[MOST];
	size_t depth = unlinked_depth(s), part = (depth + MOST - 1) / MOST, i;
	unsigned count = 0;

	/* Others may link the upper scopes meanwhile: the chain only gets shorter. */
	for (i = 0; i < depth; i++, s = sc_untag(s->parent))
		if (i % part == 0)
			path[count++] = s;
	while (count > 0) {
		s = path[--count];
		if (part > 1)
			sc_link(worker, s);
		else if (!(sc_state(s) & SC_LINKED))
			link_one(worker, s);
	}
}

/* What changes here belongs to the parent's lock.  Who comes to s from above holds that until it
 * has left s.  Who begins at s, by a call, an error or an alarm, has ended or was waited for, or
 * keeps the memory of s; and it finds nothing below s any more. */
void sc_unlink(struct sc_scope *s)
{
	struct sc_scope *parent = sc_untag(s->parent);

	sc_scope_lock(parent);
	take_out(s);
	sc_scope_unlock(parent);
}

int sc_register(struct sc_worker *worker, struct sc_strand *strand, struct sc_scope *place)
{
	enum sc_wait over = SC_WAIT_NONE;

	sc_link(worker, place);
	sc_scope_lock(place);
	if (effective(sc_state(place))) {
		over = SC_WAIT_CANCEL;
	} else if (at_load_rlx(&sc_card(strand)->waits_softly) && stopped(sc_state(place))) {
		over = SC_WAIT_SHUTDOWN;
	} else {
		at_store_rlx(&place->waiter, strand);
		at_or_rlx(&place->state, SC_WAITER);
	}
	sc_scope_unlock(place);
	if (over != SC_WAIT_NONE)
		sc_wait_claim(strand, over);
	return over == SC_WAIT_NONE;
}

int sc_commit_slowly(struct sc_worker *worker, struct sc_strand *strand, struct sc_scope *place,
		     uint32_t state)
{
	struct sc_card *card = sc_card(strand);
	uint32_t seen = SC_WAIT_WAITING;

	if ((state & SC_WAITER) && !effective(state) &&
	    !(stopped(state) && at_load_rlx(&card->waits_softly)))
		return 1;
	/* A walk was here and may not have seen the wait: register anew, unless somebody has
	 * ended it and continues the strand. */
	if (!at_cas_rlx(&card->wait, &seen, SC_WAIT_PREPARING)) /* [wait.claim] */
		return 1;
	sc_register(worker, strand, place);
	return sc_wait_commit(strand);
}

/* A walk that was too late to end the wait has left the strand alone when this returns: it
 * can't take the next wait for the one that it found. */
void sc_unregister(struct sc_scope *place)
{
	sc_scope_lock(place);
	at_and_rlx(&place->state, ~(uint32_t)SC_WAITER);
	sc_scope_unlock(place);
}

/* ---- the walk -------------------------------------------------------------------------- */

/* lock: s.  It passes `edge` since now.  True if there was a waiter and this is what ended its
 * wait; a soft stop leaves those alone that do not wait for one. */
static int claim_waiter(struct sc_scope *s, uint32_t edge, struct sc_batch *woken)
{
	uint32_t state = sc_state(s);
	struct sc_card *card;
	int won;

	if (!(state & SC_WAITER))
		return 0;
	/* A task's own node lies beside its card: the strand is not touched. */
	card = state & SC_TASK ? sc_card_of(s) : sc_card(at_load_rlx(&s->waiter));
	at_fence_sc(); /* [wait.again] */
	if (edge == SC_SOFT_OUTER && !at_load_rlx(&card->waits_softly))
		return 0;
	/* A waiter that was woken otherwise stops at the lock in sc_unregister, and can't be in
	 * another wait yet; or it lingers, and its next wait is at this place. */
	won = sc_card_claim(card, edge == SC_OUTER ? SC_WAIT_CANCEL : SC_WAIT_SHUTDOWN);
	at_and_rlx(&s->state, ~(uint32_t)SC_WAITER);
	if (won)
		sc_batch_pack(woken, card->strand);
	return won;
}

/* lock: the parent of s; takes that of s.  True, and the lock kept, if what is below s has
 * to be visited. */
static int enter(struct sc_scope *s, uint32_t edge, int on, struct sc_batch *woken)
{
	int before;

	sc_scope_lock(s);
	before = passes(sc_state(s), edge);
	if (on)
		at_or_rlx(&s->state, edge);
	else
		at_and_rlx(&s->state, ~edge);
	if (passes(sc_state(s), edge) == before) {
		sc_scope_unlock(s);
		return 0;
	}
	if (!before)
		claim_waiter(s, edge, woken);
	return 1;
}

/* lock: top.  Whether it passes `edge` has changed. */
static void walk(struct sc_scope *top, uint32_t edge, struct sc_batch *woken)
{
	struct sc_scope *s = top, *child;
	int on = passes(sc_state(top), edge);

	if (!(at_load_acq(&top->state) & SC_LINKED)) /* [scope.linked] */
		return;
	child = top->children;
	for (;;) {
		while (child && !enter(child, edge, on, woken))
			child = child->next;
		if (child) {
			s = child;
			child = s->children;
			continue;
		}
		if (s == top)
			return;
		child = s->next;
		{
			struct sc_scope *parent = sc_untag(s->parent);

			sc_scope_unlock(s);
			s = parent;
		}
	}
}

void sc_announce(void)
{
	at_add_rel(&sc_epoch, 1); /* [cancel.epoch]; sc_poke_all has the fence */
	sc_poke_all();
}

/* lock: s.  The owner itself was parked in s, which is therefore linked and flushed, and has
 * no task: nobody else can notice. */
static int alone(struct sc_scope *s)
{
	SC_INVARIANT((sc_state(s) & SC_LINKED) && (sc_state(s) & SC_FLUSHED));
	return !s->children && !(sc_state(s) & SC_SHARED) && s->units == 0;
}

void sc_cancel(struct sc_scope *s, enum scope_cause cause)
{
	sc_cancel_by(s, cause, 0);
}

void sc_cancel_by(struct sc_scope *s, enum scope_cause cause, uint32_t canceller)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int quiet = 0;
	uint32_t state;

	sc_scope_lock(s);
	state = sc_state(s);
	if (!(state & SC_OWN)) {
		uint32_t mark = SC_OWN | (uint32_t)cause << SC_CAUSE_SHIFT;

		if (cause == SCOPE_CAUSE_DEADLINE || cause == SCOPE_CAUSE_SHUTDOWN)
			mark |= SC_TIMED_OUT;
		s->canceller = canceller;
		at_or_rlx(&s->state, mark);
		if (!effective(state)) {
			/* Who was woken by something else at that instant has to look. */
			quiet = claim_waiter(s, SC_OUTER, &woken) && alone(s);
			walk(s, SC_OUTER, &woken);
		}
	}
	sc_scope_unlock(s);
	if (!(state & SC_OWN) && !quiet)
		sc_announce();
	sc_ready_batch(&woken);
}

void sc_set_shield(struct sc_scope *s, int on)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int before, after;

	sc_scope_lock(s);
	before = effective(sc_state(s));
	if (on)
		at_or_rlx(&s->state, SC_SHIELD);
	else
		at_and_rlx(&s->state, ~(uint32_t)SC_SHIELD);
	after = effective(sc_state(s));
	if (before != after) {
		if (after)
			claim_waiter(s, SC_OUTER, &woken);
		walk(s, SC_OUTER, &woken);
	}
	sc_scope_unlock(s);
	sc_announce();
	sc_ready_batch(&woken);
}

/* lock: to, its parent now. */
static int pass_on(struct sc_scope *s, uint32_t edge, struct sc_scope *to, struct sc_batch *woken)
{
	if (!enter(s, edge, passes(sc_state(to), edge), woken))
		return 0;
	walk(s, edge, woken);
	sc_scope_unlock(s);
	return 1;
}

/* Both parents are locked, top-down, so a cancel either has passed by s in the one list or finds
 * it in the other. */
void sc_relink(struct sc_scope *s, struct sc_scope *to)
{
	struct sc_scope *from = sc_untag(s->parent);
	struct sc_batch woken = {NULL, NULL, 0};
	int changed;

	sc_scope_lock(to);
	sc_scope_lock(from);
	sc_scope_lock(s); /* no walk is inside any more */
	take_out(s);
	insert(s, to);
	s->parent = (uintptr_t)to;
	sc_scope_unlock(s);
	changed = pass_on(s, SC_OUTER, to, &woken) | pass_on(s, SC_SOFT_OUTER, to, &woken);
	sc_scope_unlock(from);
	sc_scope_unlock(to);
	if (changed)
		sc_announce();
	sc_ready_batch(&woken);
}

void sc_stop_softly(struct sc_scope *s, struct sc_batch *woken)
{
	if (stopped(at_or_rlx(&s->state, SC_SOFT)))
		return;
	claim_waiter(s, SC_SOFT_OUTER, woken);
	walk(s, SC_SOFT_OUTER, woken);
}

/* ---- hits ------------------------------------------------------------------------------ */

void sc_hit(struct sc_scope *s)
{
	uint32_t state, mark;
	int outer;

	/* Now: the scope may be cancelled or shielded otherwise when its task has ended. */
	s = sc_counted(s);
	state = sc_state(s);
	outer = state & SC_OUTER;
	if (!(state & SC_LINKED))
		outer = sc_effective(sc_untag(s->parent));
	mark = outer && !(state & SC_SHIELD) ? SC_HIT_OUTER : SC_HIT_OWN;
	if (!(state & mark))
		at_or_rlx(&s->state, mark);
}
