/* runtime/scope/ref.h: rights to a scope, for what is built on them. */
#ifndef SC_SCOPE_REF_H
#define SC_SCOPE_REF_H

#include "scope/tree.h"
#include <scope_ref.h>

struct sc_entry;

/* What is in a struct scope_ref and in a spawner: may be copied, and kept for ever. */
struct sc_right {
	struct sc_entry *entry; /* not to be looked at if the generation is not of this run */
	uint64_t generation;
};

/* The inside of struct scope_spawner.  Who hands out spawners of another kind (a supervisor)
 * brings its own function, which gets what it finds here. */
struct sc_spawner {
	int (*spawn)(const struct sc_spawner *spawner, scope_task_fn *fn, void *arg,
		     const struct scope_spawn_options *options, const void *site);
	struct sc_right right;
	void *data;
};

/* At the begin and the end of a run. */
void sc_refs_begin(void);
void sc_refs_end(void);
/* A right to s, from a task.  outside: threads that are none may have it too, so the run does not
 * take itself for dead as long as s is open.  0, -ENOTCONN, -ESTALE, -ENOMEM. */
int sc_right_of(struct sc_scope *s, int outside, struct sc_right *out);
/* The scope, held open by a unit that sc_drop_units ends; NULL: it is closed.  Within a run only:
 * a task, or a guest. */
struct sc_scope *sc_hold(const struct sc_right *right);

#endif
