/* scope_sync.h: locks between tasks: mutex, read-write lock, condition, semaphore, event,
 * barrier, once.
 *
 * They live in memory of the caller, which stays where it is; all zero is a valid state.  A wait
 * parks the task and never the thread.  Who waits is served in the order of coming and owns what
 * it waited for before it runs: nobody who comes later takes it away.  A task that was chosen at
 * the instant of a cancel keeps what it was given: the call returns 0, and the next checkpoint
 * shows the cancel.  Between tasks of one run; for other threads there is scope_park.
 */
#ifndef SCOPE_SYNC_H
#define SCOPE_SYNC_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- mutex --------------------------------------------------------------------------- */

struct scope_mutex {
	uint64_t opaque[12];
};

/**
 * Locks the mutex for the running task, which unlocks it before it ends.  A task may hold it over
 * calls that park.
 *
 * Cancellation point: -ECANCELED has not locked it.
 * Thread safety: any task.
 * Cost: one atomic step if it is free.
 * Returns 0, else the caller does not hold it by this call:
 *   -ENOTCONN    not called from a task
 *   -ECANCELED   the place is or was cancelled
 *   -ESHUTDOWN   it is or was stopped, and the caller in a soft region
 *   -EDEADLK     the caller holds it already
 *   -EOWNERDEAD  the task that held it has ended, and failed by that (-EPROTO); the mutex is free
 */
SCOPE_API int scope_mutex_lock(struct scope_mutex *mutex);

/**
 * Locks the mutex if it is free.
 *
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN  not called from a task
 *   -EBUSY     another task holds it
 *   -EDEADLK   the caller holds it already
 */
SCOPE_API int scope_mutex_try_lock(struct scope_mutex *mutex);

/**
 * Unlocks the mutex: hands it to the task that has waited longest, if any.
 *
 * Thread safety: the task that holds it.
 * Cost: one atomic step if nobody waits.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EPERM     the caller does not hold it
 */
SCOPE_API int scope_mutex_unlock(struct scope_mutex *mutex);

/* ---- condition ------------------------------------------------------------------------ */

struct scope_cond {
	uint64_t opaque[5];
};

/**
 * Unlocks the mutex, waits for a signal, and locks it again, whatever it returns.  It does not
 * return without a reason, but what the caller waits for may have changed again before it has the
 * mutex: look in a loop.
 *
 * mutex  held by the caller; the same one for all that wait at the same time
 * Cancellation point: -ECANCELED has taken no signal.  Locking again is none.
 * Thread safety: any task that holds the mutex.
 * Returns 0, else with the mutex held as before:
 *   -ENOTCONN    not called from a task
 *   -ECANCELED   the place is or was cancelled
 *   -ESHUTDOWN   it is or was stopped, and the caller in a soft region
 *   -EPERM       the caller does not hold the mutex; nothing was done
 *   -EOWNERDEAD  signalled, and a task that held the mutex meanwhile ended without unlocking it
 */
SCOPE_API int scope_cond_wait(struct scope_cond *cond, struct scope_mutex *mutex);

/**
 * Continues the task that has waited longest, if any.
 *
 * Thread safety: any task, with the mutex held or not; outside a run it does nothing.
 */
SCOPE_API void scope_cond_signal(struct scope_cond *cond);

/**
 * Continues all tasks that wait.
 *
 * Thread safety: any task, with the mutex held or not; outside a run it does nothing.
 */
SCOPE_API void scope_cond_broadcast(struct scope_cond *cond);

/* ---- read-write lock -------------------------------------------------------------------- */

struct scope_rwlock {
	uint64_t opaque[7];
};

/**
 * Locks for writing: nobody else is inside.
 *
 * Cancellation point: -ECANCELED has not locked it.
 * Thread safety: any task.
 * Returns 0, else the caller does not hold it by this call:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EDEADLK    the caller holds it for writing already
 */
SCOPE_API int scope_rwlock_lock(struct scope_rwlock *rwlock);

/**
 * Locks for reading, together with others.  A reader that comes after a waiting writer waits
 * behind it; so a task does not lock it twice.
 *
 * Cancellation point: -ECANCELED has not locked it.
 * Thread safety: any task.
 * Returns 0, else the caller does not hold it by this call:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EDEADLK    the caller holds it for writing
 */
SCOPE_API int scope_rwlock_lock_shared(struct scope_rwlock *rwlock);

/**
 * Locks for writing if nobody is inside or waits.
 *
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN  not called from a task
 *   -EBUSY     somebody is inside or waits
 */
