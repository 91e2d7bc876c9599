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

struct sc_extra {
	const char *name;     /* const after open */
	struct record *first; /* lock: the scope; the list of its errors, error.c */
};

/* The extra of s, made if it has none; lock, or s is not shared yet.  NULL: no memory. */
struct sc_extra *sc_extra(struct sc_scope *s);
/* Frees it; s is joined. */
void sc_drop_extra(struct sc_scope *s);

/* error.c: drops the errors that are still listed. */
void sc_drop_records(struct sc_extra *extra);

#endif
