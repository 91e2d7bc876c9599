/* tests/sim/scn_join.c: spawn, steal, join: who ends a scope, and who may still touch it. */
#include "scn.h"

#include <string.h>

static int last_child(void *arg)
{
	struct group g;
	struct job job[2];
	int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		group_open(&g);
		group_spawn(&g, &job[0], body_nothing);
		if (sim_random(2))
			group_spawn(&g, &job[1], body_points);
		pause_randomly();
		sim_check(group_close(&g) == 0, "an error from nowhere");
	}
	return 0;
}

Test(sim, last_child_races_the_parent_leaving)
{
	explore("last_child_races_the_parent_leaving", last_child, 0);
}

/* A task that lets itself be put aside, so that the parent has to park in close. */
static int parked_child(void *arg)
{
	struct group g;
	struct job job[3];
	unsigned i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		job[i].number = sim_random(3);
		group_spawn(&g, &job[i], body_yield);
	}
	pause_randomly();
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, children_that_yield_are_joined)
{
	explore("children_that_yield_are_joined", parked_child, 0);
}

/* Spawns one more task into its own scope, which may be closing. */
static int body_spawn_sibling(struct job *job)
{
	struct job *next = job->pointer;

	pause_randomly();
	if (sim_random(2))
		scope_yield();
	sim_check(group_spawn(job->group, next, job->number ? body_yield : body_points) == 0,
		  "a member's spawn was refused");
	return 0;
}

static int closing_scope(void *arg)
{
	struct group g;
	struct job job[2], more[2];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++) {
		more[i].number = 1;
		job[i].number = sim_random(2);
		job[i].pointer = &more[i];
		group_spawn(&g, &job[i], body_spawn_sibling);
	}
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(g.ended == 4, "%u of 4 ran", g.ended);
	return 0;
}

Test(sim, spawn_into_a_closing_scope)
{
	explore("spawn_into_a_closing_scope", closing_scope, 0);
}

/* Thieves and the owner meet at the last item, again and again, with the deque filling and
 * emptying. */
static int last_item(void *arg)
{
	struct group g;
	struct job job[6];
	int round, i, n;

	(void)arg;
	for (round = 0; round < 4; round++) {
		group_open(&g);
		n = 1 + (int)sim_random(6);
		for (i = 0; i < n; i++) {
			group_spawn(&g, &job[i], body_nothing);
			pause_randomly();
		}
		sim_check(group_close(&g) == 0, "an error from nowhere");
		sim_check(g.ended == (unsigned)n, "%u of %d ran", g.ended, n);
	}
	return 0;
}

Test(sim, steal_races_pop_of_the_last_item)
{
	explore("steal_races_pop_of_the_last_item", last_item, PARALLEL);
}

/* fork-join to a depth, with children that park here and there. */
static int body_tree(struct job *job)
{
	struct group g;
	struct job child[2];
	int i;

	if (job->number == 0)
		return sim_random(4) ? 0 : scope_yield();
	group_open(&g);
	for (i = 0; i < 2; i++) {
		child[i].number = job->number - 1;
		group_spawn(&g, &child[i], body_tree);
	}
	if (sim_random(4) == 0)
		scope_yield();
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

static int tree(void *arg)
{
	struct group g;
	struct job job = {.number = 3};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_tree);
	return group_close(&g);
}

Test(sim, fork_join_with_parks)
{
	explore("fork_join_with_parks", tree, 0);
}

/* The parent computes without calling in, and the child has to progress: another worker,
 * asleep or about to fall asleep, must hear of it without the monitor's help. */
static int idle_worker(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct group g;
	struct job job;
	unsigned turn;
	int round;

	(void)arg;
	for (round = 0; round < 2; round++) {
		group_open(&g);
		for (turn = (unsigned)sim_random(40); turn > 0; turn--)
			sc_os.relax(turn);
		group_spawn_with(&g, &job, body_nothing, &options);
		for (turn = 0; g.ended == 0; turn++) {
			sim_check(turn < 3000, "nobody took a concurrent task");
			sc_os.relax(turn);
		}
		sim_check(group_close(&g) == 0, "an error from nowhere");
	}
	return 0;
}

