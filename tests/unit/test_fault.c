/* tests/unit/test_fault.c: what exactly follows when the system refuses something: P8, S7; the
 * loops over all that it may refuse are in tests/fault. */
#include "harness.h"

#include "base/atomic.h"
#include "fiber/sanitizer.h"
#include "os/os.h"
#include "deque/deque.h"

#include <errno.h>
#include <string.h>

#include <pthread.h>
#include <scope.h>
#include <scope_net.h>
#include <scope_ref.h>
#include <scope_observe.h>
#include <scope_parallel.h>

TestSuite(fault, .timeout = 60);

/* The first check that failed in a task: a task can't leave by the test's longjmp. */
static const char *failure; /* atomic */

#define TEXT_(x)  #x
#define TEXT(x)   TEXT_(x)
#define CHECK(c)  ((c) ? (void)0 : note("line " TEXT(__LINE__) ": " #c))

static void note(const char *text)
{
	const char *none = NULL;

	at_cas_rlx(&failure, &none, text);
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

/* ---- the table with faults -------------------------------------------------------------- */

enum { NEVER_FAIL = INT32_MAX };

/* atomic: so many calls of each kind still succeed */
static int32_t allocs_left, reserves_left, commits_left, guards_left, threads_left;
static int32_t sticky;     /* all further calls fail too, not only the one */
static int32_t live;       /* atomic: what was allocated and reserved and not given back */
static int32_t small_deques;

static int refuse(int32_t *left)
{
	int32_t had = at_sub_rlx(left, 1);

	return sticky ? had <= 0 : had == 0;
}

static void *fault_alloc(size_t size)
{
	void *memory = refuse(&allocs_left) ? NULL : sc_os_system.alloc(size);

	at_add_rlx(&live, memory != NULL);
	return memory;
}

static void fault_free(void *memory)
{
	at_sub_rlx(&live, memory != NULL);
	sc_os_system.free(memory);
}

/* The slots of a join deque are the only reservation whose size is a power of two. */
static int big_deque(size_t size)
{
	return small_deques && (size & (size - 1)) == 0 && size > 4096 * sizeof(struct sc_slot);
}

static void *fault_reserve(size_t size)
{
	void *memory = NULL;

	if (!big_deque(size) && !refuse(&reserves_left))
		memory = sc_os_system.reserve(size);
	at_add_rlx(&live, memory != NULL);
	return memory;
}

static void fault_release(void *memory, size_t size)
{
	at_sub_rlx(&live, 1);
	sc_os_system.release(memory, size);
}

static int fault_commit(void *memory, size_t size)
{
	return refuse(&commits_left) ? -ENOMEM : sc_os_system.commit(memory, size);
}

static int fault_guard(void *memory, size_t size)
{
	return refuse(&guards_left) ? -ENOMEM : sc_os_system.guard(memory, size);
}

static int fault_thread_start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	return refuse(&threads_left) ? -EAGAIN : sc_os_system.thread_start(thread, entry, arg);
}

static int fails(void *arg)
{
	(void)arg;
	return -EDOM;
}

/* Symbols of the program are read once and kept. */
static void read_symbols(void)
{
	struct scope_config config = {.workers = 1, .report = no_report};

	scope_run(fails, NULL, &config);
}

static void install_faults(void)
{
	read_symbols();
	allocs_left = reserves_left = commits_left = guards_left = threads_left = NEVER_FAIL;
	sticky = 1;
	live = 0;
	small_deques = 0;
	sc_os.alloc = fault_alloc;
	sc_os.free = fault_free;
	sc_os.reserve = fault_reserve;
	sc_os.release = fault_release;
	sc_os.commit = fault_commit;
	sc_os.guard = fault_guard;
	sc_os.thread_start = fault_thread_start;
}

static int run_on(scope_task_fn *fn, unsigned workers, unsigned flags)
{
	struct scope_config config = {
		.workers = workers, .flags = flags | SCOPE_NO_SIGNALS, .report = no_report};
	int rc;

	failure = NULL;
	rc = scope_run(fn, NULL, &config);
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(live, 0, "%d pieces of memory are left", live);
	return rc;
}

static int run(scope_task_fn *fn, unsigned workers)
{
	return run_on(fn, workers, SCOPE_VIRTUAL_CLOCK);
}

static int ran, dropped; /* atomic */

