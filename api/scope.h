/* scope.h: structured concurrency -- running, scopes, tasks, errors, time.
 *
 * A program opens a scope, spawns tasks into it and closes it; close returns only
 * when every task has ended.  Results are 0 (or a count) or a negative errno value;
 * nothing is reported through errno itself.  Times are nanoseconds on the monotonic
 * clock.  Words used below:
 *
 *   owner       the task that opened a scope
 *   member      a task of the scope or of a scope below it
 *   checkpoint  a call that may park the task and that reports cancellation
 *   place       the innermost scope that the running task opened, else the scope it
 *               was spawned into
 *   cancelled place   a place with a cancelled scope at or above it, no shield between
 *   stopped place     a place with scope_shutdown called on a scope at or above it; shields
 *                     don't matter
 */
#ifndef SCOPE_H
#define SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Calls note where they return to, so the link-time optimiser must not inline them. */
#if defined(__GNUC__)
#define SCOPE_API extern __attribute__((visibility("default"), noinline))
#else
#define SCOPE_API extern
#endif

/* Behind a call that only answers: its answer is to be used.  Results that say what went wrong are
 * not marked: a spawn's may be ignored in a scope without max_tasks, a close's after scope_cancel,
 * a checkpoint's anywhere. */
#if defined(__GNUC__)
#define SCOPE_QUERY __attribute__((warn_unused_result))
#else
#define SCOPE_QUERY
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* A task may continue on another thread after any checkpoint, but compilers keep the
 * address of the thread's errno in a register.  Unless SCOPE_KEEP_ERRNO is defined,
 * errno is looked up through a call that no compiler can cache.  The value of errno
 * is indeterminate after a checkpoint.  In C++ include this header last. */
#ifndef SCOPE_KEEP_ERRNO
#include <errno.h>
#undef errno
#define errno (*scope_errno_location())
#endif
SCOPE_API int *scope_errno_location(void);

/* What a task runs.  0 is success; any other value, positive too, is an error of the scope it
 * was spawned into, but for -ECANCELED in a cancelled place and -ESHUTDOWN in a stopped one.  It
 * returns: neither a C++ exception nor longjmp may leave it. */
typedef int scope_task_fn(void *arg);

#define SCOPE_NEVER INT64_MAX
#define SCOPE_US    INT64_C(1000)
#define SCOPE_MS    INT64_C(1000000)
#define SCOPE_SEC   INT64_C(1000000000)

/* ---- running ------------------------------------------------------------------- */

struct scope_error;

/* Receives a report as whole lines of text, very long ones in parts; `length` bytes, not
 * terminated.  May be called from any thread of the runtime, one call at a time, for a stack
 * overflow from a signal handler on its own stack; must not call scope_*. */
typedef void scope_report_fn(const char *text, size_t length, void *arg);

enum scope_run_flags {
	SCOPE_VIRTUAL_CLOCK = 1u << 0,   /* time jumps to the next deadline when all wait */
	SCOPE_NO_SIGNALS = 1u << 1,      /* leave SIGINT, SIGTERM, SIGQUIT alone */
	SCOPE_DETECT_DEADLOCK = 1u << 2, /* all parked, nothing to wait for: -EDEADLK; also
					  * by SCOPE_DETECT_DEADLOCK=1 in the environment */
	SCOPE_UNGUARDED_STACKS = 1u << 3 /* allow stacks without guards when guards run out */
};

struct scope_config {
	unsigned workers;        /* at most 1024; 0: 1 with a seed, else SCOPE_WORKERS if that
				  * is a number, else the processors this process may use */
	size_t stack_size;       /* usable bytes of a task's stack, 16 KiB to 1 GiB; 0: 256 KiB */
	int64_t grace_ns;        /* the first SIGINT or SIGTERM shuts the root scope down with
				  * this grace; 0: cancels it at once */
	int64_t kill_after_ns;   /* no progress so long after the cancel: report, exit; 0: 5 s */
	uint64_t seed;           /* orders tasks, on one worker only; 0: SCOPE_SEED or none */
	unsigned flags;          /* enum scope_run_flags */
	int *out_signal;         /* set always: the interrupt that was seen, or 0 */
	scope_report_fn *report; /* NULL: stderr */
	void *report_arg;
	int64_t orphan_grace_ns; /* abandoned calls hold up the end so long at most; 0: 1 s */
	int64_t watchdog_ns;     /* name what does not end so long after its cancel; 0: off */
	unsigned offload_threads; /* of scope_offload, abandoned calls included; 0: 64 */
	uint64_t reserved[7];    /* must be 0 */
};

