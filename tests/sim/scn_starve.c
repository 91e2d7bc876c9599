/* tests/sim/scn_starve.c: tasks for which there is no stack, in all the ways they are queued. */
#include "scn.h"

#include <string.h>

enum { TASKS = 12 };

static unsigned char ran[TASKS], dropped[TASKS], accepted[TASKS];
static unsigned spawn_flags;

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static void drop_one(void *arg)
{
	dropped[(unsigned char *)arg - ran]++;
}

static int keeps_its_stack(void *arg)
{
	ran[(unsigned char *)arg - ran]++;
	return scope_sleep_until(SCOPE_NEVER);
}

/* From some moment on no stack can be had, while tasks park: those that were stolen together,
 * and those that only one worker may run. */
static int starved(void *arg)
{
	struct scope_spawn_options options = {.drop = drop_one, .flags = spawn_flags};
	struct scope s;
	unsigned i;
	int rc;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < TASKS; i++) {
		rc = scope_spawn_with(&s, keeps_its_stack, &ran[i], &options);
		sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "spawn gave %d", rc);
		accepted[i] = rc == 0;
	}
	sim_refuse(1 + sim_random(6), true);
	if (sim_random(2))
		scope_yield();
	else
		scope_sleep_for(1000);
	rc = scope_close(&s);
	sim_refuse(0, false);
	for (i = 0; i < TASKS; i++)
		sim_check(ran[i] + dropped[i] == accepted[i],
			  "close gave %d, task %u: ran %d, dropped %d", rc, i, ran[i], dropped[i]);
	return 0;
}

/* A range that a member spawns travels as a queued task; its record must not be lost. */
static int spawns_a_range(void *arg)
{
	struct scope below;

	scope_open(&below);
	scope_spawn_n(arg, keeps_its_stack, ran, 1, TASKS);
	sim_refuse(1 + sim_random(3), true);
	scope_close(&below);
	return scope_sleep_until(SCOPE_NEVER);
}

static int members(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 3; i++)
		scope_spawn(&s, spawns_a_range, &s);
	scope_close(&s);
	sim_refuse(0, false);
	return 0;
}

static void run_starving(scope_task_fn *root)
{
	struct scope_config config = {
		.stack_size = 64 << 10,
		.flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK,
		.report = no_report};
	int rc;

	memset(ran, 0, sizeof(ran));
	memset(dropped, 0, sizeof(dropped));
	config.workers = 1 + (unsigned)sim_random(3);
	rc = scope_run(root, NULL, &config);
	sim_refuse(0, false);
	sim_check(rc == 0 || rc == -ENOMEM || rc == -EAGAIN || rc == -EDEADLK,
		  "scope_run gave %d", rc);
}

static void stolen(void *arg)
{
	(void)arg;
	spawn_flags = 0;
	run_starving(starved);
}

static void pinned(void *arg)
{
	(void)arg;
	spawn_flags = SCOPE_PINNED;
	run_starving(starved);
}

static void queued(void *arg)
{
	(void)arg;
	run_starving(members);
}

Test(sim, stolen_tasks_find_no_stack)
{
	sim_explore("stolen_tasks_find_no_stack", stolen, NULL);
}

Test(sim, pinned_tasks_find_no_stack)
{
	sim_explore("pinned_tasks_find_no_stack", pinned, NULL);
}

Test(sim, queued_ranges_find_no_stack)
{
	sim_explore("queued_ranges_find_no_stack", queued, NULL);
}
