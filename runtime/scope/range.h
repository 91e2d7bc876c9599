/* runtime/scope/range.h: a range of work as one slot, halved when another worker is hungry.
 *
 * The slot lies on the deque while a part of its range runs: it is taken off, `low` moves
 * up, it is put back, then the part runs.  So a park, or a thief, finds exactly the rest
 * there.  low, high and step belong to who took the slot off; after each part the runner
 * looks whether the slot is still where it left it.
 */
#ifndef SC_SCOPE_RANGE_H
#define SC_SCOPE_RANGE_H

#include "scope/tree.h"

struct sc_range {
	size_t low, high; /* what is left */
	size_t step;      /* length of the next part */
	size_t grain;     /* const: longest part; 0: found by time */
	/* Runs [begin, end); nonzero is an error of the scope. */
	int (*part)(struct sc_range *range, size_t begin, size_t end);
	/* A new record for [low, high), to the right of this one; NULL: no memory. */
	struct sc_range *(*split)(struct sc_range *range, size_t low, size_t high);
	void (*done)(struct sc_range *range); /* the range is used up; may be NULL */
	const void *what; /* const: the user's function, for names */
	/* The next record to the right, for who made the first one: a thief's share and its
	 * first runner may both still use a record until close.  Written by split. */
	struct sc_range *next;
	/* const, each: parts are single tasks fn(base + i * stride), and all of them run */
	uint32_t each;
	scope_task_fn *fn;
	char *base;
	size_t stride;
};

/* Puts a range into s, whose owner runs; as scope_spawn. */
int sc_range_push(struct sc_worker *worker, struct sc_scope *s, struct sc_range *range,
		  const void *site);

#endif