static int count(void *arg)
{
	(void)arg;
	at_add_rlx(&ran, 1);
	return 0;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	at_add_rlx(&ran, 1);
	return scope_sleep_until(SCOPE_NEVER);
}

static int sleeps(void *arg)
{
	(void)arg;
	CHECK(scope_sleep_for(SCOPE_MS) == 0);
	at_add_rlx(&ran, 1);
	return 0;
}

static int never_called(void *arg)
{
	(void)arg;
	note("what was refused ran");
	return 0;
}

static void drop(void *arg)
{
	CHECK(arg == &dropped);
	at_add_rlx(&dropped, 1);
}

/* ---- P8 --------------------------------------------------------------------------------- */

/* The root's stack and one in reserve for each worker. */
static void leave_stacks(unsigned workers)
{
	install_faults();
	guards_left = 1 + (int32_t)workers;
}

static int p8_refused(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT, .drop = drop};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, until_cancelled, &dropped, &options) == 0);
	CHECK(scope_spawn_with(&s, never_called, &dropped, &options) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == 1 && dropped == 1);
	CHECK(scope_last_error() && scope_last_error()->code == -ENOMEM);
	/* There is a stack again. */
	scope_open(&s);
	CHECK(scope_spawn_with(&s, count, NULL, &options) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 2);
	return 0;
}

Test(fault, P8_a_task_that_can_have_no_stack_is_dropped_enomem)
{
	ran = dropped = 0;
	leave_stacks(1);
	cr_assert_eq(run(p8_refused, 1), 0);
	ran = dropped = 0;
	leave_stacks(1);
	cr_assert_eq(run_on(p8_refused, 1, 0), 0, "on the real clock");
}

/* In a full scope: of two tasks one is dropped, which cancels the other. */
static int p8_joined(void *arg)
{
	struct scope_spawn_options options = {.drop = drop};
	struct scope_options limit = {.max_tasks = 2, .results = true};
	struct scope_result result;
	struct scope s;

	(void)arg;
	CHECK(scope_open_with(&s, &limit) == 0);
	CHECK(scope_spawn_with(&s, until_cancelled, &dropped, &options) == 0);
	CHECK(scope_spawn_with(&s, until_cancelled, &dropped, &options) == 0);
	CHECK(scope_spawn_with(&s, never_called, &dropped, &options) == -ECANCELED);
	CHECK(scope_next(&s, &result) == -ECANCELED);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == 1 && dropped == 1);
	return 0;
}

Test(fault, P8_a_task_of_a_full_scope_that_can_have_no_stack_enomem)
{
	ran = dropped = 0;
	leave_stacks(1);
	cr_assert_eq(run(p8_joined, 1), 0);
}

static void drop_copy(void *arg)
{
	CHECK(memcmp(arg, "a copy", 7) == 0);
	at_add_rlx(&dropped, 1);
}

static int p8_copy(void *arg)
{
	struct scope_spawn_options options = {
		.flags = SCOPE_CONCURRENT, .drop = drop_copy, .copy_size = 7};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, until_cancelled, "a copy", &options) == 0);
	CHECK(scope_spawn_with(&s, never_called, "a copy", &options) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == 1 && dropped == 1);
	return 0;
}

Test(fault, P8_drop_gets_the_copy)
{
	ran = dropped = 0;
	leave_stacks(1);
	cr_assert_eq(run(p8_copy, 1), 0);
}

static int p8_waiting(void *arg)
{
	struct scope_spawn_options options = {.drop = drop};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn_with(&s, until_cancelled, &dropped, &options) == 0);
	/* These may not be inlined here.  One has the stack, one is dropped; that cancels the
	 * first, and so the others come to run. */
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ECANCELED);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == 9 && dropped == 1);
	return 0;
}

Test(fault, P8_under_a_waiting_parent_enomem)
{
	ran = dropped = 0;
	leave_stacks(1);
	cr_assert_eq(run(p8_waiting, 1), 0);
}

static int p8_range(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK(scope_spawn_with(&s, until_cancelled, NULL, &options) == 0);
	CHECK(scope_spawn_n(&s, count, NULL, 0, 10) == 0);
	CHECK(scope_wait_until(&s, SCOPE_NEVER) == -ECANCELED);
	CHECK(scope_close(&s) == -ENOMEM);
	return 0;
}

