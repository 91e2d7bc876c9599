/* runtime/scope/defer.c: what a scope does after its members: deferred calls, memory (S17). */
#include "scope/fast.h"
#include "scope/joiner.h"
#include <errno.h>

/* A piece of scope_alloc; what the caller gets follows, aligned for any type. */
struct sc_memory {
	struct sc_memory *next;
} SC_ALIGNED(16);

/* ---- calls made for a scope ------------------------------------------------------------------ */

/* The place is a scope of its own, whose shield hides even cancels of s; errors pass through it
 * as through a thief's share.  The caller keeps its identity, but not its soft regions, which a
 * soft stop would end.  If fn leaves scopes open, they are what S11 joins, up to this one, and
 * the scope above fails. */
int sc_run_shielded(scope_task_fn *fn, void *arg, const void *site)
{
	struct sc_worker *worker = sc_self();
	unsigned regions = sc_regions_leave(worker);
	struct sc_scope aside;
	int rc;

	sc_open_at(worker, &aside, site);
	at_store_rlx(&aside.state, SC_ASIDE);
	if (worker->strand->cancelled)
		sc_poke(worker); /* not under this shield: look again */
	rc = fn(arg);
	worker = sc_self();
	if (SC_UNLIKELY(worker->cur != (uintptr_t)&aside)) {
		worker->strand->result = rc;
		sc_join_leaks(worker);
		rc = sc_leaks_joined();
	}
	scope_close((struct scope *)&aside);
	sc_regions_return(sc_self(), regions);
	return rc;
}

/* ---- winding up ------------------------------------------------------------------------------ */

int sc_winds_up(struct sc_scope *s)
{
	return s->extra->deferred || (sc_is_joined(s) && sc_joiner_settles(s));
}

static struct sc_task *take_call(struct sc_extra *extra)
{
	struct sc_task *call = extra->deferred;

	extra->deferred = sc_task_next(call);
	return call;
}

void sc_wind_up(struct sc_scope *s)
{
	struct sc_task *call;
	int rc;

	if (!s->extra->deferred) {
		sc_joiner_settle(s);
		return;
	}
	call = take_call(s->extra);
	rc = sc_run_shielded(call->slot.fn, call->slot.arg, call->slot.site);
	if (rc != 0)
		sc_add_error(s, rc, sc_self()->cur, call->slot.site, SCOPE_SITE_DEFER, NULL);
	sc_os.free(call);
}

void sc_skip_winding_up(void *arg)
{
	struct sc_scope *s = arg;

	if (s->extra->deferred)
		sc_os.free(take_call(s->extra));
	else
		sc_joiner(s)->settled = 1;
}

void sc_drop_memory(struct sc_extra *extra)
{
	while (extra->memory) {
		struct sc_memory *piece = extra->memory;

		extra->memory = piece->next;
		sc_os.free(piece);
	}
}

/* ---- the calls of the owner ------------------------------------------------------------------ */

/* As its owner, whatever younger scopes are open. */
static int check_owner(const char *what, struct sc_scope *s)
{
	int rc;

	sc_check_open(what, s);
	rc = sc_owner_check(sc_self(), s);
	if (rc == -EBUSY)
		return 0;
	return rc == -EDEADLK ? -EPERM : rc;
}

static struct sc_extra *locked_extra(struct sc_scope *s)
{
	struct sc_extra *extra;

	sc_scope_lock(s);
	extra = sc_extra(s);
	sc_scope_unlock(s);
	return extra;
}

/* Before the owner adds something.  A scope in an object is entered, for its parent may close it
 * at any time. */
static int begin(const char *what, struct sc_scope *s)
{
	int rc = check_owner(what, s);

	if (rc == 0 && sc_is_object(s) && sc_object_enter(s) < 0)
		return -ESTALE;
	return rc;
}

static void end(struct sc_scope *s)
{
	if (sc_is_object(s))
		sc_object_leave(s);
}

static int add_call(struct sc_scope *s, scope_task_fn *fn, void *arg, const void *site)
{
	struct sc_extra *extra = locked_extra(s);
	struct sc_task *call;

	call = extra ? sc_os.alloc(sizeof *call) : NULL;
	if (!call)
		return -ENOMEM;
	*call = (struct sc_task){0};
	call->slot = (struct sc_slot){fn, site, arg, s};
	call->item.next = (struct sc_item *)extra->deferred;
	extra->deferred = call;
	return 0;
}

int scope_defer(struct scope *public, scope_task_fn *fn, void *arg)
{
	struct sc_scope *s = sc_view(public);
	int rc = begin("scope_defer of", s);

	if (rc < 0)
		return rc;
	rc = add_call(s, fn, arg, __builtin_return_address(0));
	end(s);
	return rc;
}

static void *add_memory(struct sc_scope *s, size_t size)
{
	struct sc_extra *extra = locked_extra(s);
	struct sc_memory *piece;

	piece = extra ? sc_os.alloc(sizeof *piece + size) : NULL;
	if (!piece)
		return NULL;
	piece->next = extra->memory;
	extra->memory = piece;
	return piece + 1;
}

void *scope_alloc(struct scope *public, size_t size)
{
	struct sc_scope *s = sc_view(public);
	void *memory;

	if (size > SIZE_MAX / 2 || begin("scope_alloc of", s) < 0)
		return NULL;
	memory = add_memory(s, size);
	end(s);
	return memory;
}
