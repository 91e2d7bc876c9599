/* runtime/scope/attend.c: what a running strand does when it is called for attention.
 *
 * Reasons: the cancel epoch moved, one of its scopes is cancelled, another worker is hungry,
 * the monitor's tick.  A strand with a cancelled scope in its chain stays under attention,
 * so that spawns, closes and checkpoints pay for cancellation only then.
 */
#include "scope/inplace.h"
#include <errno.h>

/* Sets or clears OUTER in the unlinked scopes from `from` up to, not including, `end`. */
static void assign(struct sc_scope *from, struct sc_scope *end, int outer)
{
	for (; from != end; from = sc_untag(from->parent)) {
		uint32_t state = sc_state(from), want;

		/* Linked meanwhile by a task below: then the walks keep it up to date. */
		do {
			want = outer ? state | SC_OUTER : state & ~(uint32_t)SC_OUTER;
		} while (!(state & SC_LINKED) && want != state &&
			 !at_cas_rlx(&from->state, &state, want));
	}
}

/* Brings OUTER of the strand's own unlinked scopes up to date: on the way up, a scope with
 * OWN or SHIELD, the first linked one, or the strand's node decides for those below it that
 * are still open.  Notes whether any scope of the chain is cancelled, and
 * whether any is softly stopped: then the epoch is left behind, so that each checkpoint looks
 * and spawns and closes do not. */
static void refresh(struct sc_worker *worker)
{
	struct sc_strand *strand = worker->strand;
	struct sc_scope *open = sc_untag(worker->cur), *s = open;
	int any = 0, soft = 0, linked = 0;

	strand->epoch = at_load_acq(&sc_epoch); /* [cancel.epoch] */
	for (;; s = sc_untag(s->parent)) {
		uint32_t state = sc_state(s);

		any |= (state & (SC_OWN | SC_OUTER)) != 0;
		soft |= (state & (SC_SOFT | SC_SOFT_OUTER)) != 0;
		if (!linked && (state & (SC_OWN | SC_SHIELD))) {
			assign(open, s, (state & SC_OWN) != 0);
			any |= (state & SC_OWN) != 0;
			open = s;
		}
		if (!linked && (state & SC_LINKED)) {
			if (open != s)
				assign(open, s, (state & SC_OUTER) != 0);
			linked = 1;
		}
		if (state & SC_TASK)
			break;
	}
	if (!linked) {
		int outer = sc_effective(sc_untag(s->parent));

		assign(open, sc_untag(s->parent), outer);
		any |= outer;
		soft |= sc_stopped(sc_untag(s->parent));
	}
	strand->cancelled = (uint8_t)any;
	strand->soft = (uint8_t)soft;
	if (soft)
		strand->epoch--;
}

/* Whether its deadline is due; then it has fired.  Under the lock: whoever moves it at this
 * instant has moved it, or is told that it fired. */
static int passed(struct sc_scope *s, int64_t now)
{
	int due;

	sc_scope_lock(s);
	due = (sc_state(s) & SC_DEADLINE) && at_load_rlx(&s->alarm.timer.when) <= now;
	if (due)
		at_or_rlx(&s->state, SC_FIRED);
	sc_scope_unlock(s);
	return due;
}

/* Those of the strand's own scopes, up to one in a state of `until`, but for those in one of
 * `except`.  True if one was due. */
static int look_at_deadlines(struct sc_worker *worker, uint32_t until, uint32_t except)
{
	struct sc_scope *s = sc_untag(worker->cur);
	int64_t now = 0;
	int due = 0;

	for (;; s = sc_untag(s->parent)) {
		uint32_t state = sc_state(s);

		if (state & until)
			return due;
		if (!(state & SC_DEADLINE) || (state & except))
			continue;
		if (now == 0)
			now = sc_now();
		if (passed(s, now)) {
			sc_overdue(s);
			due = 1;
		}
	}
}

/* The deadline of a scope around it may be the same instant, in another worker's wheel, and in
 * the hands of who fires it. */
void sc_timed_out(struct sc_worker *worker)
{
	if (look_at_deadlines(worker, SC_TASK, 0))
		sc_look_again(worker);
}

static void share(struct sc_worker *worker)
{
	uint32_t have = (uint32_t)(worker->bottom.top - worker->bottom.split);

	if (have == 0)
		return;
	sc_deque_expose(&worker->deque, &worker->bottom, (have + 1) / 2);
	sc_offer(worker);
}

int sc_attend(struct sc_worker *worker)
{
	struct sc_strand *strand = worker->strand;
	int due = 0;

	at_store_rlx(&worker->progress, worker->progress + 1);
	sc_attended(worker);
	if (at_load_rlx(&worker->tick)) {
		at_store_rlx(&worker->tick, 0);
		/* Those that are armed fire.  Above the strand's node they belong to strands that
		 * were put aside, which armed them, or that run and look themselves. */
		look_at_deadlines(worker, SC_LINKED | SC_TASK, SC_FIRED | SC_ARMED);
		due = 1;
	}
	/* [attend.dekker] */
	if (strand->cancelled || at_load_rlx(&sc_epoch) != strand->epoch)
		refresh(worker);
	if (sc_hungry())
		share(worker);
	if (strand->cancelled)
		sc_poke(worker);
	else if (sc_hungry())
		at_store_rlx(&worker->bottom.lim, NULL);
	return due;
}