/**
 * Runs `main_task(arg)` as the root task and returns when it and every task below it
 * ended.  The calling thread becomes a worker; the others are started and joined here.
 * The root task's stack has the size that main() had (RLIMIT_STACK), at most 64 MiB, at
 * least stack_size.  An error of the root task that nobody printed is reported.
 *
 * With a seed, one worker runs the tasks in an order that the seed decides: at each
 * checkpoint, spawn and close any ready task may go on.  It is the same order each time as
 * long as the program depends on nothing else, so take SCOPE_VIRTUAL_CLOCK too.  Trying many
 * seeds finds what goes wrong in one order only; a run that fails says which SCOPE_SEED has
 * that order again, and `trace` of scope_stats_get tells whether it was.
 *
 * A variable of the environment (SCOPE_WORKERS, SCOPE_SEED, SCOPE_DETECT_DEADLOCK) that is not
 * what it should be is reported once and ignored.
 *
 * Unless SCOPE_NO_SIGNALS is set, the first SIGINT or SIGTERM shuts the root scope down with
 * grace_ns (scope_shutdown), or without it cancels the scope; the second one cancels it in any
 * case; the third prints the tasks and ends the process with status 128 + signal.  So does the
 * cancel, by a signal or at the end of the grace period, when no worker makes progress
 * (continues a task, runs a checkpoint) for kill_after_ns while the run lasts.  Without
 * `out_signal` standard output is flushed and the signal that was seen raised again, with its old
 * disposition, before this returns.
 * With watchdog_ns, a task that calls no checkpoint for so long after its cancel is reported, once
 * and with its stack; so are a close that waits so long after it, with the tasks below, and an
 * offloaded call.
 *
 * SIGQUIT has what scope_dump writes reported, and the program goes on.
 * All three are taken over even if the program was started with them ignored, as a shell does
 * with what it runs in the background.
 * While it runs the three signals are blocked in the workers, so a task that starts a program
 * unblocks them there.
 *
 * config   NULL: all defaults; read only during the call
 * Thread safety: one run at a time in a process.
 * Cost: a thread per worker beyond the first and one for time and signals: 0.2 ms and more.
 * Returns the root task's result, else
 *   -EBUSY    a run is under way in this process (also when called from a task); nothing ran
 *   -EINVAL   a field of config is out of range or a reserved one is set, or main_task is
 *             NULL; nothing ran
 *   -ENOMEM   no memory for workers and stacks; nothing ran
 *   -EAGAIN   a worker thread could not be started; nothing ran
 *   -EPERM    called in a signal handler that runs on a signal stack; nothing ran
 *   -EDEADLK  SCOPE_DETECT_DEADLOCK: every task was parked with nothing to wake it; the
 *             tree was reported, cancelled and joined
 */
SCOPE_API int scope_run(scope_task_fn *main_task, void *arg, const struct scope_config *config);

/* ---- scopes -------------------------------------------------------------------- */

/* Caller memory, no initial value needed, never copied or moved while open.  That a scope
 * was closed can be told, by -ESTALE, only as long as nothing else was written there; a spawn
 * into zeroed memory that was never opened is told the same. */
struct scope {
	uint64_t opaque[24];
};

enum scope_policy {
	SCOPE_ALL = 0,       /* the first error cancels the rest */
	SCOPE_AWAIT_ALL = 1, /* an error cancels nothing; the first is returned, all are listed */
	SCOPE_ANY = 2,       /* the first success cancels the rest */
	SCOPE_RACE = 3,      /* the first end, success or error, cancels the rest */
	SCOPE_CUSTOM = 4     /* on_exit decides at each end */
};

/* How a task ended.  What it found is where `arg` points: a task has no other result. */
struct scope_result {
	void *arg;        /* that it was spawned with */
	int rc;           /* what it returned */
	const char *name; /* from its spawn options, or NULL */
};

enum scope_exit {
	SCOPE_EXIT_CONTINUE = 0, /* the others go on */
	SCOPE_EXIT_CANCEL = 1,   /* the others are cancelled */
	SCOPE_EXIT_RESTART = 2   /* the task runs again with the same arg, unless cancelled */
};

/* Answers for SCOPE_CUSTOM, enum scope_exit.  `result->rc` may be changed: 0 says that the error
 * was dealt with, and what is nonzero afterwards is an error of the scope.  Called in the task
 * that ended, one call at a time for a scope, in a place that no cancel reaches. */
typedef int scope_exit_fn(struct scope_result *result, void *arg);

enum scope_timeout_policy {
	/* The deadline is the earlier one of deadline_ns and the end of a grace period. */
	SCOPE_FAIL_ON_TIMEOUT = 0, /* close returns -ETIMEDOUT if the deadline hit */
	SCOPE_MOVE_ON = 1          /* close returns 0; ask scope_timed_out() */
};

struct scope_class;

