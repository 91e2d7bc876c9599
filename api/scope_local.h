/* scope_local.h: values that a task hands to all that it calls and starts, without parameters.
 *
 * A key stands for a value that is bound for a time: the request that is being served, the log
 * to write to.  A binding lasts from scope_local_bind to scope_local_unbind and is seen by what
 * runs between: by calls, and by the tasks of scopes opened between.  A task sees the bindings
 * of the place where its scope was *opened*, not of its spawn: only those are sure to outlive it.
 *
 *	static struct scope_local request = {"request"};
 *
 *	scope_local_with(&request, r, serve, r)      serve(r), and every task below it, finds
 *	struct request *r = scope_local_get(&request)     this r
 */
#ifndef SCOPE_LOCAL_H
#define SCOPE_LOCAL_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A key is known by its address: a variable that lives as long as anything is bound to it. */
struct scope_local {
	const char *name; /* for reports; may be NULL */
};

/* Caller memory, no initial value needed, never copied or moved while bound. */
struct scope_local_binding {
	uint64_t opaque[32];
};

/**
 * Binds `value` to `key` until scope_local_unbind.  An earlier binding of the key is hidden
 * meanwhile.  The binding counts as a scope of the task: it and scopes are undone in the
 * reverse order, a task that returns with it bound fails with -EPROTO, and meanwhile the scopes
 * opened before are not the task's youngest: they accept tasks, but by an allocation each.
 *
 * value    must live until it is unbound
 * Thread safety: `binding` belongs to the caller until scope_local_unbind returned.
 * Cost: some stores.
 * Returns 0, else nothing is bound:
 *   -ENOTCONN  not called from a task
 */
SCOPE_API int scope_local_bind(struct scope_local_binding *binding, const struct scope_local *key,
			       void *value);

/**
 * Ends a binding.
 *
 * Returns 0, else it stays:
 *   -ENOTCONN  not called from a task
 *   -EBUSY     the caller has a younger scope open or a younger binding
 *   -EPERM     another task bound it
 *   -ESTALE    it is not bound any more
 */
SCOPE_API int scope_local_unbind(struct scope_local_binding *binding);

/**
 * The value that is bound to `key` for the running task, NULL if none is.
 *
 * Cost: about 5 ns for each scope, with its task, between here and the binding that is found, or
 * the root: a value that an inner loop needs is kept in a variable.
 */
SCOPE_API void *scope_local_get(const struct scope_local *key);

/**
 * Calls fn(arg) with `value` bound to `key`.
 *
 * Returns what fn returns, and if it was not called
 *   -ENOTCONN  not called from a task
 */
SCOPE_API int scope_local_with(const struct scope_local *key, void *value, scope_task_fn *fn,
			       void *arg);

#ifdef __cplusplus
}
#endif

#endif
