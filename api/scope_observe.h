/* scope_observe.h: what the running program does: its tasks, its counters. */
#ifndef SCOPE_OBSERVE_H
#define SCOPE_OBSERVE_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sums over the workers, each read without stopping them: a snapshot in motion. */
struct scope_stats {
	uint64_t workers;
	uint64_t workers_busy;  /* not searching or asleep now */
	uint64_t tasks_stolen;  /* unstarted tasks that another worker took */
	uint64_t tasks_started; /* not inlined: ended on a stack of their own; several
				 * that were stolen together count once */
	uint64_t parks;         /* times a task parked, with its whole stack */
	uint64_t stacks_live;   /* stacks in use now, with the root task's and a spare a worker */
	uint64_t timers_live;   /* armed timers now */
	uint64_t trace;         /* hash of what a seed has decided so far; 0: no seed */
	uint64_t tasks_cancelled; /* ended because they were cancelled or stopped */
	uint64_t tasks_failed;  /* errors of tasks, and of bodies by scope_fail */
	uint64_t reserved[6];
};

/**
 * Reads the counters of the current run; counts restart at each scope_run.  In a seeded run
 * `trace` tells schedules apart: the same in two runs means that the same was decided.
 *
 * Thread safety: any task of the run.
 * Returns 0, else *out_stats is untouched:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    out_stats is NULL
 */
SCOPE_API int scope_stats_get(struct scope_stats *out_stats);

/**
 * Reads the counters of one worker: as scope_stats_get, with 0 for what is no worker's own.
 * Tasks that ran on the stack of their parent are counted nowhere, as that would cost each of
 * them an instruction; those of a struct scope_class that counts are.
 *
 * worker  0 .. `workers` of scope_stats_get, less one
 * Thread safety: any task of the run.
 * Returns 0, else *out_stats is untouched:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    out_stats is NULL, or there is no such worker
 */
SCOPE_API int scope_worker_stats_get(unsigned worker, struct scope_stats *out_stats);

enum scope_dump_format { SCOPE_DUMP_TEXT = 0, SCOPE_DUMP_JSON = 1 };

/**
 * Writes what every task of the run does: where it was spawned, what it waits for and for how
 * long, the scopes it has open with their deadlines and cancels, and where running ones are.  Takes
 * no lock that a task may hold and stops nobody, so it works while tasks are stuck; what moves
 * meanwhile may be shown as it was or is, or left out.  Unstarted tasks have no line: the scopes
 * that wait for them count them.  SIGQUIT (Ctrl-\) has the same written to the reporter.
 *
 * SCOPE_DUMP_TEXT has a line for each task, below that of the task that spawned it, then one for
 * each of its open scopes, then the frames of one that runs.  Tasks of one name have numbers, which
 * are those of error paths; one that runs on the stack of another has none before an error names
 * it.  SCOPE_DUMP_JSON is an object: now_ns,
 * workers, left_out (for want of memory), `tree`, `abandoned` (functions of abandoned calls).  Each
 * item of `tree` has `id`, `in` (the id of what holds it, 0: nothing) and `site`; a task also
 * `task` (its name), `state`, and as far as they apply number, `scope` (the id of its youngest),
 * worker, for_ns, until_ns, call, signal, stack_bytes, frames; a scope also `scope` (its name), and
 * left, cancelled, shielded, code, deadline_ns, internal (the runtime opened it for itself).
 *
 * fd  is written to with write(2), which blocks the worker if it blocks
 * Thread safety: any task of the run; one dump at a time.
 * Cost: microseconds a task, 100 bytes of memory a task.
 * Returns 0, else
 *   -ENOTCONN  not called from a task
 *   -EINVAL    unknown format; nothing was written
 *   -EBADF     fd can't be written to; nothing was written
 *   -EIO       another error of write; the rest was not written
 *   -EBUSY     another dump is being written; nothing was
 */
SCOPE_API int scope_dump(int fd, enum scope_dump_format format);

#ifdef __cplusplus
}
#endif

#endif
