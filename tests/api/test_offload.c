/* tests/api/test_offload.c: blocking calls on threads of their own: B1 to B3, Z1, Z3. */
#include "task_check.h"

#include <scope_offload.h>
#include <string.h>
#include <unistd.h>

TestSuite(offload, .timeout = 60);

static const struct scope_offload_options abandon = {.mode = SCOPE_OFFLOAD_ABANDON};

/* A call that says that it has begun and returns `result` when it may.  It asks for the time
 * again and again, so that others go on in the simulation. */
struct gate {
	atomic_int begun, open, ended;
	int result;
};

static int pass(void *arg)
{
	struct gate *gate = arg;

	atomic_store(&gate->begun, 1);
	while (!atomic_load(&gate->open))
		real_now();
	atomic_store(&gate->ended, 1);
	return gate->result;
}

static void until(atomic_int *flag)
{
	while (!atomic_load(flag))
		scope_yield();
}

static struct gate gate;
static int returned, checkpoint_after;

static int offload_pass(void *arg)
{
	returned = scope_offload(pass, &gate, arg);
	checkpoint_after = scope_checkpoint();
	return 0;
}

/* Spawns a task that waits for the gate, and leaves it there. */
static void begin(struct scope *s, const struct scope_offload_options *options)
{
	memset(&gate, 0, sizeof(gate));
	gate.result = 7;
	returned = checkpoint_after = -1;
	scope_open(s);
	CHECK_EQ(scope_spawn_with(s, offload_pass, (void *)(uintptr_t)options, &concurrent), 0);
	until(&gate.begun);
}

/* ---- B1 --------------------------------------------------------------------------------- */

static int twice(void *arg)
{
	*(int *)arg *= 2;
	return *(int *)arg;
}

static int offload_twice(void *arg)
{
	int n = 21;

	(void)arg;
	CHECK_EQ(scope_offload(twice, &n, NULL), 42);
	CHECK_EQ(n, 42);
	n = -EIO / 2;
	CHECK_EQ(scope_offload(twice, &n, NULL), -EIO / 2 * 2);
	return 0;
}

Test(offload, B1_the_result_is_returned)
{
	must_run(offload_twice, NULL);
}

static int ask_from_outside(void *arg)
{
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_checkpoint(), -ENOTCONN);
	scope_open(&s);
	CHECK_EQ(scope_close(&s), -ENOTCONN);
	CHECK_EQ(scope_offload(twice, arg, NULL), -ENOTCONN);
	return 0;
}

static int offload_questions(void *arg)
{
	return scope_offload(ask_from_outside, arg, NULL);
}

Test(offload, B1_a_call_is_outside_the_run)
{
	must_run(offload_questions, NULL);
}

static int others_go_on(void *arg)
{
	struct scope s;

	(void)arg;
	begin(&s, NULL);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	while (!atomic_load(&ran))
		scope_yield();
	atomic_store(&gate.open, 1);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, 7);
	CHECK_EQ(checkpoint_after, 0);
	return 0;
}

Test(offload, B1_other_tasks_go_on_beside_a_call)
{
	cr_assert_eq(run(others_go_on, NULL, 1), 0);
}

static int cancel_running(void *arg)
{
	struct scope s;

	(void)arg;
	begin(&s, NULL);
	scope_cancel(&s);
	CHECK_EQ(scope_yield(), -ECANCELED);
	CHECK_EQ(returned, -1);
	atomic_store(&gate.open, 1);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, 7);
	CHECK_EQ(checkpoint_after, -ECANCELED);
	return 0;
}

Test(offload, B1_a_running_call_is_waited_for_and_the_cancel_shows_afterwards)
{
	must_run(cancel_running, NULL);
}

static int queued_result;
static atomic_int queued;

static int offload_queued(void *arg)
{
	atomic_store(&queued, 1);
	queued_result = scope_offload(never_called, NULL, arg);
	return 0;
}

/* The pool's only thread is taken. */
static int cancel_queued(void *arg)
{
	struct scope outer, s;

	begin(&outer, NULL);
	atomic_store(&queued, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, offload_queued, arg, &concurrent), 0);
	until(&queued);
	CHECK_EQ(scope_sleep_for(0), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(queued_result, -ECANCELED);
	atomic_store(&gate.open, 1);
	return scope_close(&outer);
}

static int run_with_one_thread(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK,
				      .offload_threads = 1};

	return run_config(fn, arg, config);
}

