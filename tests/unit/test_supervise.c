/* tests/unit/test_supervise.c: supervisors and classes without memory, without stacks: V1, P8. */
#include "harness.h"

#include "base/atomic.h"
#include "os/os.h"

#include <errno.h>
#include <scope.h>
#include <scope_class.h>
#include <scope_supervise.h>
#include <string.h>

TestSuite(supervise, .timeout = 60);

/* atomic: so many calls still succeed; pieces of memory that were not given back */
static int32_t allocs_left, guards_left, live;
static int32_t ran, dropped; /* atomic */
static const char *failure;  /* atomic */

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define CHECK(c) ((c) ? (void)0 : note("line " TEXT(__LINE__) ": " #c))

static void note(const char *text)
{
	const char *none = NULL;

	at_cas_rlx(&failure, &none, text);
}

static void *scarce_alloc(size_t size)
{
	void *memory = at_sub_rlx(&allocs_left, 1) > 0 ? sc_os_system.alloc(size) : NULL;

	at_add_rlx(&live, memory != NULL);
	return memory;
}

static void counted_free(void *memory)
{
	at_sub_rlx(&live, memory != NULL);
	sc_os_system.free(memory);
}

static int scarce_guard(void *memory, size_t size)
{
	return at_sub_rlx(&guards_left, 1) > 0 ? sc_os_system.guard(memory, size) : -ENOMEM;
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static int fails(void *arg)
{
	(void)arg;
	at_add_rlx(&ran, 1);
	return -EDOM;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	at_add_rlx(&ran, 1);
	return scope_sleep_until(SCOPE_NEVER);
}

static int never_called(void *arg)
{
	(void)arg;
	note("what was refused ran");
	return 0;
}

static void drop(void *arg)
{
	(void)arg;
	at_add_rlx(&dropped, 1);
}

static const struct scope_spawn_options droppable = {.drop = drop};

/* The root task has a stack, and so have `stacks` others. */
static void run_scarce(scope_task_fn *fn, int stacks)
{
	struct scope_config config = {
		.workers = 1, .flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK, .report = no_report};
	int rc;

	scope_run(fails, NULL, &config); /* symbols of the program are read once and kept */
	failure = NULL;
	ran = dropped = live = 0;
	allocs_left = INT32_MAX;
	guards_left = 1 + stacks;
	sc_os.alloc = scarce_alloc;
	sc_os.free = counted_free;
	sc_os.guard = scarce_guard;
	rc = scope_run(fn, NULL, &config);
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(rc, 0);
	cr_assert_eq(live, 0, "%d pieces of memory are left", live);
}

/* A supervisor needs itself, an extra of the scope and, for its spawner, one of its own and an
 * entry; a child itself and a record. */
static int without_memory(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;
	int have, rc;

	(void)arg;
	for (have = 0; have < 5; have++) {
		scope_open(&s);
		at_store_rlx(&allocs_left, have);
		rc = scope_supervise(&s, NULL, &spawner);
		at_store_rlx(&allocs_left, INT32_MAX);
		CHECK(rc == (have == 4 ? 0 : -ENOMEM));
		CHECK(scope_close(&s) == rc);
	}
	for (have = 0; have < 2; have++) {
		scope_open(&s);
		CHECK(scope_supervise(&s, NULL, &spawner) == 0);
		at_store_rlx(&allocs_left, have);
		if (have == 0)
			rc = scope_spawner_spawn(&spawner, never_called, NULL);
		else
			rc = scope_spawner_spawn_with(&spawner, never_called, NULL, &droppable);
		at_store_rlx(&allocs_left, INT32_MAX);
		CHECK(rc == -ENOMEM);
		CHECK(scope_close(&s) == -ENOMEM);
	}
	CHECK(dropped == 0);
	return 0;
}

Test(supervise, V1_S7_without_memory_enomem)
{
	run_scarce(without_memory, 100);
}

/* No record could be made of any error. */
static int without_records(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = 2};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_supervise(&s, &options, &spawner) == 0);
	CHECK(scope_spawner_spawn(&spawner, fails, NULL) == 0);
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_sleep_for(SCOPE_SEC) == -ECANCELED);
	at_store_rlx(&allocs_left, INT32_MAX);
	CHECK(scope_close(&s) == -EDOM);
	CHECK(ran == 3);
	return 0;
}

