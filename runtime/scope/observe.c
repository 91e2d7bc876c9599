/* runtime/scope/observe.c: the counters of a run, summed up without stopping it. */
#include "scope/tree.h"
#include <errno.h>
#include <scope_observe.h>
#include <string.h>

int scope_stats_get(struct scope_stats *out_stats)
{
	struct scope_stats sum;
	unsigned i;

	if (!out_stats)
		return -EINVAL;
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_stats_get");
	memset(&sum, 0, sizeof sum);
	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *worker = &sc_sched.workers[i];

		sum.tasks_stolen += at_load_rlx(&worker->stolen);
		sum.tasks_started += at_load_rlx(&worker->started);
		sum.parks += at_load_rlx(&worker->parks);
		sc_lock_take(&worker->timers.lock);
		sum.timers_live += worker->timers.wheel.count;
		sc_lock_drop(&worker->timers.lock);
	}
	sum.workers = sc_sched.count;
	{
		uint32_t idle = at_load_rlx(&sc_sched.idle);
		int away = sc_searchers(idle) + (int)sc_sleepers(idle);
		int busy = (int)sum.workers - away;

		sum.workers_busy = busy > 0 ? (unsigned)busy : 0;
	}
	sum.stacks_live = sc_fiber_live();
	sum.trace = sc_sched.trace;
	*out_stats = sum;
	return 0;
}
