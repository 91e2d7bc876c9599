/* runtime/scope/path.h: the tasks from one up to the root, as data and as text.
 *
 * "/main/server/conn#17/reader": the root task first.  Tasks of one name are told apart by
 * numbers that no spawn pays for: a task gets its number when it is named for the first time,
 * because it failed, cancelled or is shown in a dump.  The first of a name has number 1, which
 * is left out.  Numbers are those of one run.
 */
#ifndef SC_SCOPE_PATH_H
#define SC_SCOPE_PATH_H

#include "scope/tree.h"

struct sc_step {
	const void *fn;
	const char *name; /* of the spawn, or NULL: that of fn */
	uint32_t number;
};

/* The innermost `inner` tasks, steps[0] the innermost of all, and behind them, in a ring, the
 * outermost `outer` of the others. */
struct sc_trail {
	struct sc_step *steps;
	unsigned inner, outer;
	unsigned depth; /* of the task: how many there are, kept or not */
	unsigned known; /* 0: memory that was overwritten came before the root (SC_DEBUG) */
};

/* Fills steps and depth; inner and outer are given.  Numbers tasks that have none. */
void sc_trail_fill(struct sc_trail *trail, uintptr_t place);
void sc_trail_fill_held(struct sc_trail *trail, uintptr_t place); /* under sc_lineage_hold */
/* Where tasks are left out it says "/…/". */
void sc_trail_print(const struct sc_trail *trail, char *out, size_t size);
/* The number of the task of a node, which has that function or name, and may have ended: its
 * node stays where it is. */
uint32_t sc_trail_number(struct sc_scope *node, const void *fn, const char *name);
/* No name has a number yet. */
void sc_numbers_reset(void);

#endif
