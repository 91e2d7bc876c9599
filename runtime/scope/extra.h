/* runtime/scope/extra.h: what a scope has beyond struct sc_scope, allocated when first needed.
 *
 * Most scopes have none.  It is made by the first of: a name, an error record, an option or
 * a call that needs a field below.  SC_EXTRA in the scope's state says that `extra` is valid;
 * it leaves the fast path of close, which frees it last of all.
 */
#ifndef SC_SCOPE_EXTRA_H
#define SC_SCOPE_EXTRA_H

#include "scope/tree.h"

struct record;
struct sc_entry;
struct sc_joiner;
struct sc_memory;

/* Fields without a mark belong to the owner, or to its stand-in (join.c). */
struct sc_extra {
	const char *name;     /* const after open */
	struct record *first; /* lock: the scope; the list of its errors, error.c */
	uint32_t policy;      /* const after open: enum scope_policy */
	uint32_t abandoned;   /* its owner left it open: nobody sees its result */
	uint32_t failed;      /* lock: an error was not left alone by its policy */
	struct sc_joiner *joiner; /* const after open; JOINED */
	struct sc_entry *entry;   /* lock: the scope; what rights to it name, ref.c */
	int64_t services;         /* lock: the scope; below it now */
	struct sc_task *deferred; /* item.next: the call before */
	struct sc_memory *memory; /* of scope_alloc, the last piece first */
	struct sc_task stand_in;  /* closes the scope if its owner left it open */
};

/* The next in a list of tasks. */
SC_INLINE struct sc_task *sc_task_next(const struct sc_task *task)
{
	struct sc_item *next = task->item.next;

	return (struct sc_task *)next;
}

/* The extra of s, made if it has none; lock, or s is not shared yet.  NULL: no memory. */
struct sc_extra *sc_extra(struct sc_scope *s);
/* Frees it; s is joined. */
void sc_drop_extra(struct sc_scope *s);

/* ---- defer.c ---- */

/* Whether s has more to do after its members: the next deferred call.  The owner makes it with
 * s as its place, or a task that stands in for an owner that is gone, and joins s again. */
int sc_winds_up(struct sc_scope *s);
void sc_wind_up(struct sc_scope *s);
/* For want of a stack it is left out. */
void sc_skip_winding_up(void *s);
/* Frees what scope_alloc gave out. */
void sc_drop_memory(struct sc_extra *extra);
/* Calls fn(arg) in the running task, in a place that no cancel reaches. */
int sc_run_shielded(scope_task_fn *fn, void *arg, const void *site);

/* ---- error.c ---- */

/* Drops the errors that are still listed. */
void sc_drop_records(struct sc_extra *extra);
/* Whether a task of s that ends with that code does what it was told, which is no error. */
int sc_told(struct sc_scope *s, int code);
/* The same when it ends so, once: it is counted; and if it was told by a cancel, that is felt. */
int sc_obeyed(struct sc_scope *s, int code);
/* An error by which the policy of s has the others go on; as sc_failed. */
void sc_list_error(struct sc_scope *s, int code, uintptr_t place, const void *site,
		   const char *text);
/* As if there had been none. */
void sc_forget_errors(struct sc_scope *s);
/* The first of s, or NULL; lock: s. */
const struct scope_error *sc_first_error(struct sc_scope *s);

#endif