Test(offload, B1_a_call_that_has_not_begun_is_taken_back_ecanceled)
{
	cr_assert_eq(run_with_one_thread(cancel_queued, NULL), 0);
}

static atomic_int inside, most;

static int stay_inside(void *arg)
{
	int now = atomic_fetch_add(&inside, 1) + 1, seen = atomic_load(&most), i;

	(void)arg;
	while (seen < now && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	for (i = 0; i < 20; i++)
		real_now();
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&ran, 1);
	return 0;
}

static int offload_one(void *arg)
{
	return scope_offload(stay_inside, arg, NULL);
}

enum { CROWD = 40 };

static int crowd(void *arg)
{
	struct scope s;

	atomic_store(&inside, 0);
	atomic_store(&most, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, offload_one, arg, 0, CROWD), 0);
	return scope_close(&s);
}

Test(offload, B1_no_more_threads_than_the_limit)
{
	struct scope_config config = {.offload_threads = 3};

	cr_assert_eq(run_config(crowd, NULL, config), 0);
	cr_expect_eq(ran, CROWD);
	cr_expect_leq(most, 3);
	cr_expect_geq(most, 1);
}

static int crowd_again(void *arg)
{
	int i;

	for (i = 0; i < 3; i++)
		CHECK_EQ(crowd(arg), 0);
	return 0;
}

Test(offload, B1_each_call_runs_once)
{
	struct scope_config config = {.offload_threads = 8,
				      .flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK};

	cr_assert_eq(run_config(crowd_again, NULL, config), 0);
	cr_expect_eq(ran, 3 * CROWD);
}

Test(offload, outside_a_run_enotconn)
{
	int n = 1;

	cr_assert_eq(scope_offload(twice, &n, NULL), -ENOTCONN);
	cr_assert_eq(n, 1);
}

static void keep(void *arg, int result)
{
	(void)arg;
	(void)result;
}

static void ignore(void *arg)
{
	(void)arg;
}

static int wrong_options(void *arg)
{
	struct scope_offload_options mode = {.mode = 3}, copy = {.copy_size = 1},
				     drop = {.drop = keep},
				     fn = {.mode = SCOPE_OFFLOAD_ABANDON, .interrupt_fn = ignore},
				     reserved = {.reserved = {0, 0, 0, 1}};

	CHECK_EQ(scope_offload(never_called, arg, &mode), -EINVAL);
	CHECK_EQ(scope_offload(never_called, arg, &copy), -EINVAL);
	CHECK_EQ(scope_offload(never_called, arg, &drop), -EINVAL);
	CHECK_EQ(scope_offload(never_called, arg, &fn), -EINVAL);
	CHECK_EQ(scope_offload(never_called, arg, &reserved), -EINVAL);
	return 0;
}

Test(offload, wrong_options_einval)
{
	must_run(wrong_options, NULL);
}

static int offload_cancelled(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_offload(never_called, arg, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(offload, C1_a_cancelled_place_begins_no_call_ecanceled)
{
	must_run(offload_cancelled, NULL);
}

/* ---- B2 --------------------------------------------------------------------------------- */

static atomic_int drops, dropped_result;
static void *_Atomic dropped;

static void note_drop(void *arg, int result)
{
	atomic_store(&dropped, arg);
	atomic_store(&dropped_result, result);
	atomic_fetch_add(&drops, 1);
}

static const struct scope_offload_options abandon_noted = {.mode = SCOPE_OFFLOAD_ABANDON,
							   .drop = note_drop};

static int abandon_running(void *arg)
{
	struct scope s;

	(void)arg;
	atomic_store(&drops, 0);
	begin(&s, &abandon_noted);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, -ECANCELED);
	CHECK_EQ(atomic_load(&gate.ended), 0);
	CHECK_EQ(atomic_load(&drops), 0);
	atomic_store(&gate.open, 1);
	return 0;
}

/* The run waits for it, for a second by the real clock. */
Test(offload, B2_an_abandoned_call_is_left_at_once_and_its_result_dropped)
{
	cr_assert_eq(run(abandon_running, NULL, 0), 0);
	cr_expect_eq(drops, 1);
	cr_expect_eq(dropped_result, 7);
	cr_expect_eq(dropped, (void *)&gate);
}

static int abandon_in_time(void *arg)
{
	struct scope_offload_options copy = abandon_noted;
	int n = 21;

	(void)arg;
	copy.copy_size = sizeof(n);
	CHECK_EQ(scope_offload(twice, &n, &copy), 42);
	CHECK_EQ(n, 42);
	CHECK_EQ(scope_offload(twice, &n, &abandon), 84);
	CHECK_EQ(n, 84);
	return 0;
}

Test(offload, B2_a_copy_is_written_back_by_a_call_that_ends_in_time)
{
	must_run(abandon_in_time, NULL);
	cr_expect_eq(drops, 0);
}

struct copied {
	struct gate *gate;
	int value;
};

static int change_copy(void *arg)
{
	struct copied *copied = arg;

	pass(copied->gate);
	copied->value *= 2;
	return 5;
}

static void take_copy(void *arg, int result)
{
	struct copied *copied = arg;

	atomic_store(&dropped_result, result);
	atomic_fetch_add(&drops, copied->value);
}

static int abandon_a_copy(void *arg)
{
	struct scope_offload_options options = abandon_noted;
	struct copied *copied = arg;

	options.copy_size = sizeof(*copied);
	options.drop = take_copy;
	returned = scope_offload(change_copy, copied, &options);
	CHECK_EQ(copied->value, 21);
	copied->value = 0;
	return 0;
}

static int abandon_copy(void *arg)
{
	struct copied copied = {&gate, 21};
	struct scope s;

	(void)arg;
	memset(&gate, 0, sizeof(gate));
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, abandon_a_copy, &copied, &concurrent), 0);
	until(&gate.begun);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, -ECANCELED);
	atomic_store(&gate.open, 1);
	return 0;
}

