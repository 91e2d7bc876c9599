/* scope_offload.h: calls that block the thread they run on, kept off the workers. */
#ifndef SCOPE_OFFLOAD_H
#define SCOPE_OFFLOAD_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a cancel does to a call that has begun.  One that has not is taken back in all modes. */
enum scope_offload_mode {
	SCOPE_OFFLOAD_WAIT = 0,     /* nothing: its result is waited for */
	SCOPE_OFFLOAD_ABANDON = 1,  /* leaves it to itself; its result goes to drop */
	SCOPE_OFFLOAD_INTERRUPT = 2 /* has it end early, and waits for its result */
};

struct scope_offload_options {
	unsigned mode; /* enum scope_offload_mode */

	/* ABANDON.  copy_size: nonzero: fn works on a copy of so many bytes at arg, aligned for
	 * any type, which is written back when the call returns in time.  drop: gets the copy,
	 * or arg without one, when nobody waits any more; see below. */
	size_t copy_size;
	void (*drop)(void *arg, int result);

	/* INTERRUPT: called once, by the task, while fn runs or has just ended: it must not
	 * block.  NULL: the thread of fn gets a signal, each 10 ms until fn returns, which ends
	 * a system call with EINTR. */
	void (*interrupt_fn)(void *arg);

	uint64_t reserved[4]; /* must be 0 */
};

/**
 * Runs fn(arg) on a thread of a pool and parks the task meanwhile: for what would block a
 * worker, such as a library's own waiting, a long read of a slow disk, a lock of another
 * process.  Threads are started as calls come, at most offload_threads of scope_config, and end
 * after five idle seconds; further calls wait in the order of their coming.  In fn the calls of
 * this library return -ENOTCONN, and thread-locals are those of that thread, whose stack has
 * 1 MiB.  All signals are blocked there.
 *
 * A call that has begun ends before the task goes on, whatever is cancelled meanwhile, and its
 * result is returned; the next checkpoint shows the cancel.  The modes change that.  With
 * SCOPE_OFFLOAD_ABANDON a cancelled task goes on at once: fn, which goes on too, must then use
 * nothing that the task may free, and drop(arg, result) is called on its thread when it has
 * returned.  After each -ECANCELED and -ESHUTDOWN drop is called exactly once, with that as the
 * result if fn did not run; so what arg owns belongs to drop then, and to the caller after any
 * other result.
 * Abandoned calls that still run when all tasks have ended hold up scope_run for orphan_grace_ns
 * of scope_config at most.  With SCOPE_OFFLOAD_INTERRUPT, -EINTR from fn after a cancel is
 * returned as -ECANCELED.  A soft stop keeps a call from being made and does not end one.
 *
 * fn       its result is returned as it is: 0 or any other value
 * options  NULL: SCOPE_OFFLOAD_WAIT; read only during the call
 * Cancellation point: -ECANCELED says that fn did not run or was left or cut short as above.
 * Thread safety: any task of the run.
 * Cost: two switches between threads, 10 to 100 us; starting a thread 50 us more.
 * Returns fn's result, else
 *   -ENOTCONN   not called from a task; fn did not run
 *   -EINVAL     unknown mode, an option of another mode or a reserved field is set; fn did not
 *               run
 *   -ECANCELED  the place is or was cancelled; see above
 *   -ESHUTDOWN  it is a stopped place, in a soft region; fn did not run
 *   -ENOMEM     SCOPE_OFFLOAD_ABANDON: no memory for the request; fn did not run
 *   -EAGAIN     the pool has no thread and none could be started; fn did not run
 */
SCOPE_API int scope_offload(scope_task_fn *fn, void *arg,
			    const struct scope_offload_options *options);

#ifdef __cplusplus
}
#endif

#endif
