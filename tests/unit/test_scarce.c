/* tests/unit/test_scarce.c: ranges, copies and small deques when memory or stacks run out: S7, P8.
 *
 * The deques have their least size here, so that a test can fill one.
 */
#include "api/task_check.h"

#include "base/atomic.h"
#include "deque/deque.h"
#include "fiber/stack.h"
#include "os/os.h"
#include "sched/sched.h"

#include <fcntl.h>
#include <sched.h>
#include <scope_net.h>
#include <scope_parallel.h>
#include <scope_process.h>
#include <scope_signal.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

TestSuite(scarce, .timeout = 60);

enum { SLOTS = 4096, PLENTY = INT32_MAX };

static int32_t allocs_left, guards_left; /* atomic: calls that still succeed */
static uint32_t allocs;                  /* atomic: calls so far */

static void *scarce_alloc(size_t size)
{
	at_add_rlx(&allocs, 1);
	return at_sub_rlx(&allocs_left, 1) > 0 ? sc_os_system.alloc(size) : NULL;
}

static int scarce_guard(void *memory, size_t size)
{
	return at_sub_rlx(&guards_left, 1) > 0 ? sc_os_system.guard(memory, size) : -ENOMEM;
}

/* Only the slots of a deque are asked for in powers of two. */
static void *scarce_reserve(size_t size)
{
	int deque = (size & (size - 1)) == 0;

	return deque && size > SLOTS * sizeof(struct sc_slot) ? NULL : sc_os_system.reserve(size);
}

static int run_scarce(scope_task_fn *fn, unsigned workers, unsigned flags, int32_t stacks)
{
	int rc;

	allocs_left = PLENTY;
	guards_left = stacks;
	sc_os.alloc = scarce_alloc;
	sc_os.guard = scarce_guard;
	sc_os.reserve = scarce_reserve;
	ran = 0;
	rc = run_flags(fn, NULL, workers, flags);
	sc_os = sc_os_system;
	return rc;
}

static int virtually(scope_task_fn *fn, int32_t stacks)
{
	return run_scarce(fn, 1, SCOPE_VIRTUAL_CLOCK, stacks);
}

/* ---- full deques ------------------------------------------------------------------------ */

static void fill(struct scope *s, int slots)
{
	while (slots-- > 0)
		CHECK_EQ(scope_spawn(s, count, NULL), 0);
}

/* The other worker takes everything, then there is room again and nothing is queued. */
static int fills_twice(void *arg)
{
	uint32_t before;
	struct scope s;

	(void)arg;
	scope_open(&s);
	fill(&s, SLOTS);
	while (ran < SLOTS)
		scope_checkpoint();
	before = at_load_rlx(&allocs);
	fill(&s, 1000);
	CHECK_EQ(at_load_rlx(&allocs), before);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, SLOTS + 1000);
	return 0;
}

Test(scarce, S7_a_deque_of_which_all_was_taken_starts_again_at_its_front)
{
	cr_assert_eq(run_scarce(fills_twice, 2, 0, PLENTY), 0);
}

/* The other worker has eaten and waits for more when the end of the deque is near. */
static int fills_the_end_slowly(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	fill(&s, SLOTS - 20);
	while (ran < SLOTS - 20)
		scope_checkpoint();
	for (i = 0; i < 20; i++) {
		fill(&s, 1);
		while (ran < SLOTS - 19 + i)
			scope_checkpoint();
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, SLOTS);
	return 0;
}

Test(scarce, S7_the_last_slots_of_a_deque_are_offered_too)
{
	cr_assert_eq(run_scarce(fills_the_end_slowly, 2, 0, PLENTY), 0);
}

/* A poll exposes the slots of its scope and takes nothing: the deque is full of them. */
static int spawns_over_exposed_slots(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	fill(&s, SLOTS);
	CHECK_EQ(scope_wait_until(&s, 0), -ETIMEDOUT);
	fill(&s, 10);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, SLOTS + 10);
	return 0;
}

