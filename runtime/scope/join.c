/* runtime/scope/join.c: accepting, closing and counting off the fast path; rules S1-S12.
 *
 * tree.h has the equations.  A unit is +1 before it is published and -1 as the last thing
 * its end does to the scope; errors and hits come before that (K2: they are the finisher's
 * work, for the parent's frame may be buried).
 */
#include "scope/fast.h"
#include "scope/joiner.h"
#include <errno.h>

/* ---- misuse (S9, S10) ------------------------------------------------------------------ */

/* What the task at `place` is to s, which it does not own here and now: -EBUSY: owner with a
 * younger scope open, or in a call that s makes while it ends; -EDEADLK: member; -EPERM:
 * neither. */
static int relation(uintptr_t place, struct sc_scope *s)
{
	struct sc_scope *at;
	int own = 1;

	for (;;) {
		at = sc_untag(place);
		if (at == s)
			return own && !(place & 1) ? -EBUSY : -EDEADLK;
		if (own && sc_is_aside(at) && sc_counted(at) == s)
			return -EBUSY;
		if ((place & 1) || (sc_state(at) & SC_TASK))
			own = 0;
		if (at == &sc_root)
			return -EPERM;
		place = at->parent;
	}
}

int sc_owner_check(struct sc_worker *worker, struct sc_scope *s)
{
	int held, rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_close, or a call like it,");
	if (worker->cur == (uintptr_t)s)
		return 0;
	if (!s)
		return -EINVAL;
	if (sc_state(s) & SC_CLOSED)
		return -ESTALE;
	if ((sc_state(s) & SC_COUNTED) && sc_owns(worker, s))
		return 0;
	held = sc_lineage_hold();
	rc = relation(worker->cur, s);
	sc_lineage_drop(held);
	return rc;
}

int sc_close_slow(struct sc_scope *s)
{
	struct sc_worker *worker = sc_self();
	int rc = sc_owner_check(worker, s);

	sc_check_relation("scope_close of", s, rc);
	if (rc < 0)
		return rc;
	if (sc_is_object(s))
		return sc_close_object(worker, s);
	sc_close_body(s);
	return sc_close_finish(s);
}

/* ---- accepting ------------------------------------------------------------------------- */

int sc_refused(struct sc_worker *worker, struct sc_scope *s)
{
	sc_check_open("spawn into", s);
	/* Without a parent it is zeroed memory that was never opened. */
	if ((sc_state(s) & SC_CLOSED) || s->parent == 0)
		return -ESTALE;
	if (sc_called(worker) && sc_attend(worker))
		sc_defer_tick(worker);
	/* A place on this strand is cancelled only if the strand knows; others: walk. */
	if ((worker->strand->cancelled || sc_untag(worker->cur) != s) && sc_effective(s)) {
		sc_hit(s);
		return -ECANCELED;
	}
	return 0;
}

void sc_accept(struct sc_task *task)
{
	struct sc_scope *s = task->slot.scope;

	if (!(sc_state(s) & SC_SHARED))
		at_or_rlx(&s->state, SC_SHARED);
	at_add_rlx(&s->count, 1);
	sc_submit(task);
}

static struct sc_task *task_for(const struct sc_slot *slot)
{
	struct sc_task *task = sc_os.alloc(sizeof *task);

	if (task) {
		*task = (struct sc_task){0};
		task->slot = *slot;
		task->owns_record = 1;
	}
	return task;
}

int sc_queue_slot(const struct sc_slot *slot, void (*drop)(void *arg))
{
	struct sc_task *task = task_for(slot);

	if (!task) {
		sc_failed(slot->scope, -ENOMEM, 0, slot->site, "no memory to queue a task");
		return -ENOMEM;
	}
	task->drop = drop;
	if (sc_is_joined(slot->scope))
		return sc_joiner_spawn(task, sc_self()->cur ? 0 : SCOPE_NOWAIT);
	sc_accept(task);
	return 0;
}

/* Everything of this strand was taken: start again at the front of the deque. */
static void rewind_deque(struct sc_worker *worker)
{
	struct sc_scope *s = sc_untag(worker->cur);

	if (worker->bottom.top != worker->bottom.split || sc_deque_exposed(&worker->deque))
		return;
	sc_suspend(worker);
	sc_deque_reset(&worker->deque, &worker->bottom);
	s->base = worker->bottom.top;
}

