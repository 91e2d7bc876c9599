/* tests/stress/test_tree.c: random trees of scopes and tasks against a model of what they do.
 *
 * Every task that a spawn accepts has a cell; when the tree has closed, each cell was run as
 * often as it was accepted: once or not at all.  A scope knows how many of its tasks failed,
 * and whether it or one above was cancelled: that bounds what its close may return.
 * STRESS_SEED=n begins with the tree of that number, which a failure names.
 */
#include "harness.h"

#include <scope.h>
#include <scope_observe.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

TestSuite(stress, .timeout = 4000);

enum { CELLS = 3000, DEEPEST = 6, WORKERS = 8 };

/* ---- the model ----------------------------------------------------------------------- */

/* A scope, and what its tasks did to it. */
struct group {
	struct scope scope;
	struct group *above; /* of the place where it was opened */
	uint32_t errors;     /* atomic: failures of its tasks and its body */
	int64_t deadline;
	unsigned on_timeout;
};

struct cell {
	struct group *group; /* that the task was spawned into */
	uint64_t seed;
	unsigned depth;
	uint8_t expected;    /* spawner: the spawn was accepted */
	uint8_t ran;         /* atomic */
};

static struct {
	struct cell cell[CELLS];
	uint32_t used;   /* atomic: cells handed out, may be beyond CELLS */
	uint64_t seed;
	int toggles;     /* shields go on and off while tasks run */
	int line;        /* atomic: the first line where something was wrong */
	long long value;
} tree;

