/* scope_class.h: scopes of one kind: what they have in common, and what their tasks did. */
#ifndef SCOPE_CLASS_H
#define SCOPE_CLASS_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A variable that lives as long as any of its scopes, usually static; all zero but for what is
 * set here. */
struct scope_class {
	const char *name;             /* of its scopes, for reports; may be NULL */
	int64_t timeout_ns;           /* until the deadline of each, from its opening; 0: none */
	bool counts;                  /* its tasks are counted: scope_class_stats_get */
	struct scope_options options; /* of each; name and deadline_ns where the class has none */
	uint64_t opaque[12];          /* must be 0 at first */
};

/**
 * scope_open_with with the options of a class.
 *
 * class_of  NULL: scope_open; must live until the scope is closed
 * Cost: as scope_open_with; with `counts` no task runs on the owner's stack.
 * Returns 0, else the scope is not open and later calls on it say so (-ESTALE):
 *   -ENOTCONN  not called from a task
 *   -EINVAL    s is NULL, or the class has options that scope_open_with does not take or a
 *              negative timeout_ns
 *   -ENOMEM    no memory to keep what the scope has no room for
 */
SCOPE_API int scope_open_class(struct scope *s, struct scope_class *class_of);

/* Of the tasks of a class since the program began: while they run a snapshot in motion. */
struct scope_class_stats {
	uint64_t spawned;   /* were accepted */
	uint64_t ended;     /* of these */
	uint64_t parked;    /* were put aside at least once, of those that have ended */
	uint64_t cancelled; /* ended because they were cancelled or stopped */
	uint64_t failed;    /* ended with an error, whatever the policy made of it */
	uint64_t reserved[7];
};

/**
 * Reads what was counted of the tasks of a class: nothing unless it `counts`.
 *
 * Thread safety: any thread.
 * Returns 0, else *out_stats is untouched:
 *   -EINVAL  an argument is NULL
 */
SCOPE_API int scope_class_stats_get(const struct scope_class *class_of,
				    struct scope_class_stats *out_stats);

#ifdef __cplusplus
}
#endif

#endif
