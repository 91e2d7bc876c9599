/* tests/sim/scn_exhaust.c: small programs under all schedules with few preemptions, at each
 * access to a shared word, and in all orders of tasks that a seed can give. */
#include "scn.h"

#include <stdlib.h>

enum { MOST = 60000 };

struct program {
	int (*root)(void *arg);
	unsigned workers, flags;
};

static void run_program(void *arg)
{
	const struct program *program = arg;
	struct scope_config config = {.workers = program->workers,
				      .stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS | program->flags};
	int rc = scope_run(program->root, NULL, &config);

	sim_check(rc == 0, "scope_run gave %d", rc);
}

static void exhaust(const char *name, int (*root)(void *arg), unsigned flags)
{
	const char *schedules = getenv("SIM_SCHEDULES");
	struct program program = {root, 2, flags};

	sim_exhaust(name, run_program, &program, 1, MOST);
	if (schedules)
		sim_exhaust(name, run_program, &program, 2, strtoull(schedules, NULL, 0));
}

static int one_child(void *arg)
{
	struct group g;
	struct job job;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_nothing);
	return group_close(&g);
}

Test(sim, all_schedules_of_one_child)
{
	exhaust("all_schedules_of_one_child", one_child, 0);
}

static int yielding_child(void *arg)
{
	struct group g;
	struct job job = {.number = 1};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_yield);
	return group_close(&g);
}

Test(sim, all_schedules_of_a_child_that_yields)
{
	exhaust("all_schedules_of_a_child_that_yields", yielding_child, 0);
}

static int cancelled_sleeper(void *arg)
{
	struct group g;
	struct job job;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_for_ever);
	scope_yield();
	scope_cancel(&g.scope);
	return group_close(&g);
}

Test(sim, all_schedules_of_a_cancelled_sleeper)
{
	exhaust("all_schedules_of_a_cancelled_sleeper", cancelled_sleeper, 0);
}

static int late_scope(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 5,
					.on_timeout = SCOPE_MOVE_ON};
	struct group g;
	struct job job = {.number = 5};

	(void)arg;
	group_open_with(&g, &options);
	group_spawn(&g, &job, body_sleep);
	return group_close(&g);
}

Test(sim, all_schedules_of_a_deadline_at_the_end_of_a_sleep)
{
	exhaust("all_schedules_of_a_deadline_at_the_end_of_a_sleep", late_scope,
		SCOPE_VIRTUAL_CLOCK);
}

static int waited_child(void *arg)
{
	struct group g;
	struct job job;
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_nothing);
	rc = scope_wait_until(&g.scope, SCOPE_NEVER);
	sim_check(rc == 0 && g.ended == 1, "wait gave %d", rc);
	return group_close(&g);
}

Test(sim, all_schedules_of_a_wait)
{
	exhaust("all_schedules_of_a_wait", waited_child, 0);
}

static int stop_at_once(void *arg)
{
	(void)arg;
	return 0;
}

Test(sim, all_schedules_of_start_and_stop)
{
	exhaust("all_schedules_of_start_and_stop", stop_at_once, 0);
}

/* ---- orders of tasks --------------------------------------------------------------- */

static unsigned shared;

static int add_one(void *arg)
{
	unsigned seen = shared;

	(void)arg;
	if (sim_random(2))
		scope_yield();
	shared = seen + 1;
	return 0;
}

static int add_twice(void *arg)
{
	struct scope s;

	(void)arg;
	shared = 0;
	scope_open(&s);
	scope_spawn(&s, add_one, NULL);
	scope_spawn(&s, add_one, NULL);
	scope_close(&s);
	sim_check(shared == 2, "an update is lost");
	return 0;
}

static void run_seeded(void *arg)
{
	struct scope_config config = {.workers = 1,
				      .stack_size = 64 << 10,
				      .seed = 1,
				      .flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK};
	int rc = scope_run((scope_task_fn *)arg, NULL, &config);

	sim_check(rc == 0, "scope_run gave %d", rc);
}

/* No thread is preempted: what is chosen are tasks. */
Test(sim, all_orders_of_tasks_show_a_lost_update)
{
	struct sim_limits limits = {.none_preempted = true, .steady_clock = 1};
	struct sim_result result = {.verdict = SIM_OK};
	uint64_t number;

	sim_set_limits(&limits);
	for (number = 0; number < 1000; number++)
		if (sim_run(number, SIM_EXHAUSTIVE, run_seeded, (void *)add_twice, &result))
			break;
	sim_set_limits(&(struct sim_limits){0});
	cr_assert_eq(result.verdict, SIM_CHECK, "verdict %d after %d orders: %s", result.verdict,
		     (int)number, result.message);
	printf("# sim/all_orders_of_tasks_show_a_lost_update: in order %d\n", (int)number);
}

static int trees(void *arg)
{
	struct group g, inner;
	struct job job[2], child;
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++) {
		job[i].number = 1;
		group_spawn(&g, &job[i], body_yield);
	}
	group_open(&inner);
	child.number = 1;
	group_spawn(&inner, &child, body_sleep);
	sim_check(group_close(&inner) == 0, "an error from nowhere");
	return group_close(&g);
}

Test(sim, all_orders_of_tasks_of_two_scopes)
{
	sim_exhaust("all_orders_of_tasks_of_two_scopes", run_seeded, (void *)trees, 0, MOST);
}