/* Spawns between two looks at who is hungry. */
enum { BURST = 32 };

int sc_push(struct sc_worker *worker, const struct sc_slot *slot)
{
	struct sc_slot *end = worker->deque.slots + worker->deque.capacity;
	struct sc_slot *top = worker->bottom.top;
	int hungry;

	if (top == end) {
		rewind_deque(worker);
		top = worker->bottom.top;
		if (top == end)
			return sc_queue_slot(slot, NULL);
	}
	sc_push_at(worker, top, slot->scope, slot->fn, slot->arg, slot->site);
	if (sc_seeded()) {
		sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
		return 0;
	}
	hungry = sc_hungry();
	if (hungry) {
		/* Someone searches or sleeps: there is always something to take; but a thief that
		 * takes a single small task each time slows the owner down more than it helps. */
		if (sc_deque_exposed(&worker->deque) == 0 ||
		    worker->bottom.top - worker->bottom.split >= BURST) {
			sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
			sc_offer(worker);
		}
		if (end - worker->bottom.top > BURST)
			end = worker->bottom.top + BURST;
	}
	if (!worker->strand->cancelled) {
		at_store_rlx(&worker->bottom.lim, end);
		at_fence_sc(); /* [attend.dekker] */
		/* The reasons too: a call that this overwrote may not show in stack_limit yet. */
		if (sc_called(worker) || at_load_rlx(&worker->tick) || sc_hungry() != hungry)
			at_store_rlx(&worker->bottom.lim, NULL);
	}
	return 0;
}

static int spawn(struct sc_worker *worker, const struct sc_slot *slot)
{
	struct sc_scope *s = slot->scope;
	int rc = sc_refused(worker, s);

	if (rc < 0)
		return rc;
	if (sc_untag(worker->cur) == s)
		return sc_push(worker, slot);
	return sc_queue_slot(slot, NULL);
}

int sc_spawn_slow(struct sc_scope *s, scope_task_fn *fn, void *arg, const void *site)
{
	struct sc_worker *worker = sc_self();
	struct sc_slot slot = {fn, site, arg, s};
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_spawn");
	sc_check_given("spawn into", s);
	if (!s)
		return -EINVAL;
	if (!sc_begin_use(s))
		return -ESTALE;
	rc = spawn(worker, &slot);
	sc_end_use(s);
	return rc;
}

/* ---- the end of a unit ------------------------------------------------------------------- */

/* The last units of a scope whose owner watches.  Under the lock, which stop_watching takes
 * too: so the owner is still in this very wait when it is claimed, and s still open; and what
 * these units wrote, the owner sees by the lock. */
static int end_watched(struct sc_scope *s, uint32_t units, struct sc_strand **out_woken)
{
	int64_t seen = SC_WATCHING + units;
	int ended;

	sc_scope_lock(s);
	ended = at_cas_acq(&s->count, &seen, SC_WATCHING); /* [scope.count] */
	if (ended && sc_wait_claim(s->waiter, SC_WAIT_EVENT))
		*out_woken = s->waiter;
	sc_scope_unlock(s);
	return ended;
}

struct sc_strand *sc_units_end(struct sc_scope *s, uint32_t units)
{
	int64_t seen = at_load_rlx(&s->count);
	struct sc_strand *woken = NULL;

	sc_check_scope("end of a task of", s);
	for (;;) {
		if (SC_UNLIKELY(seen == SC_WATCHING + units)) {
			if (end_watched(s, units, &woken))
				return woken;
			seen = at_load_rlx(&s->count);
		} else if (at_cas_acqrel(&s->count, &seen, /* [scope.count] */
					 seen == SC_WAITING + units ? 0 : seen - units)) {
			return seen == SC_WAITING + units ? at_load_rlx(&s->waiter) : NULL;
		}
	}
}

void sc_drop_units(struct sc_scope *s, uint32_t units)
{
	struct sc_strand *woken = sc_units_end(s, units);

	if (woken)
		sc_ready(woken);
}

/* ---- closing ----------------------------------------------------------------------------- */

static void settle(struct sc_worker *worker, struct sc_scope *s)
{
	sc_suspend(worker);
	sc_deque_reset(&worker->deque, &worker->bottom);
	s->base = worker->bottom.top;
}