struct scope_options {
	const char *name;     /* for reports; must live until close */
	int64_t deadline_ns;  /* absolute: scope_now() and how long; 0: none */
	unsigned on_timeout;  /* enum scope_timeout_policy */
	bool shield;          /* hide cancels from outside */
	bool results;         /* keep how each task ended, for scope_next */
	unsigned policy;      /* enum scope_policy */
	unsigned max_tasks;   /* so many at once, a spawn waits for room; 0: no limit */
	scope_exit_fn *on_exit; /* SCOPE_CUSTOM, and only then */
	void *on_exit_arg;
	void (*drop)(void *arg); /* for a task's arg if it succeeded and nobody will see that */
	void **out_winner;    /* SCOPE_ANY, SCOPE_RACE: set by close, before it returns, to the arg
			       * of the task that won if it returns 0, else to NULL */
	struct scope_class *class_of; /* its tasks are counted there: scope_class.h; or NULL */
	uint64_t reserved[2]; /* must be 0 */
};

/**
 * Opens a scope in the running task, which becomes its owner; the scope becomes the
 * task's place.  Scopes of a task are closed in the reverse order of opening.  A task that
 * returns with a scope open fails with -EPROTO, after that scope was cancelled and joined.
 * Outside scope_run this does nothing, and every later call on `s` returns -ENOTCONN.
 *
 * Thread safety: `s` belongs to the caller until scope_close returned.
 * Cost: seven stores.
 */
SCOPE_API void scope_open(struct scope *s);

/**
 * scope_open with options.  A scope with a deadline and no tasks is a timeout block.
 *
 * SCOPE_ANY is for several ways to one end: scope_close returns 0 when a task succeeded,
 * whatever else happened to the tasks, and else the first of their errors, or -ENOENT if no task
 * ended with one.  With SCOPE_RACE the first end decides, an error too.  What a task does that
 * succeeds when the race is decided has to be undone: `drop` is called with its arg, once, in that
 * task or in close, in a place that no cancel reaches.  A winner is dropped too if close returns
 * an error of the body.
 *
 * With max_tasks, results, class_of or one of these policies no task runs on the owner's stack.
 *
 * options  NULL: as scope_open; read only during the call, the name until close
 * Cost: no system call; allocates only for a name, a policy, results, a limit.
 * Returns 0, else the scope is not open and later calls on it say so (-ESTALE):
 *   -ENOTCONN  not called from a task
 *   -EINVAL    s is NULL, negative deadline, unknown on_timeout or policy, a reserved field is
 *              set, or one that does not go with the policy
 *   -ENOMEM    no memory to keep what the scope has no room for
 */
SCOPE_API int scope_open_with(struct scope *s, const struct scope_options *options);

/**
 * Adds a task that will run `fn(arg)`.  May be called by the owner, a member, or any
 * task that was handed the scope, until the scope is closed.  Accepted means that `fn`
 * runs exactly once, even when a cancel comes before its start.  `arg` must live until
 * the task ended, so until scope_close at the latest.  Never parks, never a checkpoint, but for a
 * scope with max_tasks that is full: there it waits for room, in the order of asking.
 * While the scope is open the result may be ignored: what is refused for want of memory is
 * an error of the scope, what is refused with -ECANCELED makes close see the cancel.  Not so with
 * max_tasks: nobody else is told of -EAGAIN and -ESHUTDOWN.
 *
 * Thread safety: any task of the run.
 * Cost: a few stores by the owner; an allocation and a few atomic operations by others.
 * Cancellation point only if it waits for room.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  `s` is a cancelled place, or that of the caller is and `s` is full
 *   -ESHUTDOWN  `s` is full, and the place of the caller, in a soft region, is stopped
 *   -EAGAIN     `s` is full and the caller is a member, who would wait for itself
 *   -ENOMEM     no memory, which the owner needs only when its worker's queue is full; also
 *               an error of the scope
 *   -ESTALE     the scope is closed
 *   -EINVAL     s is NULL (fn NULL: libscope-debug.a aborts)
 */
SCOPE_API int scope_spawn(struct scope *s, scope_task_fn *fn, void *arg);

enum scope_spawn_flags {
	SCOPE_CONCURRENT = 1u << 0, /* must progress though the parent never parks: never inlined */
	SCOPE_PINNED = 1u << 1,     /* stays on the worker that spawned it; never inlined */
	SCOPE_SERVICE = 1u << 2,    /* does not keep its scope open; never inlined */
	SCOPE_NOWAIT = 1u << 3,     /* -EAGAIN instead of waiting for room in the scope */
	SCOPE_COPY_LOCALS = 1u << 4 /* scope_local.h: it sees the bindings that the caller sees */
};

struct scope_spawn_options {
	const char *name;        /* for paths and reports; must live until the task ended */
	unsigned flags;          /* enum scope_spawn_flags */
	unsigned restart;        /* supervisors only: enum scope_restart; 0: as they say */
	size_t copy_size;        /* nonzero: the task gets its own copy of so many bytes at arg */
	void (*drop)(void *arg); /* instead of fn if the task can't run for want of a stack */
	int64_t grace_ns;        /* supervisors only: from being told to stop to its cancel */
	uint64_t reserved[3];    /* must be 0 */
};

