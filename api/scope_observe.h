/* scope_observe.h: counters of the running program. */
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
	uint64_t reserved[8];
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

#ifdef __cplusplus
}
#endif

#endif
