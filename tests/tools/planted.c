/* tests/tools/planted.c: errors in tasks that a checker must find, and their correct twins.
 *
 * Usage: planted race|ordered|dead|alive|unset|set
 * Every error lies on a task's own stack or between two tasks, where a checker that was not
 * told of switches would see nothing, or everything.  tests/tools.sh judges what is reported.
 */
#include <scope.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

static int shared;

/* ---- two tasks write one word ---- */

static atomic_int met;

/* Both are under way at once, and relaxed accesses order nothing. */
static int write_when_both_run(void *arg)
{
	atomic_fetch_add_explicit(&met, 1, memory_order_relaxed);
	while (atomic_load_explicit(&met, memory_order_relaxed) < 2)
		scope_checkpoint();
	shared += *(int *)arg;
	return 0;
}

static int write_shared(void *arg)
{
	shared += *(int *)arg;
	return 0;
}

static int race(void *arg)
{
	struct scope s;
	int one = 1;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, write_when_both_run, &one, &concurrent);
	scope_spawn_with(&s, write_when_both_run, &one, &concurrent);
	return scope_close(&s);
}

/* The same word by one task after the other, on any worker: closing orders them. */
static int ordered(void *arg)
{
	int one = 1, i;
	struct scope s;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		scope_open(&s);
		scope_spawn_with(&s, write_shared, &one, &concurrent);
		scope_close(&s);
	}
	return shared != 1000;
}

/* ---- the stack of a task ---- */

static int read_after_block(void *arg)
{
	int *volatile kept = NULL, sum = 0;

	if (arg) {
		volatile int local[4] = {1, 2, 3, 4};

		kept = (int *)local;
		sum = *kept;
		if (*(int *)arg)
			return sum != 1;
	}
	return kept ? *kept : sum;
}

static int read_unset(void *arg)
{
	volatile int cell[16];

	if (*(int *)arg)
		cell[3] = 5;
	scope_yield();
	if (cell[3] == 5)
		fputs("five\n", stdout);
	return 0;
}

static int in_a_task(scope_task_fn *fn, int right)
{
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, fn, &right, &concurrent);
	return scope_close(&s);
}

static int dead(void *arg)
{
	(void)arg;
	return in_a_task(read_after_block, 0) < 0;
}

static int alive(void *arg)
{
	(void)arg;
	return in_a_task(read_after_block, 1);
}

static int unset(void *arg)
{
	(void)arg;
	return in_a_task(read_unset, 0);
}

static int set(void *arg)
{
	(void)arg;
	return in_a_task(read_unset, 1);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		scope_task_fn *root;
	} program[] = {{"race", race},	 {"ordered", ordered}, {"dead", dead},
		       {"alive", alive}, {"unset", unset},     {"set", set}};
	struct scope_config config = {.workers = argc > 2 ? (unsigned)atoi(argv[2]) : 2};
	size_t i;

	for (i = 0; argc > 1 && i < sizeof program / sizeof *program; i++)
		if (strcmp(program[i].name, argv[1]) == 0)
			return scope_run(program[i].root, NULL, &config) != 0;
	fputs("usage: planted race|ordered|dead|alive|unset|set [WORKERS]\n", stderr);
	return 2;
}
