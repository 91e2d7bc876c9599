/* runtime/scope/survey.h: the tasks and scopes of a run as they were seen while it went on.
 *
 * A survey takes no lock of the tree and stops nobody, so it can't hang on a task that is stuck,
 * whatever that holds.  It looks at the control block of every stack: each task that has started
 * is on one of them.  A strand's scopes and inlined tasks form a chain from its place up to its
 * node; the chain of a parked strand stands still, and what is above it lives as long as it does
 * (S1).  Of a strand that moved meanwhile the chain is read again, at last only its first task is
 * shown.  All is read by sc_os_peek: a running strand's chain may lead anywhere.
 */
#ifndef SC_SCOPE_SURVEY_H
#define SC_SCOPE_SURVEY_H

#include "scope/tree.h"

enum sc_sight_kind { SC_SIGHT_SCOPE, SC_SIGHT_TASK };

/* A task or a scope.  References are indices + 1, 0: none. */
struct sc_sight {
	uintptr_t place;      /* a scope, a node, or s|1: the task inlined in the close of s */
	uintptr_t above;      /* the place that it is in */
	uint32_t parent;      /* that of `above`; 0: the run */
	uint32_t child, next; /* the first thing in it; the next thing in the parent */
	uint32_t task;        /* the next task above it that is no share */
	enum sc_sight_kind kind;
	const char *name;     /* the user's, or NULL */
	uint32_t number;      /* of a task among those of its name; 0: it has none */
	const void *site;     /* where it was spawned or opened; NULL: by scope_run */

	/* tasks */
	const void *fn;
	enum sc_reason reason; /* IN_CLOSE too if a child runs inlined in it */
	uint32_t share;        /* no task: a thief's part of a range */
	uint32_t moving;       /* its strand did not stand still */
	uint32_t inner;        /* the youngest scope that it has open */
	uintptr_t inner_place;
	int64_t since, wake_at;
	const void *object; /* see enum sc_reason */
	struct sc_worker *worker; /* RUNNING: which runs it */
	const struct sc_fiber *fiber;
	size_t stack;          /* bytes in use if put aside, by all tasks of the strand */

	/* scopes */
	uint32_t state;
	int32_t code;
	int64_t count;
	int64_t deadline; /* 0: none */
};

struct sc_survey {
	struct sc_sight *sights;
	uint32_t count, room;
	uint32_t first;    /* the first thing in the run */
	uint64_t left_out; /* for want of memory */
	uint32_t *table;   /* by place, open addressing: indices + 1 */
	uint32_t slots;    /* a power of two */
};

/* One at a time.  Fills it and gives it back. */
void sc_survey_take(struct sc_survey *survey);
void sc_survey_drop(struct sc_survey *survey);

/* What follows in the order of the tree, as index + 1; 0: nothing. */
uint32_t sc_survey_next(const struct sc_survey *survey, uint32_t index);

/* A strand in a cancelled place that no cancel wakes: it runs, or waits in close or for an
 * offloaded call.  Two of them are the same wait, or computation, if they are equal. */
struct sc_stuck {
	const struct sc_fiber *fiber;
	enum sc_reason reason;
	uint64_t stamp;  /* moves when it calls in, or parks */
	uintptr_t place; /* 0 of one that runs */
};
/* Whether this is one; on the monitor. */
int sc_survey_stuck(struct sc_fiber *fiber, struct sc_stuck *out);

/* A user's text, which may be gone: at most size - 1 bytes, without control characters. */
const char *sc_peek_text(const char *text, char *out, size_t size);

#endif
