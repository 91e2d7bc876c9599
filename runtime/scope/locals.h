/* runtime/scope/locals.h: values bound for a time: scope_local.h, rule L1.
 *
 * A binding is a place: a scope that accepts no task, to which errors and hits are not charged
 * (SC_BARRIER), marked by SC_BINDING.  So what a task sees is what a walk upward from its place
 * meets: a child's walk goes through the place where its scope was opened, by itself.  Opening
 * and closing scopes knows nothing of it.
 */
#ifndef SC_SCOPE_LOCALS_H
#define SC_SCOPE_LOCALS_H

#include "scope/tree.h"
#include <scope_local.h>

struct sc_local {
	const struct scope_local *key;
	void *value;
};

/* The inside of struct scope_local_binding. */
struct sc_binding {
	struct sc_scope place;        /* state: SC_BINDING */
	size_t count;                 /* const while bound, as what follows */
	const struct sc_local *locals;
	struct sc_local own;          /* of scope_local_bind */
};

/* What a task with SCOPE_COPY_LOCALS is given. */
struct sc_locals {
	size_t count;
	struct sc_local local[];
};

/* How many the running task sees, at most. */
size_t sc_locals_seen(void);
/* Copies each that it sees to `out`, which has room for so many. */
void sc_locals_copy(struct sc_locals *out);
/* Calls the function of a task that was given some. */
int sc_locals_run(const struct sc_task *task);

#endif