static void wrong(int line, long long value)
{
	int none = 0;

	if (__atomic_compare_exchange_n(&tree.line, &none, line, 0, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		tree.value = value;
}

#define MUST(condition, value) ((condition) ? (void)0 : wrong(__LINE__, value))

static uint64_t draw(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static unsigned below(uint64_t *state, unsigned limit)
{
	return (unsigned)(draw(state) % limit);
}

/* NULL when the tree is large enough. */
static struct cell *take_cells(unsigned count, struct group *group, uint64_t seed, unsigned depth)
{
	uint32_t first, i;

	if (__atomic_load_n(&tree.used, __ATOMIC_RELAXED) > CELLS)
		return NULL;
	first = __atomic_fetch_add(&tree.used, count, __ATOMIC_RELAXED);
	if (first + count > CELLS)
		return NULL;
	for (i = 0; i < count; i++)
		tree.cell[first + i] = (struct cell){group, seed + i * 7919u, depth, 0, 0};
	return &tree.cell[first];
}

/* Whether this group or one above it was cancelled: then, and only then, a call may say so. */
static bool cancelled_above(const struct group *group)
{
	for (; group; group = group->above)
		if (scope_cancel_called(&group->scope))
			return true;
	return false;
}

static void check_told(int rc, const struct group *place)
{
	MUST(rc == 0 || rc == -ECANCELED, rc);
	if (rc == -ECANCELED)
		MUST(cancelled_above(place), rc);
}

/* ---- what tasks do ------------------------------------------------------------------- */

static void play_block(struct group *group, struct group *member_of, uint64_t *random,
		       unsigned depth);

static int run_cell(void *arg)
{
	struct cell *cell = arg;
	uint64_t random = cell->seed;

	__atomic_add_fetch(&cell->ran, 1, __ATOMIC_RELAXED);
	play_block(NULL, cell->group, &random, cell->depth);
	if (below(&random, 40) == 0) {
		__atomic_add_fetch(&cell->group->errors, 1, __ATOMIC_RELAXED);
		return 1 + (int)below(&random, 100);
	}
	/* With shields that come and go the cancel may be gone before the task has ended. */
	if (!tree.toggles && below(&random, 2) && scope_cancelled())
		return -ECANCELED;
	return 0;
}

static int run_copied(void *arg)
{
	return run_cell(*(struct cell **)arg);
}

static void spawn_one(struct group *into, const struct group *place, uint64_t *random,
		      unsigned depth)
{
	struct scope_spawn_options options = {.name = "cell"};
	struct cell *cell = take_cells(1, into, draw(random), depth + 1);
	int rc;

	if (!cell)
		return;
	/* Before the spawn: the task may end before it returns. */
	cell->expected = 1;
	switch (below(random, 6)) {
	case 0:
		options.flags = SCOPE_CONCURRENT;
		rc = scope_spawn_with(&into->scope, run_cell, cell, &options);
		break;
	case 1:
		options.flags = below(random, 4) ? 0 : SCOPE_PINNED;
		rc = scope_spawn_with(&into->scope, run_cell, cell, &options);
		break;
	case 2:
		rc = scope_spawn_copy(&into->scope, run_copied, &cell, sizeof(cell));
		break;
	default:
		rc = scope_spawn(&into->scope, run_cell, cell);
	}
	check_told(rc, into);
	(void)place;
	if (rc != 0)
		cell->expected = 0;
}

static void spawn_range(struct group *into, uint64_t *random, unsigned depth)
{
	unsigned count = 1 + below(random, 40), i;
	struct cell *cell = take_cells(count, into, draw(random), depth + 2);
	int rc;

	if (!cell)
		return;
	for (i = 0; i < count; i++)
		cell[i].expected = 1;
	rc = scope_spawn_n(&into->scope, run_cell, cell, sizeof(*cell), count);
	check_told(rc, into);
	if (rc != 0)
		for (i = 0; i < count; i++)
			cell[i].expected = 0;
}

static void compute(uint64_t *random)
{
	unsigned turns = below(random, 3000);
	volatile unsigned i;

	for (i = 0; i < turns; i++)
		;
}

static void play_scope(struct group *above, struct group *member_of, uint64_t *random,
		       unsigned depth)
{
	struct scope_options options = {.on_timeout = below(random, 2),
					.shield = below(random, 5) == 0};
	struct group group = {.above = above ? above : member_of};
	int rc;

	if (below(random, 3) == 0)
		options.deadline_ns = scope_now() + 1 + below(random, 300) * SCOPE_US;
	group.deadline = options.deadline_ns;
	group.on_timeout = options.on_timeout;
	MUST(scope_open_with(&group.scope, &options) == 0, 0);
	play_block(&group, member_of, random, depth + 1);
	rc = scope_close(&group.scope);
	if (group.errors)
		MUST(rc > 0, rc);
	else if (rc == -ETIMEDOUT)
		MUST(group.deadline && group.on_timeout == SCOPE_FAIL_ON_TIMEOUT &&
		     scope_timed_out(&group.scope), rc);
	else
		check_told(rc, group.above);
	if (scope_timed_out(&group.scope))
		MUST(group.deadline && scope_cancel_called(&group.scope), rc);
}

/* What only the owner of an open scope does with it. */
static void play_owner(struct group *group, uint64_t *random)
{
	int rc;

	switch (below(random, 6)) {
	case 0:
		__atomic_add_fetch(&group->errors, 1, __ATOMIC_RELAXED);
		MUST(scope_fail(&group->scope, 7, "number %u", group->errors) == 7, 0);
		break;
	case 1:
		if (tree.toggles)
			MUST(scope_set_shield(&group->scope, below(random, 2)) == 0, 0);
		break;
	case 2:
		group->deadline = scope_now() + 1 + below(random, 200) * SCOPE_US;
		rc = scope_set_deadline(&group->scope, group->deadline);
		MUST(rc == 0 || rc == -EALREADY, rc);
		break;
	default:
		rc = scope_wait_until(&group->scope, scope_now() + below(random, 100) * SCOPE_US);
		if (rc != -ETIMEDOUT)
			check_told(rc, group);
	}
}

static void play_step(struct group *group, struct group *member_of, uint64_t *random,
		      unsigned depth)
{
	struct group *place = group ? group : member_of;

	switch (below(random, 12)) {
	case 0:
	case 1:
	case 2:
		spawn_one(place, place, random, depth);
		break;
	case 3:
		spawn_one(member_of, place, random, depth);
		break;
	case 4:
		spawn_range(below(random, 3) ? place : member_of, random, depth);
		break;
	case 5:
		check_told(scope_yield(), place);
		break;
	case 6:
		check_told(scope_sleep_for(below(random, 50) * SCOPE_US), place);
		break;
	case 7:
		check_told(scope_checkpoint(), place);
		break;
	case 8:
		if (below(random, 8) == 0)
			scope_cancel(&place->scope);
		break;
	case 9:
		if (group)
			play_owner(group, random);
		break;
	case 10:
		compute(random);
		break;
	default:
		play_scope(group, member_of, random, depth);
	}
}

/* Some steps of a task in `group`, a scope of its own, or NULL: as it was spawned. */
static void play_block(struct group *group, struct group *member_of, uint64_t *random,
		       unsigned depth)
{
	unsigned steps = below(random, group ? 8 : 5), i;

	if (depth > DEEPEST)
		return;
	for (i = 0; i < steps; i++)
		play_step(group, member_of, random, depth);
}

/* ---- a tree -------------------------------------------------------------------------- */

static void play_tree(uint64_t seed)
{
	struct group root = {.above = NULL};
	struct scope_stats stats;
	uint64_t random = seed;
	unsigned i, used;

	memset(&tree, 0, sizeof(tree));
	tree.seed = seed;
	tree.toggles = below(&random, 2);
	scope_open(&root.scope);
	for (i = 0; i < 12; i++) {
		spawn_one(&root, &root, &random, 0);
		play_scope(&root, &root, &random, 0);
	}
	i = (unsigned)scope_close(&root.scope);
	MUST(root.errors ? (int)i > 0 : i == 0, (int)i);
	MUST(scope_checkpoint() == 0, 0);
	used = tree.used < CELLS ? tree.used : CELLS;
	for (i = 0; i < used; i++)
		MUST(tree.cell[i].ran == tree.cell[i].expected, i);
	MUST(scope_stats_get(&stats) == 0, 0);
	MUST(stats.timers_live == 0, (long long)stats.timers_live);
}

struct plan {
	uint64_t seed;
	double end;
	unsigned trees;
};

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int play_trees(void *arg)
{
	struct plan *plan = arg;
	struct scope_stats before, after;

	MUST(scope_stats_get(&before) == 0, 0);
	while (seconds() < plan->end && !tree.line) {
		play_tree(plan->seed++);
		plan->trees++;
	}
	MUST(scope_stats_get(&after) == 0, 0);
	/* Each worker may keep a stack in reserve, and have one that it has not put back. */
	MUST(after.stacks_live <= before.stacks_live + 2 * WORKERS, (long long)after.stacks_live);
	return 0;
}

static double budget(void)
{
	const char *text = getenv("STRESS_SECONDS");

	return text && atoi(text) > 0 ? atoi(text) : 5;
}

static void stress_trees(unsigned flags)
{
	struct scope_config config = {.workers = WORKERS, .flags = flags | SCOPE_NO_SIGNALS};
	const char *first = getenv("STRESS_SEED");
	struct plan plan = {.seed = first ? strtoull(first, NULL, 0) : (uint64_t)time(NULL) << 20};
	double end = seconds() + budget();

	/* Several runs, so that starting and stopping is met too. */
	while (seconds() < end) {
		plan.end = seconds() + 1;
		cr_assert_eq(scope_run(play_trees, &plan, &config), 0);
		cr_assert_eq(tree.line, 0, "line %d, value %lld: STRESS_SEED=%llu", tree.line,
			     tree.value, (unsigned long long)tree.seed);
	}
	cr_assert_gt(plan.trees, 0u);
}

Test(stress, random_trees_run_what_they_accept_once)
{
	stress_trees(0);
}

Test(stress, random_trees_on_the_virtual_clock)
{
	stress_trees(SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK);
}