/**
 * scope_spawn with options.  A service (SCOPE_SERVICE) works for the others of its scope: when
 * these and the owner's block have ended, close cancels the services one at a time, the last
 * spawned first, each joined before the next; a cancel or an error ends them with all others.
 * scope_wait_until does not wait for them.  SCOPE_CONCURRENT offers the task to other workers at
 * once; on one worker it runs at the parent's next checkpoint.
 *
 * options  NULL: as scope_spawn; read only during the call, the name until the task ended
 * Thread safety: any task of the run.
 * Cost: one allocation.
 * Returns 0, else `fn` does not run and the argument stays with the caller:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     unknown flag, a reserved field or one for supervisors is set, or s or fn is NULL
 *   -ECANCELED  `s` is a cancelled place, or that of the caller is and `s` is full
 *   -ESHUTDOWN  `s` is full, and the place of the caller, in a soft region, is stopped
 *   -EAGAIN     `s` is full, and with SCOPE_NOWAIT or for a member it is not waited for
 *   -ENOMEM     no memory; also an error of the scope
 *   -ESTALE     the scope is closed
 */
SCOPE_API int scope_spawn_with(struct scope *s, scope_task_fn *fn, void *arg,
			       const struct scope_spawn_options *options);

/**
 * Spawns a task that gets its own copy of `size` bytes at `value`, aligned for any type
 * and freed when it ends.
 *
 * Thread safety: any task of the run.
 * Cost: one allocation.
 * Returns 0, else `fn` does not run:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  `s` is a cancelled place, or that of the caller is and `s` is full
 *   -ESHUTDOWN  `s` is full, and the place of the caller, in a soft region, is stopped
 *   -EAGAIN     `s` is full and the caller is a member
 *   -ENOMEM     no memory; also an error of the scope
 *   -ESTALE     the scope is closed
 *   -EINVAL     s or fn is NULL
 */
SCOPE_API int scope_spawn_copy(struct scope *s, scope_task_fn *fn, const void *value, size_t size);

/**
 * Spawns `count` tasks fn(base + i * stride), i = 0 .. count - 1, as one descriptor that
 * is halved when another worker takes a share.  Accepted or refused as a whole; accepted
 * children all run.  stride 0 hands each the same pointer.  A scope with max_tasks has to have
 * room for all of them at once.
 *
 * Thread safety: any task of the run.
 * Cost: one allocation a call, 1 to 2 ns a child, O(log count) memory; one for each child where
 * results, a limit or a policy look at each.
 * Returns 0, else no child runs:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     count * stride overflows, count is more than max_tasks, or s or fn is NULL
 *   -ECANCELED  `s` is a cancelled place, or that of the caller is and `s` is full
 *   -ESHUTDOWN  `s` is full, and the place of the caller, in a soft region, is stopped
 *   -EAGAIN     `s` is full and the caller is a member
 *   -ENOMEM     no memory; also an error of the scope
 *   -ESTALE     the scope is closed
 */
SCOPE_API int scope_spawn_n(struct scope *s, scope_task_fn *fn, void *base, size_t stride,
			    size_t count);

/**
 * Waits until every task that the scope accepted has ended, whatever happened, and
 * closes it.  Unstarted tasks of this scope run here, on the caller's stack.  Not a
 * cancellation point: a cancel reaches the tasks, and close waits for them.
 *
 * Thread safety: the owner only, its youngest open scope first.
 * Cost: about 3 ns a child that nobody stole; a park if some are still running.
 * Returns the first error recorded, by scope_fail or by a task; without one
 *   -ECANCELED  a cancel from above was felt inside (a hit); the scope is closed
 *   -ETIMEDOUT  its own deadline, or the end of its grace period, was felt inside and
 *               on_timeout is the default; closed
 *   -ENOENT     SCOPE_ANY, SCOPE_RACE: no task won, and none failed; closed
 * or 0, after a scope_cancel of its own too.  Nothing is changed by
 *   -ENOTCONN   not called from a task
 *   -EBUSY      the caller has a younger scope open, or is a function deferred by this one
 *               (libscope-debug.a: an abort)
 *   -EDEADLK    the caller is a member: it would wait for itself
 *   -EPERM      the caller is neither owner nor member
 *   -ESTALE     the scope is closed; one in an object: its parent has closed it just now
 *   -EINVAL     s is NULL
 */
SCOPE_API int scope_close(struct scope *s);

