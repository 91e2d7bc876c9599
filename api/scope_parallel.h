/* scope_parallel.h: fork/join on top of scopes -- both, for, reduce. */
#ifndef SCOPE_PARALLEL_H
#define SCOPE_PARALLEL_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Runs f(f_arg) and g(g_arg), perhaps in parallel, and returns when both ended: a scope
 * with two children as one call.
 *
 * Not a cancellation point, but in a cancelled place it may leave out one or both, and the
 * error of one part may leave out the other.
 * Cost: about 7 ns beyond the two calls.
 * Returns 0, the first error (want of memory may be one), else
 *   -ENOTCONN   not called from a task; nothing ran
 *   -ECANCELED  the place is cancelled and a part was left out or felt it
 */
SCOPE_API int scope_both(scope_task_fn *f, void *f_arg, scope_task_fn *g, void *g_arg);

/* One chunk [begin, end) of a scope_for. */
typedef int scope_for_fn(size_t begin, size_t end, void *arg);

/**
 * Runs body over disjoint chunks that cover [begin, end), in parallel.  `grain` is the
 * largest chunk; 0 finds it at run time by splitting when another worker is hungry.
 *
 * Not a cancellation point itself; in a cancelled place, and after an error, no further
 * chunk starts.  Of an empty range only the cancel is looked at.
 *
 * Thread safety: any task; chunks run in parallel.
 * Cost: an allocation each time that the range is divided for another worker.
 * Returns 0, the first error (want of memory may be one), else
 *   -ENOTCONN   not called from a task; nothing ran
 *   -EINVAL     begin > end, or body is NULL
 *   -ECANCELED  the place is cancelled and chunks were left out or felt it
 */
SCOPE_API int scope_for(size_t begin, size_t end, size_t grain, scope_for_fn *body, void *arg);

/* How to reduce: `body` folds a chunk into *accumulator, `combine` folds `right` into
 * `left` (left is the lower range), `init` makes a neutral accumulator. */
struct scope_reducer {
	size_t size; /* bytes of an accumulator, at most 4,096 */
	void (*init)(void *accumulator, void *arg);
	int (*body)(size_t begin, size_t end, void *accumulator, void *arg);
	void (*combine)(void *left, const void *right, void *arg);
	void *arg;
	uint64_t reserved[2]; /* must be 0 */
};

/**
 * Reduces [begin, end) in parallel into *out_result, which is written only on success.
 * Chunks are combined in order: combine need be associative only.
 *
 * Not a cancellation point itself; in a cancelled place, and after an error, no further
 * chunk starts.
 * Thread safety: any task; chunks run in parallel.
 * Cost: an allocation each time that the range is divided; 4 KiB of the caller's stack.
 * Returns 0, the first error (want of memory may be one), else
 *   -ENOTCONN   not called from a task; nothing ran
 *   -EINVAL     begin > end, size 0 or over 4,096, a NULL function or out_result, a reserved
 *               field set
 *   -ECANCELED  the place is cancelled and chunks were left out or felt it
 */
SCOPE_API int scope_reduce(size_t begin, size_t end, size_t grain,
			   const struct scope_reducer *reducer, void *out_result);

#ifdef __cplusplus
}
#endif

#endif