Test(fault, P8_a_range_that_can_have_no_stack_enomem)
{
	ran = 0;
	leave_stacks(1);
	cr_assert_eq(run(p8_range, 1), 0);
}

static int p8_comes_free(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT, .drop = drop};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn_with(&s, sleeps, &dropped, &options) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == 10 && dropped == 0);
	return 0;
}

Test(fault, P8_a_stack_comes_free_in_virtual_time)
{
	unsigned workers;

	for (workers = 1; workers <= 3; workers++) {
		ran = dropped = 0;
		leave_stacks(workers);
		cr_assert_eq(run(p8_comes_free, workers), 0);
	}
}

Test(fault, P8_a_stack_comes_free)
{
	unsigned workers;

	for (workers = 1; workers <= 3; workers++) {
		ran = dropped = 0;
		leave_stacks(workers);
		cr_assert_eq(run_on(p8_comes_free, workers, 0), 0);
	}
}

struct fib {
	int n, result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left = {f->n - 1, 0}, right = {f->n - 2, 0};
	struct scope s;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	scope_open(&s);
	CHECK(scope_spawn(&s, fib, &left) == 0);
	CHECK(scope_spawn(&s, fib, &right) == 0);
	CHECK(scope_close(&s) == 0);
	f->result = left.result + right.result;
	return 0;
}

static int p8_inlines(void *arg)
{
	struct fib f = {18, 0};

	(void)arg;
	CHECK(fib(&f) == 0);
	CHECK(f.result == 2584);
	return 0;
}

Test(fault, P8_without_stacks_children_are_inlined)
{
	unsigned workers;

	for (workers = 1; workers <= 4; workers++) {
		leave_stacks(workers);
		cr_assert_eq(run(p8_inlines, workers), 0);
	}
}

/* ---- S7 --------------------------------------------------------------------------------- */

enum { CROWD = 10000 }; /* more than the smallest deque holds */

static int s7_overflow(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < CROWD; i++)
		CHECK(scope_spawn(&s, count, NULL) == 0);
	CHECK(scope_close(&s) == 0);
	CHECK(ran == CROWD);
	return 0;
}

Test(fault, S7_what_the_deque_does_not_hold_is_queued)
{
	unsigned workers;

	for (workers = 1; workers <= 3; workers++) {
		ran = 0;
		install_faults();
		small_deques = 1;
		cr_assert_eq(run(s7_overflow, workers), 0);
	}
}

static int s7_full(void *arg)
{
	int i, accepted = 0, rc;
	struct scope s;

	(void)arg;
	scope_open(&s);
	at_store_rlx(&allocs_left, 0);
	for (i = 0; i < CROWD; i++) {
		rc = scope_spawn(&s, count, NULL);
		accepted += rc == 0;
		/* The first refusal is an error of the scope and so cancels it. */
		CHECK(rc == 0 || rc == (accepted == i ? -ENOMEM : -ECANCELED));
	}
	at_store_rlx(&allocs_left, NEVER_FAIL);
	CHECK(accepted >= 4000 && accepted < CROWD);
	CHECK(scope_close(&s) == -ENOMEM);
	CHECK(ran == accepted);
	return 0;
}

Test(fault, S7_spawn_with_a_full_queue_enomem)
{
	ran = 0;
	install_faults();
	small_deques = 1;
	cr_assert_eq(run(s7_full, 1), 0);
}

/* 0: scope_spawn from below, 1: with options, 2: a copy, 3: many. */
static int spawn_somehow(struct scope *s, int kind)
{
	int value = 5;

	switch (kind) {
	case 0:
		return scope_spawn(s, never_called, NULL);
	case 1:
		return scope_spawn_with(s, never_called, NULL, NULL);
	case 2:
		return scope_spawn_copy(s, never_called, &value, sizeof(value));
	default:
		return scope_spawn_n(s, never_called, NULL, 0, 10);
	}
}

static int s7_kinds(void *arg)
{
	struct scope s, below;
	int kind;

	(void)arg;
	for (kind = 0; kind < 4; kind++) {
		scope_open(&s);
		if (kind == 0)
			scope_open(&below);
		at_store_rlx(&allocs_left, 0);
		CHECK(spawn_somehow(&s, kind) == -ENOMEM);
		at_store_rlx(&allocs_left, NEVER_FAIL);
		CHECK(spawn_somehow(&s, kind) == -ECANCELED);
		if (kind == 0)
			CHECK(scope_close(&below) == 0);
		CHECK(scope_close(&s) == -ENOMEM);
	}
	return 0;
}