/* A checkpoint that was called, or any under a seed. */
static SC_NOINLINE int look(struct sc_worker *worker, int soft)
{
	int due = sc_attend(worker);
	struct sc_scope *place = sc_untag(worker->cur);

	if (worker->strand->cancelled && sc_effective(place)) {
		sc_hit(place);
		return -ECANCELED;
	}
	if (soft && worker->strand->soft && sc_in_region(worker)) /* of its chain, as it is now */
		return -ESHUTDOWN;
	if (due && SC_UNLIKELY(sc_host(worker->strand)->held))
		sc_held_sweep(sc_host(worker->strand));
	if (due || sc_seeded())
		sc_give_way(worker, due);
	return 0;
}

int sc_check(struct sc_worker *worker)
{
	return SC_UNLIKELY(sc_called(worker) || sc_seeded()) ? look(worker, 1) : 0;
}

int sc_check_cancel(struct sc_worker *worker)
{
	return SC_UNLIKELY(sc_called(worker) || sc_seeded()) ? look(worker, 0) : 0;
}

/* ---- around a park --------------------------------------------------------------------- */

static void arm(struct sc_worker *worker, struct sc_scope *s)
{
	sc_scope_lock(s);
	sc_arm_deadline(worker, s);
	sc_scope_unlock(s);
}

/* Slots that are out of the owner's hands from now on become units of their scopes, and a
 * deadline that only the running owner looked at goes into a wheel.  Stops at the first
 * scope that was flushed before: those above have no slots of their own. */
void sc_suspend(struct sc_worker *worker)
{
	struct sc_slot *bound = worker->bottom.top;
	struct sc_scope *s = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;

	strand->left_worker = worker;
	strand->left_top = bound;
	strand->left_resets = worker->deque.resets;

	for (; !(sc_state(s) & SC_TASK); s = sc_untag(s->parent)) {
		int64_t own = bound - s->base;

		if (sc_state(s) & SC_FLUSHED) {
			s->units += own;
			return;
		}
		bound = s->base;
		s->units = own;
		/* Who sets a deadline looks at FLUSHED after DEADLINE is set. */
		if (at_or_rlx(&s->state, SC_FLUSHED) & SC_DEADLINE)
			arm(worker, s);
	}
}

/* Before others run in its place: who waits for what a child of its held must not wait for it. */
void sc_put_aside(struct sc_worker *worker)
{
	if (SC_UNLIKELY(sc_host(worker->strand)->held))
		sc_held_sweep(sc_host(worker->strand));
	sc_suspend(worker);
}

void sc_resume(struct sc_worker *worker)
{
	struct sc_scope *s = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;

	/* Strands that hand over to each other never meet the loop, which would rewind the
	 * deque: it must not creep on (S13). */
	if (worker->bottom.top != worker->deque.slots)
		sc_deque_reset(&worker->deque, &worker->bottom);
	/* If nothing was put on top of the slots of s meanwhile, they are its owner's again,
	 * exposed as they are: those that nobody took can be inlined after all. */
	worker->floor = worker->bottom.top;
	if (!(sc_state(s) & SC_TASK)) {
		if (strand->left_worker == worker && strand->left_top == worker->bottom.top &&
		    strand->left_resets == worker->deque.resets)
			s->units -= worker->bottom.top - s->base;
		else
			s->base = worker->bottom.top;
		worker->floor = s->base;
	}
	if (strand->cancelled || at_load_rlx(&sc_epoch) != strand->epoch)
		sc_poke(worker);
}

/* ---- the public checkpoints: without a frame where nothing is unusual ------------------- */

int scope_checkpoint(void)
{
	struct sc_worker *worker = sc_self();

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_checkpoint");
	return sc_check(worker);
}

static SC_NOINLINE bool look_for_cancel(struct sc_worker *worker)
{
	struct sc_scope *place;

	if (sc_attend(worker))
		sc_defer_tick(worker);
	place = sc_untag(worker->cur);
	if (!worker->strand->cancelled || !sc_effective(place))
		return false;
	sc_hit(place);
	return true;
}

bool scope_cancelled(void)
{
	struct sc_worker *worker = sc_self();

	if (SC_UNLIKELY(worker->cur == 0))
		return false;
	return SC_UNLIKELY(sc_called(worker)) ? look_for_cancel(worker) : false;
}

SC_INLINE int yield_plainly(struct sc_worker *worker)
{
	struct sc_scope *s = sc_untag(worker->cur);

	if (!sc_suspend_lightly(worker, s) || !sc_hand_over(worker))
		return 0;
	worker = sc_self();
	sc_resume_lightly(worker, s);
	SC_INVARIANT(!worker->strand->cancelled); /* else it had been called */
	if (SC_UNLIKELY(at_load_rlx(&sc_epoch) != worker->strand->epoch))
		sc_poke(worker);
	return 1;
}

int scope_yield(void)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_yield");
	if (SC_LIKELY(!sc_called(worker)) && yield_plainly(worker))
		return 0;
	rc = sc_check(worker);
	if (rc == 0)
		sc_give_way(sc_self(), 0);
	return rc;
}
