/* runtime/scope/child.h: scopes that hang below others and are no places: in objects, in between.
 *
 * A scope in between (rule C9) is the runtime's: it holds one task, so that what is cancelled is
 * that task and what it spawns.  When the task ends, `ended` closes the scope in the finishing
 * task, unless its parent's close has claimed it.
 */
#ifndef SC_SCOPE_CHILD_H
#define SC_SCOPE_CHILD_H

#include "scope/tree.h"

struct sc_between {
	struct sc_scope scope; /* first */
	/* const: the last access of the task's end, as sc_units_end. */
	struct sc_strand *(*ended)(struct sc_between *between, int rc);
	uint32_t service; /* const: its parent's close cancels it; else it is a member */
};

SC_INLINE struct sc_between *sc_between(struct sc_scope *s)
{
	return SC_CONTAINER(s, struct sc_between, scope);
}

/* Makes s, whose state is set by the caller, a scope below `parent`, which is open.  `owner` may
 * close it, as sc_task_of; 0: nobody, in between. */
void sc_hang(struct sc_worker *worker, struct sc_scope *s, struct sc_scope *parent, uintptr_t owner,
	     const void *site);
/* Nothing is left in s: what its close returns.  A hit from above goes to the parent. */
int sc_conclude(struct sc_scope *s);
/* ... takes it out of the tree.  The parent, if that waits for the end of a unit; else NULL. */
struct sc_scope *sc_take_down(struct sc_scope *s);
/* Both; what its close would have returned is the parent's error. */
struct sc_scope *sc_pass_up(struct sc_scope *s);
/* One service more or less in s; -ENOMEM. */
int sc_count_service(struct sc_scope *s, int change);
void sc_between_free(struct sc_between *between);

#endif