/**
 * Waits until no accepted task is left and leaves the scope open and usable.  Never runs
 * tasks on the caller's stack.
 *
 * deadline_ns  absolute, monotonic; already past: polls; SCOPE_NEVER: no limit
 * Cancellation point: -ECANCELED leaves the scope open, its tasks go on until cancelled.
 * Thread safety: the owner only.
 * Returns 0, else the scope stays as it is:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the caller's place is cancelled
 *   -ESHUTDOWN  it is a stopped place, and the caller in a soft region
 *   -ETIMEDOUT  tasks are left at deadline_ns
 *   -EBUSY      the caller has a younger scope open, or is a function deferred by this one, or
 *               the parent of a scope in an object is closing it
 *   -EDEADLK    the caller is a member
 *   -EPERM      the caller is neither owner nor member
 *   -ESTALE     the scope is closed
 *   -EINVAL     s is NULL
 */
SCOPE_API int scope_wait_until(struct scope *s, int64_t deadline_ns);

/**
 * Cancels the scope: every checkpoint in it and below, unless shielded, returns
 * -ECANCELED from now on, and parked tasks wake.  Idempotent, does not wait, allocates
 * nothing; the first call fixes the cause.  Does nothing outside scope_run.
 *
 * Thread safety: any task that holds the scope while it is open.
 * Cost: linear in the parked tasks below, and two stores to each worker.
 */
SCOPE_API void scope_cancel(struct scope *s);

/**
 * Records the body's own failure as a task's result would be: the first one cancels the
 * scope.  code 0 does nothing and returns 0, so scope_fail(&s, work(), NULL) is safe;
 * -ECANCELED in a cancelled place is no error, nor is -ESHUTDOWN in a stopped one.
 *
 * format   printf-like text of the report, or NULL
 *          (a call that gives `code` comes in a statement before: C evaluates the arguments of
 *          one call in any order)
 * Thread safety: the owner only.
 * Returns code, else nothing is recorded:
 *   -ENOTCONN  not called from a task
 *   -EPERM     the caller is not the owner, or a younger scope of it is open
 *   -ESTALE    the scope is closed
 *   -EBUSY     the parent of a scope in an object is closing it
 *   -EINVAL    s is NULL
 */
SCOPE_API int scope_fail(struct scope *s, int code, const char *format, ...)
#if defined(__GNUC__)
	__attribute__((format(printf, 3, 4)))
#endif
	;

/**
 * Switches the shield of a scope: while on, cancels from outside are hidden from it; its
 * own cancel and deadline still act.  Taking it off with a cancel pending wakes sleepers.
 *
 * Thread safety: any task that holds the scope while it is open.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the scope is closed
 *   -EINVAL    s is NULL
 */
SCOPE_API int scope_set_shield(struct scope *s, bool on);

/**
 * Moves the deadline of a scope, both ways, SCOPE_NEVER takes it off.  A deadline
 * already past cancels at the next checkpoint.  The end of a grace period stays where it is.
 *
 * deadline_ns  absolute, monotonic
 * Thread safety: any task that holds the scope while it is open.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    negative deadline, or s is NULL
 *   -EALREADY  the deadline fired, or the grace period of a shutdown is over
 *   -ESTALE    the scope is closed
 *   -EBUSY     the parent of a scope in an object is closing it
 */
SCOPE_API int scope_set_deadline(struct scope *s, int64_t deadline_ns);

/**
 * Takes the result of a task that has ended, in the order of their ends; waits for the next one
 * if all were taken.  For scopes with `results`.  Errors are errors of the scope all the same.
 * What is not taken until scope_close is handed to `drop` if the task succeeded.
 *
 * out_result  its arg, if that is a copy that was made for the task, lives until the next call
 * Cancellation point: -ECANCELED takes nothing, and loses nothing.
 * Thread safety: the owner only.
 * Returns 0, else nothing was taken:
 *   -ENOTCONN   not called from a task
 *   -ENOENT     no task is left whose result was not taken
 *   -ECANCELED  the place is cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EINVAL     the scope does not keep results
 *   -EBUSY      the caller has a younger scope open, or is a function deferred by this one
 *   -EDEADLK    the caller is a member
 *   -EPERM      the caller is neither owner nor member
 *   -ESTALE     the scope is closed
 */
SCOPE_API int scope_next(struct scope *s, struct scope_result *out_result);

/**
 * scope_next that waits no longer than until `deadline_ns`.
 *
 * deadline_ns  absolute, monotonic; already past: polls
 * Cancellation point: -ECANCELED takes nothing, and loses nothing.
 * Thread safety: the owner only.
 * Returns what scope_next does, and
 *   -ETIMEDOUT  no result came until deadline_ns
 */
SCOPE_API int scope_next_until(struct scope *s, int64_t deadline_ns,
			       struct scope_result *out_result);

