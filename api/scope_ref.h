/* scope_ref.h: rights to a scope for others than its members, and waits that anybody ends.
 *
 *   struct scope *          spawn, cancel, close; valid while the scope is open
 *   struct scope_ref        spawn, cancel, from any thread; safe for ever
 *   struct scope_spawner    spawn only; safe for ever: for a callee that adds work to the scope
 *                           of its caller and is not to cancel what else is in there
 */
#ifndef SCOPE_REF_H
#define SCOPE_REF_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- references -------------------------------------------------------------------- */

/* May be copied, handed to other threads, and kept longer than the scope and the run last.  All
 * zero is one to a scope that is closed. */
struct scope_ref {
	uint64_t opaque[3];
};

/**
 * Makes a reference to an open scope.  As long as that scope is open the run does not take itself
 * for dead (SCOPE_DETECT_DEADLOCK), because other threads may still bring work.
 *
 * Thread safety: any task that holds the scope while it is open.
 * Cost: the first one allocates; a lock.
 * Returns 0, else *out_ref is unchanged:
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the scope is closed
 *   -ENOMEM    no memory
 */
SCOPE_API int scope_ref_get(struct scope *s, struct scope_ref *out_ref);

/**
 * As scope_spawn, from any task of the run.
 *
 * Thread safety: any task of the run.
 * Cost: a lock and an allocation.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ENOTCONN   not called from a task
 *   -ESTALE     the scope is closed
 *   -ECANCELED  the scope is a cancelled place
 *   -EAGAIN     the scope is full (max_tasks) and the caller may not wait: see scope_spawn
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_ref_spawn(const struct scope_ref *ref, scope_task_fn *fn, void *arg);

/**
 * As scope_cancel.
 *
 * Thread safety: any thread.
 * Returns 0, else
 *   -ESTALE  the scope is closed
 */
SCOPE_API int scope_ref_cancel(const struct scope_ref *ref);

/* ---- from other threads ------------------------------------------------------------- */

/**
 * Spawns a task from any thread: one of a library, say, that calls back.  Before the scope is
 * closed the task is accepted, and runs, or refused; never lost.
 *
 * Thread safety: any thread.
 * Cost: a lock, an allocation, a wake-up.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ESTALE     the scope is closed, or this process is a fork of the one that it is in
 *   -ECANCELED  the scope is a cancelled place
 *   -EAGAIN     the scope is full (max_tasks)
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_post(const struct scope_ref *ref, scope_task_fn *fn, void *arg);

/**
 * Has a task run fn(arg) and waits for it; blocks the thread.  The result is the caller's and no
 * error of the scope.
 *
 * Thread safety: any thread that runs no task.
 * Returns what `fn` returned, else it does not run:
 *   -EDEADLK    called from a task, which would hold the worker that it waits for
 *   -ESTALE     the scope is closed, or this process is a fork of the one that it is in
 *   -ECANCELED  the scope is a cancelled place
 *   -EAGAIN     the scope is full (max_tasks)
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_call(const struct scope_ref *ref, scope_task_fn *fn, void *arg);

/* ---- spawners ----------------------------------------------------------------------- */

/* May be copied and kept longer than the scope lasts.  Those of scope_supervise have what they
 * spawn started again when it ends. */
struct scope_spawner {
	uint64_t opaque[6];
};

/**
 * Makes a spawner for an open scope.
 *
 * Thread safety: any task that holds the scope while it is open.
 * Cost: the first one allocates; a lock.
 * Returns 0, else *out_spawner is one that refuses all (-ESTALE), as one that is all zero does:
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the scope is closed
 *   -ENOMEM    no memory
 */
SCOPE_API int scope_spawner_of(struct scope *s, struct scope_spawner *out_spawner);

/**
 * As scope_spawn, into the scope that the spawner was made for.
 *
 * Thread safety: any task of the run.
 * Cost: a lock and an allocation.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ENOTCONN   not called from a task
 *   -ESTALE     the scope is closed
 *   -ECANCELED  the scope is a cancelled place
 *   -EAGAIN     the scope is full (max_tasks) and the caller may not wait: see scope_spawn
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_spawner_spawn(const struct scope_spawner *spawner, scope_task_fn *fn,
				  void *arg);

/**
 * As scope_spawn_with, into the scope that the spawner was made for.
 *
 * options  NULL: as scope_spawner_spawn; read only during the call
 * Thread safety: any task of the run.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     unknown flag, a reserved field is set, or one for supervisors is and this is
 *               no supervisor's spawner, or it is out of range
 *   -ESTALE     the scope is closed
 *   -ECANCELED  the scope is a cancelled place
 *   -EAGAIN     the scope is full (max_tasks) and the caller may not wait: see scope_spawn
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_spawner_spawn_with(const struct scope_spawner *spawner, scope_task_fn *fn,
				       void *arg, const struct scope_spawn_options *options);

/* ---- parking ------------------------------------------------------------------------ */

/* What a task waits in for whoever knows it; all zero at first, in memory that lives as long as
 * anybody may use it.  It keeps at most one permit. */
struct scope_parker {
	uint64_t opaque[3];
};

/**
 * Waits for a permit and takes it; one that was given before is taken at once.  To learn that a
 * thread outside will give it, the run needs a scope_ref: see scope_ref_get.
 *
 * Cancellation point: -ECANCELED has taken no permit; one given at that instant is kept.
 * Thread safety: one task at a time.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EBUSY      another task waits in this parker
 */
SCOPE_API int scope_park(struct scope_parker *parker);

/**
 * As scope_park, for a time.
 *
 * deadline_ns  absolute, monotonic; already past: takes a permit that is there
 * Cancellation point: -ECANCELED has taken no permit.
 * Thread safety: one task at a time.
 * Returns 0, else no permit was taken:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -ETIMEDOUT  none was given until deadline_ns
 *   -EBUSY      another task waits in this parker
 */
SCOPE_API int scope_park_until(struct scope_parker *parker, int64_t deadline_ns);

/**
 * Gives a permit: continues the task that waits, or lets the next wait pass.  A second permit
 * before the first is taken adds nothing.
 *
 * Thread safety: any thread, in or out of a run.
 */
SCOPE_API void scope_unpark(struct scope_parker *parker);

#ifdef __cplusplus
}
#endif

#endif