/* What is left of s, the place, runs on stacks of its own. */
static void hand_over(struct sc_worker *worker, struct sc_scope *s)
{
	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	sc_suspend(worker);
	s->base = worker->bottom.top;
	sc_notify();
}

/* fast.c popped the top slot of s and saw that it is exposed, that the stack is low or that
 * attention is called for.  Undoes the pop, deals with it, and leaves the loop there to look
 * again; under a cancel, when attention never ends, runs one child itself. */
void sc_close_step(struct sc_scope *s)
{
	struct sc_worker *worker = sc_self();
	uintptr_t low = (uintptr_t)worker->strand->fiber.stack_low + 16384;
	int attention = at_load_rlx(&worker->stack_limit) == UINTPTR_MAX;
	struct sc_slot *top;

	at_store_rlx(&worker->bottom.top, worker->bottom.top + 1);
	/* Under a seed the youngest child need not be the next to run. */
	if (sc_seeded() && sc_draw(2) && sc_give_way(worker, 0))
		return;
	if (attention) {
		if (sc_attend(worker) && sc_others_wait(worker) && sc_give_way(worker, 1))
			return;
		if (!worker->strand->cancelled)
			return;
	}
	if (sc_arch_sp() < low) {
		hand_over(worker, s); /* P7 */
		return;
	}
	if (worker->bottom.top == worker->bottom.split &&
	    !sc_deque_reclaim(&worker->deque, &worker->bottom, s->base)) {
		settle(worker, s);
		return;
	}
	if (!attention && !sc_seeded())
		return;
	top = worker->bottom.top - 1;
	at_store_rlx(&worker->bottom.top, top);
	at_signal_fence();
	if (top < worker->bottom.split) {
		at_store_rlx(&worker->bottom.top, top + 1);
		return;
	}
	if (sc_seeded())
		sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	sc_run_inlined(s, top);
}

/* Those of the owner's slots that a flush took from its hands. */
static int64_t flushed_units(struct sc_scope *s)
{
	return sc_state(s) & SC_FLUSHED ? s->units : 0;
}

/* No slot of s is left with the owner. */
int sc_all_ended(struct sc_scope *s)
{
	return at_load_acq(&s->count) == -flushed_units(s); /* [scope.count] */
}

/* The strand's context is saved and it is the waiter of s.  Whoever takes the last unit
 * continues it; true: there was none left, so the caller does. */
static int begin_to_wait(struct sc_scope *s)
{
	int64_t units = flushed_units(s), seen = at_load_rlx(&s->count);
	int ended;

	s->units = 0;
	do {
		ended = seen + units == 0;
	} while (!at_cas_rel(&s->count, &seen, /* [scope.count] */
			     ended ? 0 : seen + units + SC_WAITING));
	return ended;
}

static void publish_close(struct sc_worker *worker, struct sc_strand *strand)
{
	(void)worker;
	if (begin_to_wait(strand->subject))
		sc_ready(strand);
}

void sc_join(struct sc_scope *s)
{
	struct sc_scope *left;

	while ((left = sc_left_to_join(s))) {
		struct sc_worker *worker = sc_self();

		worker->strand->subject = left;
		at_store_rlx(&left->waiter, worker->strand);
		sc_park(worker, SC_IN_CLOSE, publish_close);
	}
}

/* Each thing that s does when its members have ended may bring new ones. */
static void join_members(struct sc_scope *s)
{
	/* Members may wait for what the last inlined child held. */
	if (sc_state(s) & SC_TAINT)
		sc_held_end(sc_host(sc_self()->strand), s, (uintptr_t)s | 1);
	for (;;) {
		sc_self()->cur = (uintptr_t)s | 1;
		if (!(sc_state(s) & SC_COUNTED))
			s->running.what = NULL; /* for reports: no child is inlined here */
		sc_join(s);
		if (!(sc_state(s) & SC_EXTRA) || !sc_winds_up(s))
			return;
		sc_self()->cur = (uintptr_t)s;
		sc_wind_up(s);
	}
}

int sc_result(struct sc_scope *s, uint32_t state)
{
	if (state & SC_FAILED)
		return s->code;
	if (state & SC_HIT_OUTER)
		return -ECANCELED;
	if ((state & (SC_HIT_OWN | SC_TIMED_OUT)) == (SC_HIT_OWN | SC_TIMED_OUT))
		return state & SC_MOVE_ON ? 0 : -ETIMEDOUT;
	return 0;
}