SCOPE_API int scope_rwlock_try_lock(struct scope_rwlock *rwlock);

/**
 * Locks for reading if no writer is inside and nobody waits.
 *
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN  not called from a task
 *   -EBUSY     a writer is inside, or somebody waits
 */
SCOPE_API int scope_rwlock_try_lock_shared(struct scope_rwlock *rwlock);

/**
 * Ends writing.
 *
 * Thread safety: the task that locked it.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EPERM     the caller is not inside for writing
 */
SCOPE_API int scope_rwlock_unlock(struct scope_rwlock *rwlock);

/**
 * Ends reading.
 *
 * Thread safety: a task that locked it.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EPERM     nobody is inside for reading
 */
SCOPE_API int scope_rwlock_unlock_shared(struct scope_rwlock *rwlock);

/* ---- semaphore -------------------------------------------------------------------------- */

struct scope_semaphore {
	uint64_t opaque[5];
};

/** Gives the semaphore its first permits; all zero is one with none.  While nobody uses it. */
SCOPE_API void scope_semaphore_init(struct scope_semaphore *semaphore, unsigned permits);

/**
 * Takes a permit; waits for one in the order of coming.
 *
 * Cancellation point: -ECANCELED has taken none.
 * Thread safety: any task.
 * Returns 0, else no permit was taken:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 */
SCOPE_API int scope_semaphore_acquire(struct scope_semaphore *semaphore);

/**
 * Takes a permit if there is one.
 *
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN  not called from a task
 *   -EAGAIN    there is none
 */
SCOPE_API int scope_semaphore_try_acquire(struct scope_semaphore *semaphore);

/**
 * Adds a permit, or gives it to the task that has waited longest.
 *
 * Thread safety: any task, which need not have taken one.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN   not called from a task
 *   -EOVERFLOW  there are 4,294,967,295 permits
 */
SCOPE_API int scope_semaphore_release(struct scope_semaphore *semaphore);

/* ---- event ------------------------------------------------------------------------------ */

struct scope_event {
	uint64_t opaque[5];
};

/**
 * Waits until the event is set.
 *
 * Cancellation point: also if it is set.
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 */
SCOPE_API int scope_event_wait(struct scope_event *event);

/**
 * As scope_event_wait, for a time.
 *
 * deadline_ns  absolute, monotonic; already past: asks
 * Cancellation point: also if it is set.
 * Thread safety: any task.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -ETIMEDOUT  it was not set until deadline_ns
 */
SCOPE_API int scope_event_wait_until(struct scope_event *event, int64_t deadline_ns);

/**
 * Sets the event: continues all who wait, and lets everybody pass from now on.
 *
 * Thread safety: any task; outside a run it does nothing.
 */
SCOPE_API void scope_event_set(struct scope_event *event);

/**
 * Takes it back: who comes from now on waits.
 *
 * Thread safety: any task; outside a run it does nothing.
 */
SCOPE_API void scope_event_clear(struct scope_event *event);

/** Whether it is set. */
SCOPE_API bool scope_event_is_set(const struct scope_event *event);

/* ---- barrier ---------------------------------------------------------------------------- */

struct scope_barrier {
	uint64_t opaque[6];
};

/** Sets how many tasks go on together; all zero is 1.  While nobody uses it. */
SCOPE_API void scope_barrier_init(struct scope_barrier *barrier, unsigned count);

/**
 * Waits until `count` tasks have come, which then go on together; the next come to the next round.
 *
 * Cancellation point: -ECANCELED does not count as having come.
 * Thread safety: any task.
 * Returns 1 in the task that came last, 0 in the others, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 */
SCOPE_API int scope_barrier_wait(struct scope_barrier *barrier);

/* ---- once ------------------------------------------------------------------------------- */

/* Its memory stays until the call that ran `fn` has returned, not only until others return. */
struct scope_once {
	uint64_t opaque[7];
};

/**
 * Calls fn(arg) unless such a call has succeeded before; waits for one that is under way.  If it
 * fails, who has waited longest calls its own.
 *
 * Cancellation point: -ECANCELED has not called it.
 * Thread safety: any task.
 * Cost: a load once it has succeeded.
 * Returns 0: it has succeeded, or what the caller's own call of `fn` returned, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EDEADLK    called from within its `fn`
 */
SCOPE_API int scope_once_run(struct scope_once *once, scope_task_fn *fn, void *arg);

#ifdef __cplusplus
}
#endif

#endif