Test(offload, B2_an_abandoned_call_works_on_its_own_copy)
{
	cr_assert_eq(run(abandon_copy, NULL, 0), 0);
	cr_expect_eq(drops, 42);
	cr_expect_eq(dropped_result, 5);
}

/* What does not run is dropped too: the caller knows from -ECANCELED that arg is gone. */
static int abandon_early(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_offload(never_called, arg, &abandon_noted), -ECANCELED);
	return scope_close(&s);
}

Test(offload, B2_a_call_that_never_began_is_dropped_ecanceled)
{
	int object;

	must_run(abandon_early, &object);
	cr_expect_eq(drops, 1);
	cr_expect_eq(dropped_result, -ECANCELED);
	cr_expect_eq(dropped, (void *)&object);
	dropped = NULL;
	cr_assert_eq(run_with_one_thread(cancel_queued, (void *)(uintptr_t)&abandon_noted), 0);
	cr_expect_eq(drops, 2);
	cr_expect_eq(dropped_result, -ECANCELED);
	cr_expect_null(dropped);
}

static int too_large(void *arg)
{
	struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON,
						.copy_size = SIZE_MAX};

	CHECK_EQ(scope_offload(never_called, arg, &options), -ENOMEM);
	return 0;
}

Test(offload, B2_a_request_needs_memory_enomem)
{
	must_run(too_large, NULL);
}

static int abandon_for_good(void *arg)
{
	struct scope s;

	(void)arg;
	begin(&s, &abandon_noted);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, -ECANCELED);
	return 0;
}

Test(offload, B2_an_orphan_holds_up_the_end_for_its_grace_only)
{
	struct scope_config config = {.orphan_grace_ns = 50 * SCOPE_MS};
	int64_t before = real_now(), took;

	cr_assert_eq(run_config(abandon_for_good, NULL, config), 0);
	took = real_now() - before;
	cr_expect_geq(took, 50 * SCOPE_MS);
	cr_expect_lt(took, 5 * SCOPE_SEC);
	cr_expect_eq(drops, 0);
	/* It ends beside another run, which has a pool of its own. */
	must_run(offload_twice, NULL);
	atomic_store(&gate.open, 1);
	while (!atomic_load(&drops))
		real_now();
	cr_expect_eq(dropped_result, 7);
	must_run(offload_twice, NULL);
}

/* ---- B3 --------------------------------------------------------------------------------- */

static atomic_int interrupts;

static void open_gate(void *arg)
{
	struct gate *given = arg;

	atomic_fetch_add(&interrupts, 1);
	given->result = -EINTR;
	atomic_store(&given->open, 1);
}

static const struct scope_offload_options interruptible = {.mode = SCOPE_OFFLOAD_INTERRUPT,
							   .interrupt_fn = open_gate};

static int interrupt_running(void *arg)
{
	struct scope s;

	(void)arg;
	begin(&s, &interruptible);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(atomic_load(&gate.ended), 1);
	CHECK_EQ(returned, -ECANCELED);
	CHECK_EQ(checkpoint_after, -ECANCELED);
	return 0;
}

