/* runtime/scope/observe.c: the counters of a run, read without stopping it: rule O2. */
#include "scope/tree.h"
#include <errno.h>
#include <scope_observe.h>
#include <string.h>

static void add_worker(struct scope_stats *sum, struct sc_worker *worker)
{
	sum->tasks_stolen += at_load_rlx(&worker->stolen);
	sum->tasks_started += at_load_rlx(&worker->started);
	sum->parks += at_load_rlx(&worker->parks);
	sum->tasks_cancelled += at_load_rlx(&worker->cancelled);
	sum->tasks_failed += at_load_rlx(&worker->failed);
	sc_lock_take(&worker->timers.lock);
	sum->timers_live += worker->timers.wheel.count;
	sc_lock_drop(&worker->timers.lock);
}

static unsigned busy_workers(void)
{
	uint32_t idle = at_load_rlx(&sc_sched.idle);
	int busy = (int)sc_sched.count - sc_searchers(idle) - (int)sc_sleepers(idle);

	return busy > 0 ? (unsigned)busy : 0;
}

int scope_stats_get(struct scope_stats *out_stats)
{
	struct scope_stats sum;
	unsigned i;

	if (!out_stats)
		return -EINVAL;
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_stats_get");
	memset(&sum, 0, sizeof sum);
	for (i = 0; i < sc_sched.count; i++)
		add_worker(&sum, &sc_sched.workers[i]);
	sum.workers = sc_sched.count;
	sum.workers_busy = busy_workers();
	sum.stacks_live = sc_fiber_live();
	sum.trace = sc_sched.trace;
	*out_stats = sum;
	return 0;
}

int scope_worker_stats_get(unsigned worker, struct scope_stats *out_stats)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_worker_stats_get");
	if (!out_stats || worker >= sc_sched.count)
		return -EINVAL;
	memset(out_stats, 0, sizeof *out_stats);
	add_worker(out_stats, &sc_sched.workers[worker]);
	return 0;
}