static void pop(struct sc_worker *worker, struct sc_scope *s, uint32_t state)
{
	struct sc_scope *parent = sc_untag(s->parent);

	worker->cur = s->parent;
	if ((state & SC_FLUSHED) && !(sc_state(parent) & SC_TASK))
		parent->base = worker->bottom.top;
}

uint32_t sc_detach(struct sc_scope *s, struct sc_strand *owner)
{
	/* A walk or a timer may still be about to set bits: both are waited for. */
	if (sc_state(s) & SC_ARMED)
		sc_alarm_disarm(&s->alarm);
	if (sc_state(s) & SC_LINKED) {
		sc_unlink(s);
		/* Who cancels s by name may come still, and must not end a wait elsewhere. */
		if (sc_host(owner)->lingers == s) {
			sc_host(owner)->lingers = NULL;
			sc_unregister(s);
		}
	}
	return sc_state(s);
}

/* The memory of a scope that is closed. */
static void drop_rest(struct sc_scope *s, uint32_t state)
{
	if (state & SC_EXTRA)
		sc_drop_extra(s);
	if (state & SC_COUNTED)
		sc_os.free(s->holder.body);
}

int sc_close_finish(struct sc_scope *s)
{
	struct sc_worker *worker;
	uint32_t state;
	int rc;

	if (sc_state(s) & (SC_FLUSHED | SC_SHARED | SC_EXTRA | SC_TAINT))
		join_members(s);
	state = sc_detach(s, sc_self()->strand);
	rc = sc_result(s, state);
	worker = sc_self();
	if (state & SC_TAINT)
		sc_drop_errors(sc_host(worker->strand), (uintptr_t)s | 1);
	worker->cur = s->parent;
	if (rc != 0)
		sc_keep_error(s, rc);
	if (state & (SC_EXTRA | SC_COUNTED))
		drop_rest(s, state);
	pop(worker, s, state);
	if (rc == -ECANCELED && !(state & SC_FAILED)) {
		sc_hit(sc_untag(s->parent));
		sc_look_again(worker);
	}
	sc_set_closed(s, state);
	return rc;
}

void sc_child_ended(struct sc_scope *s, int rc)
{
	struct sc_worker *worker = sc_self();

	sc_failed(s, rc, worker->cur, (const void *)(s->running.site & ~SC_RUNNING_MARKS), NULL);
}

/* ---- S11: scopes that a task left open ----------------------------------------------------- */

/* Whether this is where the caller of what leaked is: its scopes are not left open. */
static int is_callers(uintptr_t place)
{
	struct sc_scope *s = sc_untag(place);

	return (place & 1) || (sc_state(s) & SC_TASK) || sc_is_aside(s);
}

static int stand_in(void *arg)
{
	struct sc_scope *s = arg;

	/* Of one in an object the owner may be waiting for this. */
	s->extra->abandoned = !(sc_state(s) & SC_OWNER_IN);
	sc_wind_up(s);
	return 0;
}

/* The members of s have ended; what it does after them may park, and needs a stack.  So a task
 * does it, as one more member, whose end continues the strand that waits. */
void sc_send_stand_in(struct sc_scope *s)
{
	struct sc_task *task = &s->extra->stand_in;

	*task = (struct sc_task){.drop = sc_skip_winding_up, .name = "close"};
	task->slot = (struct sc_slot){stand_in, s->site, s, s};
	sc_accept(task);
}

/* Closes the leaked scopes of `strand`, innermost first, without touching its stack; comes
 * back here as the strand's on_resume when one had to be waited for. */
static void leak_go_on(struct sc_worker *worker, struct sc_strand *strand)
{
	while (!is_callers(strand->place)) {
		struct sc_scope *s = (struct sc_scope *)strand->place, *left;
		uint32_t state;

		(void)worker;
		while ((left = sc_left_to_join(s))) {
			strand->on_resume = leak_go_on;
			strand->reason = SC_IN_CLOSE;
			at_store_rlx(&left->waiter, strand);
			if (!begin_to_wait(left))
				return;
		}
		if ((sc_state(s) & SC_EXTRA) && sc_winds_up(s)) {
			sc_send_stand_in(s);
			continue;
		}
		state = sc_detach(s, strand);
		drop_rest(s, state);
		strand->place = s->parent;
		at_store_rlx(&s->state, SC_CLOSED | SC_OWN);
	}
	strand->on_resume = NULL;
	sc_ready(strand);
}