Test(offload, B3_a_cancel_interrupts_the_call_ecanceled)
{
	must_run(interrupt_running, NULL);
	cr_expect_eq(interrupts, 1);
}

static void interrupt_in_vain(void *arg)
{
	(void)arg;
	atomic_fetch_add(&interrupts, 1);
	atomic_store(&gate.open, 1);
}

static int finish_in_spite(void *arg)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_INTERRUPT,
							     .interrupt_fn = interrupt_in_vain};
	struct scope s;

	(void)arg;
	begin(&s, &options);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(returned, 7);
	CHECK_EQ(checkpoint_after, -ECANCELED);
	return 0;
}

Test(offload, B3_a_result_is_kept_if_the_call_ends_in_spite_of_it)
{
	must_run(finish_in_spite, NULL);
	cr_expect_eq(interrupts, 1);
}

static int uncancelled(void *arg)
{
	(void)arg;
	memset(&gate, 0, sizeof(gate));
	gate.open = 1;
	gate.result = -EINTR;
	CHECK_EQ(scope_offload(pass, &gate, &interruptible), -EINTR);
	return 0;
}

Test(offload, B3_EINTR_of_a_call_that_nobody_cancelled_is_its_result)
{
	must_run(uncancelled, NULL);
	cr_expect_eq(interrupts, 0);
}

static int pipes[2];
static atomic_int reads;

static int read_pipe(void *arg)
{
	char byte;

	(void)arg;
	atomic_fetch_add(&reads, 1);
	return read(pipes[0], &byte, 1) < 0 ? -errno : 0;
}

static int offload_read(void *arg)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_INTERRUPT};

	(void)arg;
	returned = scope_offload(read_pipe, NULL, &options);
	return returned;
}

static int interrupt_reads(void *arg)
{
	int round;

	(void)arg;
	for (round = 0; round < 5; round++) {
		struct scope s;

		atomic_store(&reads, 0);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, offload_read, NULL, &concurrent), 0);
		until(&reads);
		if (round % 2) /* it sits in the system call, perhaps */
			usleep(1000);
		scope_cancel(&s);
		CHECK_EQ(scope_close(&s), 0);
		CHECK_EQ(returned, -ECANCELED);
	}
	/* No signal is left that would cut the next one short. */
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	CHECK_EQ(offload_read(NULL), 0);
	return 0;
}

Test(offload, B3_a_signal_ends_a_system_call)
{
	cr_assert_eq(pipe(pipes), 0);
	must_run(interrupt_reads, NULL);
}

/* ---- Z1, Z3 ----------------------------------------------------------------------------- */

static int sleep_an_hour(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_for(3600 * SCOPE_SEC), 0);
	CHECK_EQ(atomic_load(&gate.ended), 1);
	return 0;
}

static int wait_some(void *arg)
{
	int64_t end = real_now() + 5 * SCOPE_MS;

	while (real_now() < end)
		;
	return arg != NULL;
}

static int look_at_clock(void *arg)
{
	int64_t virtual_now = scope_now();

	CHECK_EQ(wait_some(arg), 0);
	CHECK_EQ(scope_now(), virtual_now);
	atomic_store(&gate.ended, 1);
	return 0;
}

static int clock_waits(void *arg)
{
	struct scope s;

	(void)arg;
	memset(&gate, 0, sizeof(gate));
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_an_hour, NULL, &concurrent), 0);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_offload(look_at_clock, NULL, NULL), 0);
	return scope_close(&s);
}

Test(offload, Z1_virtual_time_stands_still_during_a_call)
{
	must_run(clock_waits, NULL);
}

static int only_calls(void *arg)
{
	(void)arg;
	return scope_offload(wait_some, NULL, NULL);
}

Test(offload, Z3_a_task_that_waits_for_a_call_is_no_deadlock)
{
	struct scope_config config = {.flags = SCOPE_DETECT_DEADLOCK};

	must_run(only_calls, NULL);
	cr_assert_eq(run_config(only_calls, NULL, config), 0);
}

static int deadlock_after_call(void *arg)
{
	CHECK_EQ(scope_offload(wait_some, NULL, NULL), 0);
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

Test(offload, Z3_a_deadlock_after_a_call_is_found)
{
	cr_assert_eq(run_flags(deadlock_after_call, NULL, 0, SCOPE_DETECT_DEADLOCK), -EDEADLK);
}