Test(scarce, S7_a_deque_full_of_exposed_slots_is_kept)
{
	cr_assert_eq(virtually(spawns_over_exposed_slots, PLENTY), 0);
}

static int both_without_memory(void *arg)
{
	struct scope full;

	(void)arg;
	scope_open(&full);
	fill(&full, SLOTS);
	at_store_rlx(&allocs_left, 0);
	CHECK_EQ(scope_both(never_called, NULL, never_called, NULL), -ENOMEM);
	at_store_rlx(&allocs_left, PLENTY);
	CHECK_EQ(scope_close(&full), 0);
	return 0;
}

Test(scarce, R0_both_on_a_full_deque_without_memory_runs_neither_enomem)
{
	cr_assert_eq(virtually(both_without_memory, PLENTY), 0);
}

static int count_part(size_t begin, size_t end, void *arg)
{
	ran += (int)(end - begin);
	return arg && begin >= 50 ? -EIO : 0;
}

/* There is no room for the loop's range: it is queued, and its strand finds none either. */
static int loops_on_a_full_deque(void *arg)
{
	struct scope full;
	int i;

	for (i = 0; i < 2; i++) {
		scope_open(&full);
		fill(&full, SLOTS);
		CHECK_EQ(scope_for(0, 95, 10, count_part, i ? &full : NULL), i ? -EIO : 0);
		CHECK_EQ(scope_close(&full), 0);
		CHECK_EQ(ran, SLOTS + (i ? 60 : 95));
		ran = 0;
	}
	return arg != NULL;
}

Test(scarce, S7_a_loop_on_a_full_deque_runs_part_by_part)
{
	cr_assert_eq(virtually(loops_on_a_full_deque, PLENTY), 0);
}

static int no_memory_to_queue(void *arg)
{
	struct scope full, s;
	int value = 1;

	(void)arg;
	scope_open(&full);
	fill(&full, SLOTS);
	scope_open(&s);
	at_store_rlx(&allocs_left, 1); /* the copy is made, but can't be queued */
	CHECK_EQ(scope_spawn_copy(&s, never_called, &value, sizeof(value)), -ENOMEM);
	at_store_rlx(&allocs_left, PLENTY);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	scope_open(&s);
	at_store_rlx(&allocs_left, 1); /* as the range is */
	CHECK_EQ(scope_spawn_n(&s, never_called, NULL, 0, 10), -ENOMEM);
	at_store_rlx(&allocs_left, PLENTY);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	CHECK_EQ(scope_close(&full), 0);
	CHECK_EQ(ran, SLOTS);
	return 0;
}

Test(scarce, S7_what_can_be_made_but_not_queued_is_refused_enomem)
{
	cr_assert_eq(virtually(no_memory_to_queue, PLENTY), 0);
}

/* The range is queued for a strand of its own, whose worker's deque is full. */
static int queues_a_range(void *arg)
{
	struct scope outer, full;

	(void)arg;
	scope_open(&outer);
	scope_open(&full);
	CHECK_EQ(scope_spawn_n(&outer, count, NULL, 0, 100), 0);
	fill(&full, SLOTS);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&full), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, SLOTS + 100);
	return 0;
}

Test(scarce, S7_a_share_of_a_range_needs_no_room_on_the_deque)
{
	cr_assert_eq(virtually(queues_a_range, PLENTY), 0);
}

static int leaves_a_scope_open(void *arg)
{
	struct scope s;

	scope_open(&s);
	return scope_spawn(&s, count, arg);
}

/* ... in which a task leaves a scope open. */
static int queues_leaks(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	struct scope outer, full;

	(void)arg;
	CHECK_EQ(scope_open_with(&outer, &options), 0);
	scope_open(&full);
	CHECK_EQ(scope_spawn_n(&outer, leaves_a_scope_open, NULL, 0, 3), 0);
	fill(&full, SLOTS);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&full), 0);
	CHECK_EQ(scope_close(&outer), -EPROTO);
	CHECK_EQ(ran, SLOTS + 3);
	return 0;
}