void sc_leak_begin(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_scope *s = (struct sc_scope *)strand->place;
	uintptr_t caller = strand->place;

	sc_check_leak(strand->place);
	while (!is_callers(caller))
		caller = sc_untag(caller)->parent;
	sc_failed_at(sc_untag(caller), -EPROTO, sc_task_of(caller), s->site, SCOPE_SITE_OPEN,
		     "the task returned with a scope still open");
	strand->left_worker = NULL; /* what it finds when it goes on is not what it left */
	/* The slots and the chain belong to a strand that does not run now. */
	worker->cur = strand->place;
	sc_deque_expose(&worker->deque, &worker->bottom, UINT32_MAX);
	sc_suspend(worker);
	worker->cur = 0;
	sc_notify();
	for (; !is_callers((uintptr_t)s); s = (struct sc_scope *)s->parent)
		sc_cancel(s, SCOPE_CAUSE_RUNTIME);
	leak_go_on(worker, strand);
}

/* Back on the strand, which may be elsewhere now; the task's own result. */
int sc_leaks_joined(void)
{
	struct sc_worker *worker;

	sc_land();
	worker = sc_self();
	sc_resume(worker);
	return worker->strand->result;
}

/* ---- scope_wait_until (S12) ------------------------------------------------------------- */

void sc_watch(struct sc_strand *strand, struct sc_scope *s)
{
	int64_t units = flushed_units(s);
	int ended;

	s->units = 0;
	at_or_rlx(&s->state, SC_SHARED); /* they are in `count` from here on */
	at_store_rlx(&s->waiter, strand);
	ended = at_add_rel(&s->count, units + SC_WATCHING) + units == 0; /* [scope.count] */
	if (ended)
		sc_wait_claim(strand, SC_WAIT_EVENT);
}

static void publish_watch(struct sc_worker *worker, struct sc_strand *strand)
{
	sc_wait_publish(worker, strand);
	sc_watch(strand, strand->subject);
	sc_wait_park(worker, strand);
}

/* See end_watched for the lock. */
void sc_watch_stop(struct sc_scope *s)
{
	sc_scope_lock(s);
	at_sub_rlx(&s->count, SC_WATCHING);
	sc_scope_unlock(s);
}

int sc_watch_ended(struct sc_worker *worker, struct sc_scope *s)
{
	/* Never run here, so let others have them; what was taken counts only then. */
	if (sc_untag(worker->cur) == s && worker->bottom.top != s->base)
		hand_over(worker, s);
	return sc_all_ended(s);
}

/* s is the place, or the running task owns it as a counted one. */
static int wait_until(struct sc_scope *s, int64_t deadline_ns)
{
	struct sc_scope *place = sc_untag(sc_self()->cur);
	int rc = sc_check(sc_self());

	while (rc == 0) {
		struct sc_worker *worker = sc_self();

		if (sc_watch_ended(worker, s))
			return 0;
		if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
			return -ETIMEDOUT;
		worker->strand->subject = s;
		sc_wait_begin(worker, deadline_ns);
		sc_park(worker, SC_IN_WAIT, publish_watch);
		sc_wait_withdraw(place);
		sc_watch_stop(s);
		if (sc_all_ended(s))
			return 0; /* completion wins ties (C6) */
		rc = sc_wait_end(place);
	}
	return rc;
}

int scope_wait_until(struct scope *public, int64_t deadline_ns)
{
	struct sc_scope *s = sc_view(public);
	int rc;

	sc_check_close("scope_wait_until of", s);
	rc = sc_owner_check(sc_self(), s);
	sc_check_relation("scope_wait_until of", s, rc);
	if (rc < 0)
		return rc;
	if (!sc_is_object(s))
		return wait_until(s, deadline_ns);
	rc = sc_object_enter(s);
	if (rc < 0)
		return rc;
	rc = wait_until(s, deadline_ns);
	sc_object_leave(s);
	return rc;
}
