/* tests/unit/test_extra.c: what a scope keeps beyond its own memory, without memory: S17, R1. */
#include "harness.h"

#include "base/atomic.h"
#include "os/os.h"

#include <errno.h>
#include <scope.h>
#include <scope_class.h>
#include <stdatomic.h>

TestSuite(extra, .timeout = 60);

/* Written by the tasks of one worker, and where threads of the runtime give memory back. */
static atomic_int allocs_left; /* so many calls still succeed */
static atomic_int live;        /* pieces that were not given back */
static int called;
static const char *failure;

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
#define CHECK(c) ((c) ? (void)0 : (void)(failure = failure ? failure : \
	"line " TEXT(__LINE__) ": " #c))

static void *scarce_alloc(size_t size)
{
	void *memory = allocs_left-- > 0 ? sc_os_system.alloc(size) : NULL;

	live += memory != NULL;
	return memory;
}

static void counted_free(void *memory)
{
	live -= memory != NULL;
	sc_os_system.free(memory);
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
	return -EDOM;
}

static void run_scarce(scope_task_fn *fn)
{
	struct scope_config config = {
		.workers = 1, .flags = SCOPE_NO_SIGNALS, .report = no_report};
	int rc;

	scope_run(fails, NULL, &config); /* symbols of the program are read once and kept */
	failure = NULL;
	called = 0;
	live = 0;
	allocs_left = INT32_MAX;
	sc_os.alloc = scarce_alloc;
	sc_os.free = counted_free;
	rc = scope_run(fn, NULL, &config);
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(rc, 0);
	cr_assert_eq(live, 0, "%d pieces of memory are left", live);
}

static int call(void *arg)
{
	(void)arg;
	called++;
	return 0;
}

static int deferred(void *arg)
{
	struct scope s;
	int have;

	(void)arg;
	for (have = 0; have < 3; have++) {
		scope_open(&s);
		allocs_left = have;
		CHECK(scope_defer(&s, call, NULL) == (have == 2 ? 0 : -ENOMEM));
		allocs_left = INT32_MAX;
		CHECK(scope_defer(&s, call, NULL) == 0);
		CHECK(scope_close(&s) == 0);
		CHECK(called == (have == 2 ? 4 : have + 1));
	}
	return 0;
}

Test(extra, S17_without_memory_nothing_is_deferred_enomem)
{
	run_scarce(deferred);
}

static int memory(void *arg)
{
	struct scope s;
	int have;

	(void)arg;
	for (have = 0; have < 3; have++) {
		scope_open(&s);
		allocs_left = have;
		CHECK((scope_alloc(&s, 10) != NULL) == (have == 2));
		allocs_left = INT32_MAX;
		CHECK(scope_alloc(&s, 10) != NULL);
		CHECK(scope_close(&s) == 0);
	}
	return 0;
}

Test(extra, S17_memory_of_a_scope_is_refused_and_given_back)
{
	run_scarce(memory);
}

/* A limited scope has an extra, a joiner and a body; each task a record. */
static int policies(void *arg)
{
	struct scope_options options = {.policy = SCOPE_ANY, .max_tasks = 2};
	struct scope s;
	int have;

	(void)arg;
	for (have = 0; have < 4; have++) {
		allocs_left = have;
		CHECK(scope_open_with(&s, &options) == (have == 3 ? 0 : -ENOMEM));
		if (have < 3) {
			CHECK(scope_spawn(&s, call, NULL) == -ESTALE);
			continue;
		}
		CHECK(scope_spawn(&s, call, NULL) == -ENOMEM);
		allocs_left = 1;
		CHECK(scope_spawn_n(&s, call, NULL, 0, 2) == -ENOMEM ||
		      scope_cancelled());
		allocs_left = INT32_MAX;
		CHECK(scope_close(&s) == -ENOMEM);
	}
	allocs_left = INT32_MAX;
	CHECK(called == 0);
	return 0;
}

Test(extra, R1_without_memory_there_is_no_policy_enomem)
{
	run_scarce(policies);
}

/* A class that counts is looked at by a joiner too. */
static int classes(void *arg)
{
	struct scope_class class_of = {.name = "class", .counts = true};
	struct scope s;
	int have;

	(void)arg;
	for (have = 0; have < 4; have++) {
		allocs_left = have;
		CHECK(scope_open_class(&s, &class_of) == (have == 3 ? 0 : -ENOMEM));
		allocs_left = INT32_MAX;
		CHECK(scope_close(&s) == (have == 3 ? 0 : -ESTALE));
	}
	return 0;
}

Test(extra, Y1_without_memory_nothing_is_counted_enomem)
{
	run_scarce(classes);
}

static int many(void *arg)
{
	struct scope_options options = {.max_tasks = 3};
	struct scope s;
	int have;

	(void)arg;
	for (have = 0; have < 4; have++) {
		CHECK(scope_open_with(&s, &options) == 0);
		called = 0;
		allocs_left = have;
		CHECK(scope_spawn_n(&s, call, NULL, 0, 3) == (have == 3 ? 0 : -ENOMEM));
		allocs_left = INT32_MAX;
		CHECK(scope_close(&s) == (have == 3 ? 0 : -ENOMEM));
		CHECK(called == (have == 3 ? 3 : 0));
	}
	return 0;
}

Test(extra, S15_many_are_spawned_as_a_whole_or_not_at_all_enomem)
{
	run_scarce(many);
}