Test(scarce, S11_tasks_of_a_share_without_room_leave_scopes_open_eproto)
{
	skip_leaks_where_checked();
	cr_assert_eq(virtually(queues_leaks, PLENTY), 0);
}

/* ---- ranges that can't be divided ------------------------------------------------------- */

enum { PARTS = 3000 };

static void take_20_us(void)
{
	int64_t start = real_now();

	while (real_now() - start < 20 * SCOPE_US)
		;
}

static int slow_task(void *arg)
{
	take_20_us();
	return count(arg);
}

static int slow_part(size_t begin, size_t end, void *arg)
{
	for (; begin < end; begin++)
		slow_task(arg);
	return 0;
}

static void start_at_0(void *accumulator, void *arg)
{
	(void)arg;
	*(long *)accumulator = 0;
}

static int add_part(size_t begin, size_t end, void *accumulator, void *arg)
{
	*(long *)accumulator += (long)(end - begin);
	return slow_part(begin, end, arg);
}

static void add(void *left, const void *right, void *arg)
{
	(void)arg;
	*(long *)left += *(const long *)right;
}

/* The other worker is hungry all the time, but to divide would need memory. */
static int undivided(void *arg)
{
	static const struct scope_reducer counting = {
		.size = sizeof(long), .init = start_at_0, .body = add_part, .combine = add};
	long sum = 0;
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	at_store_rlx(&allocs_left, 1);
	CHECK_EQ(scope_spawn_n(&s, slow_task, NULL, 0, PARTS), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, PARTS);
	/* A thief that can't make a record for its share fails the loop instead. */
	ran = 0;
	rc = scope_for(0, PARTS, 1, slow_part, NULL);
	CHECK(rc == -ENOMEM || (rc == 0 && ran == PARTS));
	rc = scope_reduce(0, PARTS, 1, &counting, &sum);
	CHECK(rc == -ENOMEM ? sum == 0 : rc == 0 && sum == PARTS);
	at_store_rlx(&allocs_left, PLENTY);
	return 0;
}

Test(scarce, S7_a_range_that_cannot_be_divided_runs_as_a_whole)
{
	cr_assert_eq(run_scarce(undivided, 2, 0, PLENTY), 0);
}

/* As if the other worker called, which has nothing to do: its own calls are seldom. */
static int part_with_a_call(size_t begin, size_t end, void *arg)
{
	for (; begin < end; begin++)
		count(arg);
	sc_poke(sc_self());
	return 0;
}

/* No slot is left above the range, and halving needs one.  The other worker has eaten what was
 * below; it may take the range before its runner looks: so several times. */
static int no_room_to_divide(void *arg)
{
	enum { TURNS = 5, FEW = 10 };
	int expected = 0, turn;
	struct scope s;

	(void)arg;
	scope_open(&s);
	for (turn = 0; turn < TURNS; turn++) {
		struct sc_worker *worker = sc_self();

		for (; worker->bottom.top < worker->deque.slots + SLOTS - 1; expected++)
			fill(&s, 1);
		while (ran < expected || !sc_hungry())
			sched_yield();
		CHECK_EQ(scope_for(0, FEW, 1, part_with_a_call, NULL), 0);
		expected += FEW;
		CHECK_EQ(ran, expected);
	}
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(scarce, S7_a_range_at_the_end_of_the_deque_is_not_divided)
{
	cr_assert_eq(run_scarce(no_room_to_divide, 2, 0, PLENTY), 0);
}

/* ---- errors ----------------------------------------------------------------------------- */

/* The first failure finds no memory for a record, or for the list; the second one does. */
static int records_come_late(void *arg)
{
	struct scope_options named = {.name = "scarce"};
	struct scope s;
	int enough;

	(void)arg;
	for (enough = 0; enough < 2; enough++) {
		CHECK_EQ(scope_open_with(&s, enough ? NULL : &named), 0);
		at_store_rlx(&allocs_left, enough);
		scope_fail(&s, -EIO, "the first");
		at_store_rlx(&allocs_left, PLENTY);
		scope_fail(&s, -EINVAL, "the second");
		CHECK_EQ(scope_close(&s), -EIO);
		CHECK_EQ(scope_last_error()->code, -EIO);
	}
	return 0;
}

Test(scarce, E4_the_first_error_counts_though_only_the_second_found_memory)
{
	cr_assert_eq(virtually(records_come_late, PLENTY), 0);
}

/* ---- no stacks -------------------------------------------------------------------------- */

static int until_cancelled(void *arg)
{
	count(arg);
	return scope_sleep_until(SCOPE_NEVER);
}

/* One of them has the only stack and sleeps; that the other can have none ends both. */
static int plain_slot_without_a_stack(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, until_cancelled, NULL), 0);
	CHECK_EQ(scope_spawn(&s, until_cancelled, NULL), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	CHECK_EQ(ran, 1);
	/* The same with tasks that have a record, but nothing to drop. */
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, until_cancelled, NULL, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, until_cancelled, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), -ENOMEM);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(scarce, P8_a_plain_task_that_can_have_no_stack_enomem)
{
	cr_assert_eq(virtually(plain_slot_without_a_stack, 2), 0);
}