/**
 * Has `fn(arg)` called when the scope is closed, after every task in it has ended: for what
 * the tasks use and for what has to be given back on every way out.  The last one deferred is
 * called first, in the owner, whose place then is shielded from every cancel, of this scope
 * too: clean-up may sleep and wait.  A deferred function may defer more, which comes next, and
 * spawn into the scope, whose close then waits for that too.  Its nonzero result is an error of
 * the scope, which close returns if there was no other before.  A task that returns with
 * the scope open has them called as well, in another task.
 *
 * arg      must live until it was called
 * Thread safety: the owner only; it may have younger scopes open.
 * Cost: an allocation.
 * Returns 0, else `fn` will not be called:
 *   -ENOTCONN  not called from a task
 *   -ENOMEM    no memory
 *   -EPERM     the caller is not the owner
 *   -ESTALE    the scope is closed
 */
SCOPE_API int scope_defer(struct scope *s, scope_task_fn *fn, void *arg);

/**
 * Memory that belongs to the scope: not initialised, aligned for any type, freed when the scope
 * is closed, after its deferred functions were called.
 *
 * Thread safety: the owner only; it may have younger scopes open.
 * Cost: an allocation.
 * Returns NULL without memory, and where scope_defer would return an error.
 */
SCOPE_API void *scope_alloc(struct scope *s, size_t size) SCOPE_QUERY;

/** True if the deadline fired before any other cancel and was felt; so too if that was the end
 * of the grace period of a shutdown.  Answers after close. */
SCOPE_API bool scope_timed_out(const struct scope *s) SCOPE_QUERY;

/** True if the scope itself was cancelled, by a call, an error or its deadline.  Answers
 * after close. */
SCOPE_API bool scope_cancel_called(const struct scope *s) SCOPE_QUERY;

/**
 * Shuts the scope down gracefully: until the grace period is over, only tasks in a soft region
 * (scope_soft_begin) and calls that are soft by themselves hear of it, in the scope and
 * everywhere below, behind shields too; they return -ESHUTDOWN.  Then what is left is cancelled
 * with the cause SCOPE_CAUSE_SHUTDOWN, which shields hide as they hide every cancel from
 * outside.  The scope stays open, and spawns into it are accepted until the cancel.  A later
 * call only shortens the grace period; of those of scopes that lie in each other the shortest
 * counts.  Close returns -ETIMEDOUT if the end of the period was felt inside, as for a deadline,
 * else 0; SCOPE_MOVE_ON makes that 0 and scope_timed_out() true.  Does not wait, allocates
 * nothing; does nothing outside scope_run and to a closed scope.
 *
 * grace_ns  relative; 0 and less: cancels at once; SCOPE_NEVER: never cancels
 * Thread safety: any task that holds the scope while it is open.
 * Cost: linear in the parked tasks below, and two stores to each worker.
 */
SCOPE_API void scope_shutdown(struct scope *s, int64_t grace_ns);

/**
 * Begins a soft region of the running task: where it waits for new work and may stop.  In a
 * stopped place every checkpoint of the task itself returns -ESHUTDOWN until scope_soft_end, and
 * does nothing else; one that is parked wakes.  Elsewhere, and in the tasks that it spawns,
 * nothing changes.  A cancel goes first: -ECANCELED.  Regions nest; what is left open ends with
 * the task.
 *
 * Cost: a few nanoseconds.
 * Returns 0, else there is no new region:
 *   -ENOTCONN   not called from a task
 *   -EOVERFLOW  31 regions of this task are open
 */
SCOPE_API int scope_soft_begin(void);

/**
 * Ends the innermost soft region of the running task.
 *
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EPERM     no region of this task is open
 */
SCOPE_API int scope_soft_end(void);

/**
 * Runs fn(arg) in the calling task under a deadline: open, scope_fail(&s, fn(arg), NULL),
 * close.
 *
 * timeout_ns  relative; negative counts as 0
 * Returns what scope_close does: fn's result, without one that is an error
 *   -ETIMEDOUT  the timeout was felt inside
 *   -ECANCELED  a cancel from above was felt inside
 * or 0; and if `fn` did not run
 *   -ENOTCONN   not called from a task
 *   -EINVAL     fn is NULL
 */
SCOPE_API int scope_within(int64_t timeout_ns, scope_task_fn *fn, void *arg);

/**
 * Spawns a task and waits until it calls scope_started: until a server listens, a file is
 * open.  From then on it is a task of the scope like any other.  What goes wrong before is told
 * the caller and is no error of the scope.  If the caller is cancelled or stopped meanwhile, the
 * task is cancelled and waited for; one that had started by then goes on, and this returns 0.
 *
 * Cancellation point.
 * Thread safety: any task of the run.
 * Cost: one allocation and a park.
 * Returns 0, else the task has ended, or never ran, and `arg` is the caller's again: what the task
 * returned instead of starting, or
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place or `s` is or was cancelled
 *   -ESHUTDOWN  the place is or was stopped, and the caller in a soft region
 *   -ENOMSG     the task returned 0 and had not started
 *   -ENOMEM     no memory; also an error of the scope; or no stack
 *   -ESTALE     the scope is closed
 */
SCOPE_API int scope_start(struct scope *s, scope_task_fn *fn, void *arg);