Test(fault, S7_a_spawn_without_memory_fails_its_scope_enomem)
{
	install_faults();
	cr_assert_eq(run(s7_kinds, 1), 0);
	install_faults();
	cr_assert_eq(run(s7_kinds, 2), 0);
}

static int unnamed(void *arg)
{
	struct scope_options options = {.name = "lost"};
	struct scope s;

	(void)arg;
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_open_with(&s, &options) == -ENOMEM);
	options.name = NULL;
	CHECK(scope_open_with(&s, &options) == 0);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	/* The first one was not left open below. */
	return scope_close(&s);
}

static int unnamed_in_object(void *arg)
{
	struct scope_options options = {.name = "lost"};
	struct scope s, object;

	(void)arg;
	scope_open(&s);
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_open_in_with(&object, &s, &options) == -ENOMEM);
	CHECK(scope_close(&object) == -ESTALE);
	CHECK(scope_open_in(&object, &s) == 0);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	return scope_close(&s);
}

static int takes_rights(struct scope *s)
{
	struct scope_spawner spawner;
	struct scope_ref ref;

	at_store_rlx(&allocs_left, 0);
	CHECK(scope_ref_get(s, &ref) == -ENOMEM);
	CHECK(scope_spawner_of(s, &spawner) == -ENOMEM);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	CHECK(scope_ref_get(s, &ref) == 0);
	CHECK(scope_spawner_of(s, &spawner) == 0);
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_ref_spawn(&ref, never_called, NULL) == -ENOMEM);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	/* That was an error of the scope. */
	CHECK(scope_ref_spawn(&ref, never_called, NULL) == -ECANCELED);
	return 0;
}

static int rights(void *arg)
{
	static const struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	struct scope_spawner spawner;
	struct scope s, below;
	int kind;

	(void)arg;
	scope_open(&s);
	scope_open(&below);
	takes_rights(&s);
	CHECK(scope_close(&below) == 0);
	CHECK(scope_close(&s) == -ENOMEM);
	for (kind = 0; kind < 4; kind++) {
		scope_open(&s);
		scope_open(&below);
		CHECK(scope_spawner_of(&s, &spawner) == 0);
		at_store_rlx(&allocs_left, 0);
		if (kind == 0)
			CHECK(scope_spawner_spawn(&spawner, never_called, NULL) == -ENOMEM);
		else if (kind == 1)
			CHECK(scope_spawner_spawn_with(&spawner, never_called, NULL, &service) ==
			      -ENOMEM);
		else if (kind == 2)
			CHECK(scope_start(&s, never_called, NULL) == -ENOMEM);
		if (kind == 3) {
			at_store_rlx(&allocs_left, 1); /* the task, not its scope */
			CHECK(scope_spawn_with(&s, never_called, NULL, &service) == -ENOMEM);
		}
		at_store_rlx(&allocs_left, NEVER_FAIL);
		CHECK(scope_close(&below) == 0);
		CHECK(scope_close(&s) == -ENOMEM);
	}
	return 0;
}

Test(fault, S5_S8_S14_S16_without_memory_enomem)
{
	install_faults();
	cr_assert_eq(run(rights, 1), 0);
}

static struct scope_ref from_outside;

static void *posts_without_memory(void *done)
{
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_post(&from_outside, never_called, NULL) == -ENOMEM);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	/* The first one was an error of the scope. */
	CHECK(scope_post(&from_outside, never_called, NULL) == -ECANCELED);
	return done;
}

static void *calls_without_memory(void *done)
{
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_call(&from_outside, never_called, NULL) == -ENOMEM);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	return done;
}