/* Who waits for the result of a task that can't run hears of that: as a cancel, if its scope is
 * cancelled by it. */
static int waits_for_no_result(void *arg)
{
	struct scope_options results = {.results = true};
	struct scope_result result;
	struct scope holder, s;
	int i;

	(void)arg;
	scope_open(&holder);
	CHECK_EQ(scope_spawn(&holder, until_cancelled, NULL), 0);
	scope_yield();
	for (i = 0; i < 2; i++) {
		results.policy = i ? SCOPE_AWAIT_ALL : SCOPE_ALL;
		CHECK_EQ(scope_open_with(&s, &results), 0);
		CHECK_EQ(scope_spawn(&s, count, NULL), 0);
		CHECK_EQ(scope_next(&s, &result), i ? -ENOENT : -ECANCELED);
		CHECK_EQ(scope_close(&s), -ENOMEM);
	}
	CHECK_EQ(ran, 1);
	scope_cancel(&holder);
	scope_close(&holder);
	return 0;
}

Test(scarce, R4_P8_a_result_that_can_have_no_stack_is_not_waited_for)
{
	cr_assert_eq(virtually(waits_for_no_result, 2), 0);
}

/* What an object does at its end its parent leaves to a task, which has no stack. */
static int ends_without_a_stack(void *arg)
{
	struct scope_options any = {.policy = SCOPE_ANY};
	struct scope holder, s, object;
	int i;

	(void)arg;
	scope_open(&holder);
	CHECK_EQ(scope_spawn(&holder, until_cancelled, NULL), 0);
	scope_yield();
	for (i = 0; i < 2; i++) {
		scope_open(&s);
		CHECK_EQ(scope_open_in_with(&object, &s, i ? &any : NULL), 0);
		if (!i)
			CHECK_EQ(scope_defer(&object, count, NULL), 0);
		CHECK_EQ(scope_close(&s), -ENOMEM);
	}
	CHECK_EQ(ran, 1);
	scope_cancel(&holder);
	scope_close(&holder);
	return 0;
}

Test(scarce, H1_P8_the_end_of_an_object_that_can_have_no_stack_enomem)
{
	cr_assert_eq(virtually(ends_without_a_stack, 2), 0);
}

/* ---- streams of signals ------------------------------------------------------------------- */

static int opens_without_memory(void *arg)
{
	struct scope_signal *stream = NULL;

	(void)arg;
	at_store_rlx(&allocs_left, 0);
	CHECK_EQ(scope_signal_open(SIGUSR1, &stream), -ENOMEM);
	CHECK(stream == NULL);
	at_store_rlx(&allocs_left, PLENTY);
	CHECK_EQ(scope_signal_open(SIGUSR1, &stream), 0);
	scope_signal_close(stream);
	return 0;
}