/**
 * Tells who called scope_start that the running task, which that began, is ready.
 *
 * Thread safety: the started task itself, not those that it spawned.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -EPERM      the task was not begun by scope_start
 *   -EALREADY   it has called this before
 *   -ECANCELED  nobody waits any more: the caller of scope_start was cancelled, so is this task
 */
SCOPE_API int scope_started(void);

/* ---- scopes in objects ------------------------------------------------------------- */

/**
 * Opens a scope that belongs to an object and not to a block of code: a connection with a task
 * that keeps it alive, a cache with one that cleans up.  The caller's place stays what it was,
 * and the order in which such scopes are closed is free.  Its tasks are never run on the
 * caller's stack.  In the tree it is a child of `parent`: cancels and deadlines of that reach
 * it, and scope_close(parent) cancels and joins it, after the other tasks of the parent; one that
 * is opened later still is cancelled at once.  What scope_close of it would have returned is an
 * error of the parent then; else errors go to who closes it.
 *
 * The running task becomes its owner, who alone may close it, wait for it, fail it and move it,
 * from a cancelled place too: cancel and close end its tasks whatever happens.
 *
 * s       in memory that stays until the scope was closed by its owner or with its parent;
 *         scope_close(s) waits for the latter
 * parent  any open scope that the caller was handed
 * Thread safety: any task of the run.
 * Cost: 50 to 100 ns, and as much for each scope above that no task was parked below yet; does
 * not allocate.
 * Returns 0, else the scope is not open and later calls on it say so (-ESTALE):
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the parent is closed
 */
SCOPE_API int scope_open_in(struct scope *s, struct scope *parent);

/**
 * scope_open_in with options.
 *
 * options  NULL: as scope_open_in; read only during the call, the name until close
 * Thread safety: any task of the run.
 * Cost: allocates only for a name.
 * Returns 0, else the scope is not open and later calls on it say so (-ESTALE):
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the parent is closed
 *   -EINVAL    negative deadline, unknown on_timeout, or a reserved field is set
 *   -ENOMEM    no memory to keep the name
 */
SCOPE_API int scope_open_in_with(struct scope *s, struct scope *parent,
				 const struct scope_options *options);

/**
 * Makes a scope in an object a child of `new_parent`, which is its parent or above it, and hands
 * it to the task that owns that: so a function returns an object that it made in a scope of its
 * own.  To other tasks the move is one step: a cancel of the old or the new parent reaches the
 * scope if it comes before or after.  What was cancelled only by the old parent is not cancelled
 * any more.
 *
 * Thread safety: the owner of `s` only.
 * Cost: as a cancel of `s` if that changes whether it is cancelled, else 50 to 100 ns.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -ESTALE    the scope is closed
 *   -EINVAL    the scope was not opened by scope_open_in
 *   -EPERM     the caller is not its owner
 *   -EXDEV     new_parent is not its parent nor above it
 *   -EBUSY     its parent is closing it
 */
SCOPE_API int scope_move(struct scope *s, struct scope *new_parent);

/* ---- the running task ------------------------------------------------------------ */

/**
 * Reports cancellation, and gives way when the task had the worker for long.
 *
 * Cancellation point.
 * Cost: 2 ns when nothing happened.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is cancelled; every later checkpoint there says so again
 *   -ESHUTDOWN  it is a stopped place, in a soft region; likewise
 */
SCOPE_API int scope_checkpoint(void);

/** True in a cancelled place: for compute loops; never parks.  False outside a task. */
SCOPE_API bool scope_cancelled(void);

/**
 * Lets other ready tasks of this worker go first.
 *
 * Cancellation point.
 * Cost: about 10 ns to switch to another task.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is cancelled; the task did not give way
 *   -ESHUTDOWN  it is a stopped place, in a soft region; likewise
 */
SCOPE_API int scope_yield(void);

/** The monotonic clock in nanoseconds; the virtual one under SCOPE_VIRTUAL_CLOCK. */
SCOPE_API int64_t scope_now(void) SCOPE_QUERY;

/**
 * Parks the task for `duration_ns`; zero and less is a checkpoint.
 *
 * Cancellation point.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled; the rest of the time was not slept
 *   -ESHUTDOWN  it is a stopped place, in a soft region; likewise
 */
SCOPE_API int scope_sleep_for(int64_t duration_ns);

/**
 * Parks the task until `deadline_ns`; SCOPE_NEVER until it is cancelled.  A time already
 * past makes it a checkpoint.
 *
 * deadline_ns  absolute, monotonic
 * Cancellation point.
 * Returns 0, else
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled; the rest of the time was not slept
 *   -ESHUTDOWN  it is a stopped place, in a soft region; likewise
 */
SCOPE_API int scope_sleep_until(int64_t deadline_ns);

/* ---- errors ---------------------------------------------------------------------- */

