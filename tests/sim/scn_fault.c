/* tests/sim/scn_fault.c: the system refuses something somewhere in a schedule: the error comes
 * out of the scope, each accepted task runs or is dropped, and all is given back. */
#include "scn.h"

#include <string.h>

enum { TASKS = 6, RANGE = 10 };

static unsigned char ran[TASKS], dropped[TASKS], accepted[TASKS];
static unsigned parts;

static int run_one(void *arg)
{
	size_t i = (size_t)((unsigned char *)arg - ran);

	ran[i]++;
	pause_randomly();
	return i % 2 ? 0 : scope_yield();
}

static void drop_one(void *arg)
{
	dropped[(unsigned char *)arg - ran]++;
}

static int run_part(void *arg)
{
	(void)arg;
	parts++;
	return sim_random(4) ? 0 : scope_yield();
}

/* Spawned from below the scope's owner, so by a queue; its argument is its own copy. */
static int run_copy(void *arg)
{
	sim_check(*(int *)arg == 17, "a copy of something else");
	return scope_sleep_for((int64_t)sim_random(3));
}

static int fault_root(void *arg)
{
	struct scope_spawn_options options = {.drop = drop_one, .flags = SCOPE_CONCURRENT};
	int i, rc, value = 17;
	struct scope outer, inner;
	bool range;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	for (i = 0; i < TASKS; i++) {
		rc = scope_spawn_with(i % 2 ? &inner : &outer, run_one, &ran[i], &options);
		sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "spawn gave %d", rc);
		accepted[i] = rc == 0;
	}
	rc = scope_spawn_copy(&outer, run_copy, &value, sizeof(value));
	sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "spawn_copy gave %d", rc);
	rc = scope_spawn_n(&inner, run_part, NULL, 0, RANGE);
	sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "spawn_n gave %d", rc);
	range = rc == 0;
	rc = scope_close(&inner);
	sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "close gave %d", rc);
	sim_check(parts <= RANGE && (range || parts == 0), "%u parts", parts);
	sim_check(!range || parts == RANGE || rc == -ENOMEM || rc == -ECANCELED,
		  "%u parts and close gave %d", parts, rc);
	rc = scope_close(&outer);
	for (i = 0; i < TASKS; i++)
		sim_check(ran[i] + dropped[i] == accepted[i], "task %d: ran %d, dropped %d", i,
			  ran[i], dropped[i]);
	sim_check(rc == 0 || rc == -ENOMEM, "close gave %d", rc);
	return 0;
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static void run_refused(scope_task_fn *root, uint64_t most, unsigned flags)
{
	struct scope_config config = {.stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK};
	int rc;

	memset(ran, 0, sizeof(ran));
	memset(dropped, 0, sizeof(dropped));
	parts = 0;
	config.flags |= flags;
	config.report = no_report;
	config.workers = 1 + (unsigned)sim_random(3);
	sim_refuse(1 + sim_random(most), sim_random(2));
	rc = scope_run(root, NULL, &config);
	sim_refuse(0, false);
	sim_check(rc == 0 || rc == -ENOMEM || rc == -EAGAIN || (flags && rc == -EDEADLK),
		  "scope_run gave %d", rc);
}

static void fault(void *arg)
{
	(void)arg;
	run_refused(fault_root, 60, 0);
}

Test(sim, a_refusal_comes_out_of_the_scope)
{
	sim_explore("a_refusal_comes_out_of_the_scope", fault, NULL);
}

/* Tasks that keep their stacks until they are cancelled: if one can't be had for the next, it
 * is dropped, and its scope fails; if all had one, they are a deadlock. */
static int sleep_on(void *arg)
{
	ran[(unsigned char *)arg - ran]++;
	return scope_sleep_until(SCOPE_NEVER);
}

static int starved_root(void *arg)
{
	struct scope_spawn_options options = {.drop = drop_one, .flags = SCOPE_CONCURRENT};
	unsigned i, drops = 0;
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < TASKS; i++) {
		rc = scope_spawn_with(&s, sleep_on, &ran[i], &options);
		sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "spawn gave %d", rc);
		accepted[i] = rc == 0;
	}
	rc = scope_close(&s);
	for (i = 0; i < TASKS; i++) {
		sim_check(ran[i] + dropped[i] == accepted[i], "task %u: ran %d, dropped %d", i,
			  ran[i], dropped[i]);
		drops += dropped[i];
	}
	sim_check(rc == -ENOMEM || (rc == -ECANCELED && !drops), "close gave %d, %u drops", rc,
		  drops);
	return 0;
}

static void starve(void *arg)
{
	(void)arg;
	run_refused(starved_root, 40, SCOPE_DETECT_DEADLOCK);
}

Test(sim, a_task_without_a_stack_is_dropped)
{
	sim_explore("a_task_without_a_stack_is_dropped", starve, NULL);
}
