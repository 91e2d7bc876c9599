/* runtime/scope/counted.c: scopes all of whose tasks are units: see tree.h.
 *
 * With a body the owner's place is a barrier below the scope, so that no fast path meets the
 * scope itself.  The body has no tasks; what happens in it is the scope's (sc_counted).
 */
#include "scope/child.h"
#include "scope/fast.h"
#include <errno.h>

int sc_open_counted(struct sc_worker *worker, struct sc_scope *s, const void *site)
{
	struct sc_scope *body = sc_os.alloc(sizeof *body);
	uint32_t state = sc_state(s);

	if (!body)
		return -ENOMEM;
	sc_open_at(worker, s, site);
	s->state = state | SC_COUNTED;
	s->holder = (struct sc_holder){sc_task_of(s->parent), body};
	sc_open_at(worker, body, site);
	body->state = SC_BARRIER;
	return 0;
}

void sc_close_body(struct sc_scope *s)
{
	/* What happened in it was told to s. */
	scope_close((struct scope *)s->holder.body);
}

int sc_owns(struct sc_worker *worker, struct sc_scope *s)
{
	uintptr_t owner;

	if (s->holder.body)
		return worker->cur == (uintptr_t)s->holder.body;
	sc_lock_take(&sc_lineage);
	owner = s->holder.owner;
	sc_lock_drop(&sc_lineage);
	return owner == sc_task_of(worker->cur);
}

struct sc_strand *sc_counted_ended(struct sc_scope *s, int rc)
{
	if (sc_state(s) & SC_BETWEEN)
		return sc_between(s)->ended(sc_between(s), rc);
	return sc_units_end(s, 1);
}