static int outside_without_memory(void *arg)
{
	void *(*thread_main[])(void *) = {posts_without_memory, calls_without_memory};
	pthread_t thread;
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		scope_open(&s);
		CHECK(scope_ref_get(&s, &from_outside) == 0);
		CHECK(pthread_create(&thread, NULL, thread_main[i], NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		CHECK(scope_close(&s) == -ENOMEM);
	}
	return 0;
}

Test(fault, B4_from_outside_without_memory_enomem)
{
	install_faults();
	cr_assert_eq(run(outside_without_memory, 1), 0);
}

Test(fault, H1_open_in_with_a_name_without_memory_enomem)
{
	install_faults();
	cr_assert_eq(run(unnamed_in_object, 1), 0);
}

Test(fault, S7_open_with_a_name_without_memory_enomem)
{
	install_faults();
	cr_assert_eq(run(unnamed, 1), 0);
}

static int errors_without_memory(void *arg)
{
	const struct scope_error *error;
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 10; i++)
		CHECK(scope_spawn(&s, fails, NULL) == 0);
	at_store_rlx(&allocs_left, 0);
	CHECK(scope_fail(&s, -ERANGE, "no room for %s", "this") == -ERANGE);
	CHECK(scope_close(&s) == -ERANGE);
	at_store_rlx(&allocs_left, NEVER_FAIL);
	error = scope_last_error();
	CHECK(!error || error->code == -ERANGE);
	return 0;
}

Test(fault, E4_code_of_the_first_error_needs_no_memory)
{
	install_faults();
	cr_assert_eq(run(errors_without_memory, 1), 0);
}

/* ---- scope_run -------------------------------------------------------------------------- */

Test(fault, S1_run_without_memory_enomem)
{
	struct scope_config config = {.workers = 2, .flags = SCOPE_NO_SIGNALS};
	int32_t *const kinds[] = {&allocs_left, &reserves_left, &commits_left, &guards_left};
	size_t i;

	failure = NULL;
	for (i = 0; i < 4; i++) {
		install_faults();
		*kinds[i] = 0;
		cr_expect_eq(scope_run(never_called, NULL, &config), -ENOMEM, "kind %zu", i);
		cr_expect_eq(live, 0);
	}
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(scope_run(count, NULL, &config), 0, "the next run is not touched");
}

Test(fault, S1_run_without_threads_eagain)
{
	struct scope_config config = {.workers = 4, .flags = SCOPE_NO_SIGNALS};
	int i;

	failure = NULL;
	/* The monitor's and three workers' threads. */
	for (i = 0; i < 4; i++) {
		install_faults();
		threads_left = i;
		cr_expect_eq(scope_run(never_called, NULL, &config), -EAGAIN);
		cr_expect_eq(live, 0);
	}
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(scope_run(count, NULL, &config), 0);
}

/* ---- N4 --------------------------------------------------------------------------------- */

static struct scope_listener *listener;
static int shortages;

/* From then on there is memory again. */
static void shortage_ends(const char *text, size_t length, void *arg)
{
	(void)length;
	(void)arg;
	shortages += strstr(text, "-ENOMEM") != NULL;
	allocs_left = NEVER_FAIL;
}

static int greets(struct scope_conn *c, void *arg)
{
	(void)arg;
	return scope_conn_write(c, "x", 1, NULL);
}

static int serves(void *arg)
{
	(void)arg;
	return scope_serve(listener, greets, NULL, NULL);
}

static size_t asks(void)
{
	struct scope_conn *c;
	size_t done = 0;
	char byte;

	CHECK(scope_tcp_connect("127.0.0.1", (uint16_t)scope_listener_port(listener), &c) == 0);
	CHECK(scope_conn_read(c, &byte, 1, &done) == 0);
	scope_conn_close(c);
	return done;
}

/* The connection that finds no memory is closed; the server and the next one live. */
static int n4_no_memory(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	CHECK(scope_tcp_listen("127.0.0.1", 0, NULL, &listener) == 0);
	scope_open(&s);
	CHECK(scope_spawn_with(&s, serves, NULL, &concurrent) == 0);
	CHECK(asks() == 1);
	allocs_left = 0;
	CHECK(asks() == 0);
	CHECK(asks() == 1);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK(scope_close(&s) == 0);
	scope_listener_close(listener);
	return 0;
}

Test(fault, N4_a_connection_without_memory_is_closed_and_the_server_goes_on)
{
	struct scope_config config = {.workers = 1, .flags = SCOPE_VIRTUAL_CLOCK | SCOPE_NO_SIGNALS,
				      .report = shortage_ends};
	int rc;

	install_faults();
	failure = NULL;
	shortages = 0;
	rc = scope_run(n4_no_memory, NULL, &config);
	sc_os = sc_os_system;
	cr_assert_null(failure, "%s", failure);
	cr_assert_eq(rc, 0);
	cr_assert_eq(shortages, 1);
	cr_assert_eq(live, 0, "%d pieces of memory are left", live);
}