enum scope_cause {
	SCOPE_CAUSE_NONE = 0,
	SCOPE_CAUSE_EXPLICIT,  /* scope_cancel */
	SCOPE_CAUSE_DEADLINE,  /* the scope's deadline */
	SCOPE_CAUSE_ERROR,     /* a sibling's error */
	SCOPE_CAUSE_PARENT,    /* a scope above was cancelled (scope_cause), or closed */
	SCOPE_CAUSE_INTERRUPT, /* SIGINT or SIGTERM */
	SCOPE_CAUSE_SHUTDOWN,  /* the end of a grace period */
	SCOPE_CAUSE_JOINER,    /* its policy: a task won, on_exit answered */
	SCOPE_CAUSE_DEADLOCK, /* SCOPE_DETECT_DEADLOCK */
	SCOPE_CAUSE_RUNTIME,  /* a rule was broken: see the report */
	SCOPE_CAUSE_SUPERVISOR /* a supervisor stops its child, or itself */
};

/* Where `site` of an error lies. */
enum scope_site_kind {
	SCOPE_SITE_SPAWN = 0, /* behind the call that spawned the task */
	SCOPE_SITE_FAIL,      /* behind the scope_fail of the body */
	SCOPE_SITE_OPEN,      /* behind the opening of a scope: its deadline, or it was left open */
	SCOPE_SITE_DEFER,     /* behind the scope_defer of a call that failed */
	SCOPE_SITE_LOCK       /* behind the locking of a mutex that was not unlocked */
};

/* Errors of one code, of those past the 64 that a scope keeps. */
struct scope_error_count {
	int code;
	uint64_t count;
	const struct scope_error_count *next;
};

/* One recorded error.  Without memory for a record there is none: close still returns the
 * code.  Tasks of one name have numbers in paths, the first but one #2; `because` is text for
 * people. */
struct scope_error {
	int code;
	enum scope_cause cause;     /* why the failing task was being cancelled, or NONE */
	const char *text;           /* from scope_fail */
	const char *path;           /* "/main/server/conn#17/reader" */
	const void *site;           /* a return address, see site_kind */
	int64_t time_ns;            /* scope_now() at the record */
	const struct scope_error *context;    /* in hand when this one came; 64 deep at most */
	const struct scope_error *suppressed; /* later errors of the same scope, in order */
	const struct scope_error *next;       /* next in a suppressed list */
	uint64_t uncounted;         /* errors past the 64 that a scope keeps */
	enum scope_site_kind site_kind;
	const char *because;        /* what cancelled it, if anything: "/main failed with -EIO" */
	const struct scope_error_count *counts; /* of the uncounted, of 256 codes at most */
};

/** The record behind the last nonzero scope_close in this task, NULL if there was none (a
 * cancel from above leaves none); valid until the task's next nonzero close or its end. */
SCOPE_API const struct scope_error *scope_last_error(void) SCOPE_QUERY;

/**
 * Prints an error as a tree: path, code and text, the site by function and line (function and
 * offset where the program has no debug information, file and offset where it has no symbols),
 * what cancelled the task, the error it was handling, suppressed errors, counts of further
 * ones; at most eight levels and 16 KiB.
 *
 * Thread safety: any thread that may read `error`.
 * Returns 0, else
 *   -EINVAL  error or `to` is NULL
 *   -EIO     `to` reported a write error
 */
SCOPE_API int scope_error_print(const struct scope_error *error, FILE *to);

/* Why a scope is cancelled.  Texts that don't fit are cut. */
struct scope_cause_info {
	enum scope_cause cause;  /* NONE: it is not; PARENT: a scope above it is */
	enum scope_cause origin; /* of PARENT: why that one is; else the same */
	int code;                /* origin ERROR: of the error */
	const void *site;        /* ERROR: of the error; EXPLICIT: behind the scope_cancel, or the
				  * opening of the cancelled scope, as of the others */
	char scope[64];          /* name of the scope that was cancelled first, or "" */
	char path[512];          /* of the task that failed or cancelled (of the last 64 that
				  * called scope_cancel), of the owner if it is a deadline, or "" */
	char text[256];          /* of the error; "SIGINT", "SIGTERM" */
	uint64_t reserved[4];
};

/**
 * Tells what cancelled a scope: the first of scope_cancel, a deadline, a task's error, an
 * interrupt, here or in a scope above that no shield hides.  After close only `cause` (of the
 * scope's own cancel, or PARENT if one from above was felt) is known.
 *
 * out_info  filled, also if the scope is not cancelled; may be NULL
 * Thread safety: any task that holds the scope.
 * Cost: walks up to the cancelled scope; names are looked up in the program's file.
 * Returns the cause (enum scope_cause), SCOPE_CAUSE_NONE being 0, else
 *   -ENOTCONN  not called from a task; *out_info is untouched
 */
SCOPE_API int scope_cause(const struct scope *s, struct scope_cause_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
