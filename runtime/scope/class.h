/* runtime/scope/class.h: what is counted of the tasks of a class of scopes: rules O2, Y1.
 *
 * A scope of a class that counts has a joiner, which sees each spawn and end.
 */
#ifndef SC_SCOPE_CLASS_H
#define SC_SCOPE_CLASS_H

#include "scope/joiner.h"
#include <scope_class.h>

/* The opaque part of a struct scope_class: written by any worker; each number is for itself. */
struct sc_tally {
	SC_WORD(uint64_t) spawned, ended, parked, cancelled, failed;
};
_Static_assert(sizeof(struct sc_tally) <= sizeof(((struct scope_class *)0)->opaque), "it fits");

SC_INLINE struct sc_tally *sc_tally(const struct scope_class *class_of)
{
	return (struct sc_tally *)(uintptr_t)class_of->opaque;
}

/* s is joined.  So many tasks of it were accepted; one has ended so, on this strand or, for want of
 * a stack, on none. */
void sc_class_spawn(struct sc_scope *s, size_t count);
void sc_class_end(struct sc_scope *s, struct sc_strand *strand, int rc);

#endif
