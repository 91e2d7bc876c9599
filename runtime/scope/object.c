/* runtime/scope/object.c: scopes that live in objects: rules H0 to H4.
 *
 * Such a scope hangs below its parent from open to close: cancels and deadlines reach it by the
 * walks, and the parent's close, when it comes to them, cancels all and finds them one after
 * another.  The owner closes it (OWNER_IN), or else the parent's close does (PARENT_IN).  Both
 * bits: the parent's close has found the owner in and made that use a unit of the parent, which
 * the owner ends.  Without that unit the owner may not touch the parent once the scope is out of
 * its list.
 *
 * The parent is closed when no unit and no scope below is left: a unit may open scopes there, and
 * the tasks of a scope below may spawn into the parent.
 */
#include "scope/child.h"
#include "scope/extra.h"
#include "scope/ref.h"
#include <errno.h>

struct sc_lock sc_lineage;
static SC_WORD(uint32_t) live; /* scopes in objects that are open */

/* An object above an open scope was opened before it, so who walks up knows of it. */
int sc_lineage_hold(void)
{
	if (!at_load_rlx(&live))
		return 0;
	sc_lock_take(&sc_lineage);
	return 1;
}

void sc_lineage_drop(int held)
{
	if (held)
		sc_lock_drop(&sc_lineage);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Objects will hang below s.  Its close looks at its children as soon as it sees that: they are
 * valid, for it is linked. */
static void expect_objects(struct sc_scope *s)
{
	sc_scope_lock(s);
	SC_INVARIANT(sc_state(s) & SC_LINKED);
	if (!(sc_state(s) & SC_OBJECTS)) {
		s->ends_objects = 0;
		at_or_rlx(&s->state, SC_OBJECTS | SC_SHARED);
	}
	sc_scope_unlock(s);
}

/* s was hung below that parent.  If the parent's close has cancelled the others, this one came
 * too late for it. */
static void cancel_if_late(struct sc_scope *s, struct sc_scope *parent)
{
	int late;

	sc_scope_lock(parent);
	late = parent->ends_objects;
	sc_scope_unlock(parent);
	if (late)
		sc_cancel(s, SCOPE_CAUSE_PARENT);
}

void sc_hang(struct sc_worker *worker, struct sc_scope *s, struct sc_scope *parent, uintptr_t owner,
	     const void *site)
{
	s->parent = (uintptr_t)parent;
	s->late = NULL;
	s->count = 0;
	s->holder = (struct sc_holder){owner, NULL};
	s->site = site;
	s->frame = NULL;
	s->state |= SC_COUNTED;
	sc_seal(s);
	at_add_rlx(&live, 1);
	sc_link(worker, parent);
	expect_objects(parent);
	sc_link(worker, s);
	if (!(sc_state(s) & SC_BETWEEN))
		cancel_if_late(s, parent);
}

/* ---- the parent's close (H1) --------------------------------------------------------------- */

/* lock: sc_lineage, s.  While that unit is there nobody looks below s for more. */
static void count_use(struct sc_scope *s, struct sc_scope *child)
{
	SC_INVARIANT(!(sc_state(child) & SC_PARENT_IN));
	at_or_rlx(&child->state, SC_PARENT_IN);
	at_add_rlx(&s->count, 1);
}

enum kind { MEMBER, SERVICE, OBJECT };

/* A member's end is that of a unit of its parent. */
static enum kind kind_of(struct sc_scope *s)
{
	if (!(sc_state(s) & SC_BETWEEN))
		return OBJECT;
	return sc_between(s)->service ? SERVICE : MEMBER;
}

/* lock: sc_lineage, s.  The first scope below s of that kind in which no owner is; those uses
 * become units. */
static struct sc_scope *first_below(struct sc_scope *s, enum kind kind, int *out_busy)
{
	struct sc_scope *child;

	for (child = s->children; child; child = child->next) {
		uint32_t state = sc_state(child);

		if (!sc_is_object(child) || kind_of(child) != kind)
			continue;
		if (!(state & SC_OWNER_IN))
			return child;
		count_use(s, child);
		*out_busy = 1;
		if (kind == SERVICE)
			return NULL; /* they end one after another */
	}
	return NULL;
}

/* lock: s.  Of very many scopes below it hardly one is a service. */
static int has_services(struct sc_scope *s)
{
	return (sc_state(s) & SC_EXTRA) && s->extra->services > 0;
}

/* lock: sc_lineage, s.  All at once: a task of one may wait for another, and a cancel of the one
 * does not reach the other. */
static void cancel_objects(struct sc_scope *s)
{
	struct sc_scope *child;

	if (s->ends_objects)
		return;
	s->ends_objects = 1;
	for (child = s->children; child; child = child->next)
		if (sc_is_object(child) && kind_of(child) == OBJECT)
			sc_cancel(child, SCOPE_CAUSE_PARENT);
}

/* The scope below s to be closed next, which is claimed and cancelled.  Services come first, the
 * youngest of them before the others: who came last is first in the list.  NULL: none; then
 * *out_busy says whether there are such that end by themselves. */
static struct sc_scope *claim(struct sc_scope *s, int *out_busy)
{
	struct sc_scope *child;
	int fresh = 0;

	*out_busy = 0;
	sc_lock_take(&sc_lineage);
	sc_scope_lock(s);
	child = has_services(s) ? first_below(s, SERVICE, out_busy) : NULL;
	if (!child && !*out_busy) {
		cancel_objects(s);
		child = first_below(s, OBJECT, out_busy);
	}
	if (child && !(sc_state(child) & SC_PARENT_IN)) {
		at_or_rlx(&child->state, SC_PARENT_IN);
		fresh = 1;
	}
	sc_scope_unlock(s);
	sc_lock_drop(&sc_lineage);
	if (fresh)
		sc_cancel(child, SCOPE_CAUSE_PARENT);
	return child;
}

int sc_conclude(struct sc_scope *s)
{
	int rc;

	if (sc_state(s) & SC_ARMED)
		sc_alarm_disarm(&s->alarm);
	rc = sc_result(s, sc_state(s));
	if (rc == -ECANCELED && !(sc_state(s) & SC_FAILED))
		sc_hit(sc_untag(s->parent));
	return rc;
}

struct sc_scope *sc_take_down(struct sc_scope *s)
{
	uint32_t both = SC_OWNER_IN | SC_PARENT_IN;
	struct sc_scope *waits = NULL;

	sc_lock_take(&sc_lineage);
	if ((sc_state(s) & both) == both)
		waits = sc_untag(s->parent);
	if (kind_of(s) == SERVICE)
		sc_count_service(sc_untag(s->parent), -1);
	sc_unlink(s);
	sc_lock_drop(&sc_lineage);
	at_sub_rlx(&live, 1);
	if (sc_state(s) & SC_EXTRA)
		sc_drop_extra(s);
	return waits;
}

struct sc_scope *sc_pass_up(struct sc_scope *s)
{
	int rc = sc_conclude(s);

	if (rc != 0 && (rc != -ECANCELED || (sc_state(s) & SC_FAILED)))
		sc_pass_error(s, rc, sc_untag(s->parent));
	return sc_take_down(s);
}

int sc_object_hold(struct sc_scope *s)
{
	int64_t seen = at_load_rlx(&s->count);

	while (seen >= 0)
		if (at_cas_rlx(&s->count, &seen, seen + 1))
			return 1;
	return 0;
}

void sc_end_use(struct sc_scope *s)
{
	if (sc_is_object(s))
		sc_drop_units(s, 1);
}

static int seal_off(struct sc_scope *s)
{
	int64_t none = 0;

	return at_cas_acq(&s->count, &none, SC_SEALED); /* [scope.count] */
}

/* Closed with its parent, which hears of everything (H2).  Its memory may be gone as soon as an
 * owner who came too late goes on. */
static void close_below(struct sc_scope *s)
{
	struct sc_strand *late;

	sc_pass_up(s);
	if (sc_state(s) & SC_BETWEEN) {
		sc_between_free(sc_between(s));
		return;
	}
	sc_lock_take(&sc_lineage);
	late = s->late;
	sc_set_closed(s, sc_state(s));
	sc_lock_drop(&sc_lineage);
	if (late)
		sc_ready(late);
}

struct sc_scope *sc_left_to_join(struct sc_scope *top)
{
	struct sc_scope *s = top, *below;
	int busy;

	for (;;) {
		if (!sc_all_ended(s))
			return s;
		if (sc_state(s) & SC_OBJECTS) {
			below = claim(s, &busy);
			if (below) {
				s = below;
				continue;
			}
			/* Who is in one is a unit of s now, and a task of one may have left units
			 * behind. */
			if (busy || !sc_all_ended(s))
				continue;
		}
		if (!sc_rights_end(s))
			continue; /* spawned by one */
		/* What it does after its members, another does where its owner may be gone. */
		if (sc_is_object(s) && (sc_state(s) & SC_EXTRA) && sc_winds_up(s)) {
			sc_send_stand_in(s);
			return s;
		}
		if (sc_is_object(s) && !seal_off(s))
			continue;
		if (s == top)
			return NULL;
		below = s;
		s = sc_untag(s->parent);
		close_below(below);
	}
}

/* ---- the owner's close --------------------------------------------------------------------- */

int sc_object_enter(struct sc_scope *s)
{
	uint32_t state;
	int rc = 0;

	sc_lock_take(&sc_lineage);
	state = sc_state(s);
	if (state & SC_CLOSED)
		rc = -ESTALE;
	else if (state & (SC_OWNER_IN | SC_PARENT_IN))
		rc = -EBUSY;
	else
		at_or_rlx(&s->state, SC_OWNER_IN);
	sc_lock_drop(&sc_lineage);
	return rc;
}

void sc_object_leave(struct sc_scope *s)
{
	struct sc_scope *waits = NULL;

	sc_lock_take(&sc_lineage);
	if (at_and_rlx(&s->state, ~(uint32_t)(SC_OWNER_IN | SC_PARENT_IN)) & SC_PARENT_IN)
		waits = sc_untag(s->parent);
	sc_lock_drop(&sc_lineage);
	if (waits)
		sc_drop_units(waits, 1);
}

static void publish_late(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_scope *s = strand->subject;
	int closed;

	(void)worker;
	sc_lock_take(&sc_lineage);
	closed = (sc_state(s) & SC_CLOSED) != 0;
	if (!closed)
		s->late = strand;
	sc_lock_drop(&sc_lineage);
	if (closed)
		sc_ready(strand);
}

/* Its parent closes it: the owner waits for that, after which it may free the memory. */
static int close_late(struct sc_worker *worker, struct sc_scope *s)
{
	worker->strand->subject = s;
	sc_park(worker, SC_IN_CLOSE, publish_late);
	return -ESTALE;
}

int sc_close_object(struct sc_worker *worker, struct sc_scope *s)
{
	struct sc_scope *waits;
	int rc = sc_object_enter(s);

	/* The owner is here, so it is its parent that is in; what s deferred a member calls. */
	if (rc == -EBUSY)
		return close_late(worker, s);
	if (rc < 0)
		return rc;
	sc_join(s);
	rc = sc_conclude(s);
	if (rc != 0)
		sc_keep_error(s, rc);
	if (rc == -ECANCELED)
		sc_look_again(sc_self());
	waits = sc_take_down(s);
	sc_set_closed(s, sc_state(s));
	if (waits)
		sc_drop_units(waits, 1);
	return rc;
}

/* ---- moving (H3) --------------------------------------------------------------------------- */

/* lock: sc_lineage. */
static int is_above(struct sc_scope *s, struct sc_scope *other)
{
	for (s = sc_untag(s->parent); s != &sc_root; s = sc_untag(s->parent))
		if (s == other)
			return 1;
	return 0;
}

/* lock: sc_lineage.  The task that may close s. */
static uintptr_t owner_of(struct sc_scope *s)
{
	return sc_is_object(s) ? s->holder.owner : sc_task_of(s->parent);
}

/* lock: sc_lineage. */
static int move(struct sc_scope *s, struct sc_scope *to)
{
	if (sc_state(s) & SC_CLOSED)
		return -ESTALE;
	if (sc_state(s) & (SC_OWNER_IN | SC_PARENT_IN))
		return -EBUSY;
	if (!is_above(s, to))
		return -EXDEV;
	if (to != sc_untag(s->parent)) {
		expect_objects(to);
		sc_relink(s, to);
		cancel_if_late(s, to);
	}
	s->holder.owner = owner_of(to);
	return 0;
}

int scope_move(struct scope *public, struct scope *new_parent)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_move");
	sc_check_open("scope_move of", s);
	if (sc_state(s) & SC_CLOSED)
		return -ESTALE;
	if (!sc_is_object(s))
		return -EINVAL;
	if (!sc_owns(worker, s))
		return -EPERM;
	sc_lock_take(&sc_lineage);
	rc = move(s, sc_view(new_parent));
	sc_lock_drop(&sc_lineage);
	return rc;
}
