/* runtime/scope/service.c: tasks that do not keep their scope open: rule S16.
 *
 * A service has a scope of its own in between, which is no unit of the parent.  The parent's close
 * cancels and joins one after another, the youngest first, when everything else has ended
 * (object.c).  One that ends before closes its scope itself, as an owner would.
 */
#include "scope/child.h"
#include "scope/extra.h"
#include <errno.h>

static struct sc_strand *ended(struct sc_between *between, int rc)
{
	struct sc_scope *s = &between->scope, *waits;

	(void)rc;
	if (sc_object_enter(s) < 0)
		return sc_units_end(s, 1); /* its parent closes it */
	waits = sc_pass_up(s);
	sc_between_free(between);
	return waits ? sc_units_end(waits, 1) : NULL;
}

void sc_between_free(struct sc_between *between)
{
	sc_os.free(between);
}

int sc_count_service(struct sc_scope *s, int change)
{
	struct sc_extra *extra;

	sc_scope_lock(s);
	extra = sc_extra(s);
	if (extra)
		extra->services += change;
	sc_scope_unlock(s);
	return extra ? 0 : -ENOMEM;
}

int sc_spawn_service(struct sc_worker *worker, struct sc_scope *parent, struct sc_task *task)
{
	struct sc_between *between = sc_os.alloc(sizeof *between);

	if (!between || sc_count_service(parent, 1) < 0) {
		sc_failed(parent, -ENOMEM, 0, task->slot.site, "no memory for a service");
		sc_os.free(between);
		sc_free_task(task);
		return -ENOMEM;
	}
	between->ended = ended;
	between->service = 1;
	between->scope.state = SC_BETWEEN;
	sc_hang(worker, &between->scope, parent, 0, task->slot.site);
	task->slot.scope = &between->scope;
	sc_accept(task);
	return 0;
}