Test(sim, idle_worker_hears_of_a_spawn)
{
	explore("idle_worker_hears_of_a_spawn", idle_worker, PARALLEL);
}

/* Spawns from a task that is not the owner go another way than the join deque. */
static int body_spawn_above(struct job *job)
{
	struct group *above = job->pointer;
	struct group g;
	struct job own, *more = (struct job *)(uintptr_t)job->number;

	group_open(&g);
	own.number = 1;
	group_spawn(&g, &own, body_yield);
	more->number = 1;
	group_spawn(above, more, sim_random(2) ? body_yield : body_nothing);
	return group_close(&g);
}

static int spawn_above(void *arg)
{
	struct group outer, inner;
	struct job job[2], more[2];
	int i;

	(void)arg;
	group_open(&outer);
	group_open(&inner);
	for (i = 0; i < 2; i++) {
		job[i].pointer = &outer;
		job[i].number = (uintptr_t)&more[i];
		group_spawn(&inner, &job[i], body_spawn_above);
	}
	sim_check(group_close(&inner) == 0, "an error from nowhere");
	sim_check(group_close(&outer) == 0, "an error from nowhere");
	sim_check(outer.ended == 2 && inner.ended == 2, "not all ran");
	return 0;
}

Test(sim, spawn_into_a_scope_further_out)
{
	explore("spawn_into_a_scope_further_out", spawn_above, 0);
}

/* ---- ranges ---- */

enum { RANGE = 24 };
static unsigned char ran[RANGE];

static int count_range(void *arg)
{
	unsigned char *cell = arg;

	sim_check(cell >= ran && cell < ran + RANGE, "a child of no range");
	pause_randomly();
	if (sim_random(6) == 0)
		scope_yield();
	++*cell;
	return 0;
}

static int range(void *arg)
{
	struct scope s;
	int i, n = (int)sim_random(RANGE + 1);

	(void)arg;
	memset(ran, 0, sizeof(ran));
	scope_open(&s);
	sim_check(scope_spawn_n(&s, count_range, ran, 1, (size_t)n) == 0, "refused");
	if (sim_random(2))
		scope_yield();
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	for (i = 0; i < RANGE; i++)
		sim_check(ran[i] == (i < n), "child %d of %d ran %d times", i, n, ran[i]);
	return 0;
}

Test(sim, ranges_are_split_by_thieves)
{
	explore("ranges_are_split_by_thieves", range, 0);
}

/* ---- start and stop ---- */

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void start_stop(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .flags = SCOPE_NO_SIGNALS};
	int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		config.workers = 1 + (unsigned)sim_random(4);
		sim_check(scope_run(nothing, NULL, &config) == 0, "an error from nowhere");
	}
	sim_check(sim_idle_jumps() == 0, "the stop was not heard");
}

Test(sim, workers_start_and_stop)
{
	sim_explore("workers_start_and_stop", start_stop, NULL);
}

/* ---- pinned tasks ---- */

static int body_pinned(struct job *job)
{
	unsigned here = sim_thread_id();
	uint64_t i;

	for (i = 0; i < job->number; i++) {
		scope_yield();
		sim_check(sim_thread_id() == here, "a pinned task moved");
	}
	return 0;
}

static int body_spawn_pinned(struct job *job)
{
	struct scope_spawn_options options = {.flags = SCOPE_PINNED};
	struct group g;
	struct job child[2];
	int i;

	(void)job;
	group_open(&g);
	for (i = 0; i < 2; i++) {
		child[i].number = sim_random(3);
		options.flags = SCOPE_PINNED | (i ? SCOPE_CONCURRENT : 0);
		group_spawn_with(&g, &child[i], body_pinned, &options);
	}
	if (sim_random(2))
		scope_yield();
	return group_close(&g);
}

static int pinned(void *arg)
{
	struct group g;
	struct job job[2];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		group_spawn(&g, &job[i], body_spawn_pinned);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, pinned_tasks_stay)
{
	explore("pinned_tasks_stay", pinned, 0);
}
