/* runtime/scope/extra.c: makes and frees what a scope has beyond struct sc_scope. */
#include "scope/joiner.h"

struct sc_extra *sc_extra(struct sc_scope *s)
{
	struct sc_extra *extra;

	if (sc_state(s) & SC_EXTRA)
		return s->extra;
	extra = sc_os.alloc(sizeof *extra);
	if (extra) {
		*extra = (struct sc_extra){0};
		s->extra = extra;
		at_or_rlx(&s->state, SC_EXTRA);
	}
	return extra;
}

void sc_drop_extra(struct sc_scope *s)
{
	sc_drop_records(s->extra);
	sc_drop_memory(s->extra);
	if (s->extra->joiner)
		sc_joiner_free(s->extra->joiner);
	sc_os.free(s->extra);
}

const char *sc_name(struct sc_scope *s)
{
	return sc_state(s) & SC_EXTRA ? s->extra->name : NULL;
}