Test(supervise, V1_E4_restarts_need_no_memory)
{
	run_scarce(without_records, 100);
}

/* Somebody else has the only stack. */
static int supervisor_without_a_stack(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope_spawn_options service = {.flags = SCOPE_SERVICE, .drop = drop};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, until_cancelled, NULL, &concurrent) == 0);
	CHECK(scope_sleep_for(SCOPE_MS) == 0);
	CHECK(scope_supervise(&s, NULL, &spawner) == 0);
	CHECK(scope_spawner_spawn_with(&spawner, never_called, NULL, &droppable) == 0);
	CHECK(scope_spawner_spawn_with(&spawner, never_called, NULL, &service) == 0);
	CHECK(scope_spawner_spawn(&spawner, never_called, NULL) == 0);
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	CHECK(dropped == 2);
	CHECK(scope_spawner_spawn(&spawner, never_called, NULL) == -ECANCELED);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == 1);
	return 0;
}

Test(supervise, P8_a_supervisor_that_can_have_no_stack_enomem)
{
	run_scarce(supervisor_without_a_stack, 1);
}

/* The supervisor has it. */
static int child_without_a_stack(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = 10};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_supervise(&s, &options, &spawner) == 0);
	CHECK(scope_spawner_spawn_with(&spawner, never_called, NULL, &droppable) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(dropped == 1);
	CHECK(strstr(scope_last_error()->text, "no stack"));
	return 0;
}

Test(supervise, P8_a_child_that_can_have_no_stack_enomem)
{
	run_scarce(child_without_a_stack, 1);
}

static int temporary_without_a_stack(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TEMPORARY};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_supervise(&s, &options, &spawner) == 0);
	CHECK(scope_spawner_spawn_with(&spawner, never_called, NULL, &droppable) == 0);
	CHECK(scope_sleep_until(SCOPE_NEVER) == -ECANCELED);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(dropped == 1);
	return 0;
}

Test(supervise, P8_a_temporary_child_that_can_have_no_stack_cancels_enomem)
{
	run_scarce(temporary_without_a_stack, 1);
}

/* When it is to be started again another one has the stack. */
static struct scope *outer;

static int fails_once(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

	if (at_add_rlx(&ran, 1) > 0)
		return 0;
	return scope_spawn_with(outer, arg, NULL, &concurrent) == 0 ? -EDOM : 0;
}

static int restart_without_a_stack(void *arg)
{
	struct scope_supervise_options options = {.backoff_ns = SCOPE_SEC};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	outer = &s;
	scope_open(&s);
	CHECK(scope_supervise(&s, &options, &spawner) == 0);
	CHECK(scope_spawner_spawn_with(&spawner, fails_once, (void *)(uintptr_t)until_cancelled,
				       &droppable) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(dropped == 1 && ran == 2);
	return 0;
}

Test(supervise, P8_a_child_that_can_have_no_stack_for_its_restart_enomem)
{
	run_scarce(restart_without_a_stack, 2);
}

/* ---- classes ------------------------------------------------------------------------------- */

/* The second of two tasks has failed, and none of it was run. */
static int counted_without_a_stack(void *arg)
{
	struct scope_class class_of = {.counts = true};
	struct scope_class_stats stats;
	struct scope s;

	(void)arg;
	CHECK(scope_open_class(&s, &class_of) == 0);
	CHECK(scope_spawn_with(&s, until_cancelled, NULL, &droppable) == 0);
	CHECK(scope_spawn_with(&s, until_cancelled, NULL, &droppable) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(scope_class_stats_get(&class_of, &stats) == 0);
	CHECK(stats.spawned == 2 && stats.ended == 2);
	CHECK(stats.failed == 1 && stats.cancelled == 1 && stats.parked == 1);
	CHECK(dropped == 1 && ran == 1);
	return 0;
}

Test(supervise, O2_P8_a_task_that_can_have_no_stack_is_counted_enomem)
{
	run_scarce(counted_without_a_stack, 1);
}