Test(scarce, I4_a_stream_that_gets_no_memory_enomem)
{
	cr_assert_eq(virtually(opens_without_memory, PLENTY), 0);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

static int waits_without_memory(void *arg)
{
	int ends[2];

	(void)arg;
	CHECK_EQ(pipe(ends), 0);
	allocs_left = 0;
	CHECK_EQ(scope_fd_wait_until(ends[1], SCOPE_FD_WRITE, SCOPE_NEVER), -ENOMEM);
	allocs_left = PLENTY;
	CHECK_EQ(scope_fd_wait_until(ends[1], SCOPE_FD_WRITE, SCOPE_NEVER), 0);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

Test(scarce, memory_to_wait_for_a_descriptor_enomem)
{
	cr_assert_eq(virtually(waits_without_memory, PLENTY), 0);
}

/* Refused its task, the program is not started. */
static int spawns_process_without_memory(void *arg)
{
	const char *const argv[] = {"true", NULL};
	struct scope_process p;
	struct scope s;

	(void)arg;
	scope_open(&s);
	allocs_left = 0;
	CHECK_EQ(scope_process_spawn(&s, argv, NULL, &p), -ENOMEM);
	allocs_left = PLENTY;
	CHECK_EQ(scope_close(&s), -ENOMEM);
	return 0;
}

Test(scarce, a_process_without_memory_for_its_task_enomem)
{
	cr_assert_eq(virtually(spawns_process_without_memory, PLENTY), 0);
}

static int never_handles(struct scope_conn *c, void *arg)
{
	(void)c;
	return never_called(arg);
}

static int serves_without_memory(void *arg)
{
	static const struct scope_options scope = {.name = "server"};
	static const struct scope_serve_options options = {.scope = &scope};
	struct scope_listener *l;

	(void)arg;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	allocs_left = 0;
	CHECK_EQ(scope_serve(l, never_handles, NULL, &options), -ENOMEM);
	allocs_left = PLENTY;
	scope_listener_close(l);
	return 0;
}

Test(scarce, memory_to_begin_to_serve_enomem)
{
	cr_assert_eq(virtually(serves_without_memory, PLENTY), 0);
}

static struct scope *server;
static int accepted[2];

static int accept_and_cancel(int fd)
{
	(void)fd;
	scope_cancel(server);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, accepted), 0);
	return accepted[0];
}

static int serves_while_cancelled(void *arg)
{
	struct scope_listener *l;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	scope_open(&s);
	server = &s;
	sc_os.accept = accept_and_cancel;
	CHECK_EQ(scope_serve(l, never_handles, NULL, NULL), -ECANCELED);
	sc_os.accept = sc_os_system.accept;
	CHECK_EQ(fcntl(accepted[0], F_GETFD), -1);
	close(accepted[1]);
	scope_listener_close(l);
	return scope_close(&s);
}

Test(scarce, N4_a_connection_that_comes_with_a_cancel_is_closed_ecanceled)
{
	cr_assert_eq(virtually(serves_while_cancelled, PLENTY), 0);
}

enum { MOST_SIGNALS = 65535 };

static int gets_very_many(void *arg)
{
	struct scope_options soon = {.deadline_ns = scope_now() + SCOPE_SEC};
	struct scope_signal *stream;
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_signal_open(SIGUSR1, &stream), 0);
	for (i = 0; i < MOST_SIGNALS + 10; i++)
		raise(SIGUSR1);
	CHECK_EQ(scope_open_with(&s, &soon), 0);
	for (i = 0; i < MOST_SIGNALS; i++)
		CHECK_EQ(scope_signal_next(stream), 0);
	CHECK_EQ(scope_signal_next(stream), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	scope_signal_close(stream);
	return 0;
}

Test(scarce, I4_a_stream_keeps_as_many_signals_as_it_can_count)
{
	cr_assert_eq(virtually(gets_very_many, PLENTY), 0);
}
