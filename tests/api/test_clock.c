/* tests/api/test_clock.c: virtual clock, seeded schedules, deadlocks: rules Z1 to Z3. */
#include "task_check.h"

#include <scope_observe.h>
#include <scope_sync.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

TestSuite(clock, .timeout = 60);

static struct {
	char text[65536];
	size_t used;
} reported;

static void take_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (length > sizeof(reported.text) - 1 - reported.used)
		length = sizeof(reported.text) - 1 - reported.used;
	memcpy(reported.text + reported.used, text, length);
	reported.used += length;
}

static int run_reported(scope_task_fn *fn, void *arg, struct scope_config config)
{
	config.report = take_report;
	memset(&reported, 0, sizeof(reported));
	return run_config(fn, arg, config);
}

static unsigned times_said(const char *part)
{
	const char *at = reported.text;
	unsigned times = 0;

	for (; (at = strstr(at, part)) != NULL; at++)
		times++;
	return times;
}

static const unsigned worker_counts[] = {1, 2, 4};
enum { WORKER_COUNTS = 3 };

static void run_virtual(scope_task_fn *fn)
{
	int i, rc;

	for (i = 0; i < WORKER_COUNTS; i++) {
		rc = run_reported(fn, NULL,
				  (struct scope_config){.workers = worker_counts[i],
							.flags = SCOPE_VIRTUAL_CLOCK});
		cr_assert_eq(rc, 0, "with %u workers the run gave %d", worker_counts[i], rc);
	}
}

/* ---- Z1 ------------------------------------------------------------------------------ */

#define YEAR (365 * 86400 * SCOPE_SEC)

static int sleep_a_century(void *arg)
{
	int64_t start = scope_now();
	int i;

	(void)arg;
	for (i = 0; i < 100; i++)
		CHECK_EQ(scope_sleep_for(YEAR), 0);
	CHECK_EQ(scope_now(), start + 100 * YEAR);
	return 0;
}

Test(clock, Z1_time_jumps_to_the_next_deadline)
{
	int64_t start = real_now();

	run_virtual(sleep_a_century);
	cr_assert_lt(real_now() - start, 30 * SCOPE_SEC);
}

/* Wakes many times; each time it is exactly when it asked for, whatever the others do. */
static int metronome(void *arg)
{
	int64_t period = *(int64_t *)arg, next = scope_now() + period;
	int i;

	for (i = 0; i < 100; i++, next += period) {
		CHECK_EQ(scope_sleep_until(next), 0);
		CHECK_EQ(scope_now(), next);
		if (i % 3 == 0)
			CHECK_EQ(scope_yield(), 0);
		CHECK_EQ(scope_now(), next);
	}
	return 0;
}

static int metronomes(void *arg)
{
	int64_t period[40], start = scope_now();
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 40; i++) {
		period[i] = (i + 1) * 977;
		CHECK_EQ(scope_spawn_with(&s, metronome, &period[i], i % 2 ? &concurrent : NULL),
			 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_now(), start + 100 * 40 * 977);
	return 0;
}

Test(clock, Z1_sleepers_of_all_workers_wake_at_their_instant)
{
	run_virtual(metronomes);
}

static int sleep_1ns(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_for(1), 0);
	return 0;
}

/* The clock stands while a task can run, though another one sleeps and workers are idle. */
static int compute(void *arg)
{
	int64_t start = scope_now(), end = real_now() + 30 * SCOPE_MS;

	(void)arg;
	while (real_now() < end) {
		CHECK_EQ(scope_now(), start);
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

static int compute_beside_sleeper(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_1ns, NULL, &concurrent), 0);
	CHECK_EQ(compute(NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, compute, NULL, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, sleep_1ns, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(clock, Z1_time_stands_while_a_task_can_run)
{
	run_virtual(compute_beside_sleeper);
}

static int time_out_together(void *arg)
{
	struct scope_options options = {.deadline_ns = *(int64_t *)arg};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_now(), options.deadline_ns);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

static int deadlines_together(void *arg)
{
	int64_t when[200], start = scope_now();
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 200; i++) {
		when[i] = start + SCOPE_SEC + i / 20;
		CHECK_EQ(scope_spawn_with(&s, time_out_together, &when[i],
					  i % 2 ? &concurrent : NULL),
			 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_now(), start + SCOPE_SEC + 9);
	return 0;
}

Test(clock, Z1_deadlines_of_all_workers_fire_at_their_instant)
{
	run_virtual(deadlines_together);
}

/* ---- Z2 ------------------------------------------------------------------------------ */

enum { EVENTS = 600 };

/* The order in which tasks did things. */
struct log {
	unsigned count;
	short event[EVENTS];
};

struct player {
	struct log *log;
	short name;
};

static void note(struct player *p, int what)
{
	if (p->log->count < EVENTS)
		p->log->event[p->log->count] = (short)(p->name * 16 + what);
	p->log->count++;
}

static int play(void *arg)
{
	struct player *p = arg;
	int i;

	note(p, 0);
	for (i = 1; i <= 4; i++) {
		if ((p->name + i) % 3)
			scope_yield();
		else
			scope_sleep_for((p->name % 4) * SCOPE_US);
		note(p, i);
	}
	return 0;
}

static int play_game(void *arg)
{
	struct player player[30];
	struct scope s;
	short i;

	scope_open(&s);
	for (i = 0; i < 30; i++) {
		player[i] = (struct player){arg, i};
		scope_spawn_with(&s, play, &player[i], i % 2 ? &concurrent : NULL);
		if (i % 5 == 0)
			scope_yield();
	}
	return scope_close(&s);
}

static void play_seed(struct log *log, uint64_t seed)
{
	struct scope_config config = {.workers = 1, .flags = SCOPE_VIRTUAL_CLOCK, .seed = seed};

	memset(log, 0, sizeof(*log));
	cr_assert_eq(run_reported(play_game, log, config), 0);
	cr_assert_eq(log->count, 150u);
}

static bool same(const struct log *a, const struct log *b)
{
	return a->count == b->count && memcmp(a->event, b->event, sizeof(a->event)) == 0;
}

enum { SEEDS = 20 };

Test(clock, Z2_a_seed_has_one_order_of_events)
{
	static struct log first, again;
	uint64_t seed;

	for (seed = 1; seed <= SEEDS; seed++) {
		play_seed(&first, seed);
		play_seed(&again, seed);
		cr_assert(same(&first, &again), "seed %d gave two orders", (int)seed);
	}
}

Test(clock, Z2_seeds_explore_orders)
{
	static struct log log[SEEDS];
	int i, j, pairs = 0;

	for (i = 0; i < SEEDS; i++)
		play_seed(&log[i], (uint64_t)i + 1);
	for (i = 0; i < SEEDS; i++)
		for (j = 0; j < i; j++)
			pairs += same(&log[i], &log[j]);
	cr_assert_leq(pairs, 2, "%d pairs of seeds gave one order", pairs);
}

Test(clock, Z2_SCOPE_SEED_is_the_seed)
{
	static struct log named, from_environment, plain;

	play_seed(&named, 12345);
	setenv("SCOPE_SEED", "12345", 1);
	play_seed(&from_environment, 0);
	setenv("SCOPE_SEED", "777", 1);
	play_seed(&plain, 12345); /* the configuration goes before */
	unsetenv("SCOPE_SEED");
	cr_assert(same(&named, &from_environment));
	cr_assert(same(&named, &plain));
}

static int never_runs(void *arg)
{
	(void)arg;
	CHECK(0);
	return 0;
}

Test(clock, Z2_seed_with_more_workers_einval)
{
	struct scope_config config = {.seed = 1, .flags = SCOPE_VIRTUAL_CLOCK};
	unsigned i;

	for (i = 1; i < WORKER_COUNTS; i++) {
		config.workers = worker_counts[i];
		cr_assert_eq(run_reported(never_runs, NULL, config), -EINVAL);
	}
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

Test(clock, Z2_seed_alone_takes_one_worker)
{
	unsetenv("SCOPE_WORKERS");
	cr_assert_eq(run_reported(nothing, NULL, (struct scope_config){.seed = 1}), 0);
}

/* With workers asked for, the environment gives no seed. */
static int tell_trace(void *arg)
{
	struct scope_stats stats;

	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_stats_get(&stats), 0);
	CHECK_EQ(stats.workers, stats.trace ? 1 : 2);
	*(uint64_t *)arg = stats.trace;
	return 0;
}

static int play_and_tell(void *arg)
{
	struct log log = {0};
	int rc = play_game(&log);

	return rc ? rc : tell_trace(arg);
}

static uint64_t trace_of(struct scope_config config)
{
	uint64_t trace = 1;

	config.flags = SCOPE_VIRTUAL_CLOCK;
	cr_assert_eq(run_reported(play_and_tell, &trace, config), 0);
	return trace;
}

static uint64_t trace_of_two_workers(void)
{
	uint64_t trace = 1;

	cr_assert_eq(run_reported(tell_trace, &trace, (struct scope_config){.workers = 2}), 0);
	return trace;
}

Test(clock, Z2_trace_tells_schedules_apart)
{
	uint64_t trace = trace_of((struct scope_config){.seed = 4});

	cr_assert_neq(trace, 0u);
	cr_assert_eq(trace_of((struct scope_config){.seed = 4}), trace);
	cr_assert_neq(trace_of((struct scope_config){.seed = 5}), trace);
	cr_assert_eq(trace_of_two_workers(), 0u);
}

Test(clock, Z2_SCOPE_SEED_takes_one_worker_unless_some_are_asked_for)
{
	uint64_t trace = trace_of((struct scope_config){.seed = 4});

	unsetenv("SCOPE_WORKERS");
	setenv("SCOPE_SEED", "4", 1);
	cr_assert_eq(trace_of((struct scope_config){0}), trace);
	cr_assert_eq(trace_of_two_workers(), 0u);
	unsetenv("SCOPE_SEED");
}

/* Children that never park run in other orders too. */
static int note_order(void *arg)
{
	note(arg, 0);
	return 0;
}

static int spawn_three(void *arg)
{
	struct player player[3];
	struct scope s;
	short i;

	scope_open(&s);
	for (i = 0; i < 3; i++) {
		player[i] = (struct player){arg, i};
		scope_spawn(&s, note_order, &player[i]);
	}
	return scope_close(&s);
}

Test(clock, Z2_seeds_explore_orders_of_children_that_never_park)
{
	unsigned orders = 0;
	uint64_t seed;

	for (seed = 1; seed <= 64; seed++) {
		struct scope_config config = {.seed = seed};
		struct log log = {0};

		cr_assert_eq(run_reported(spawn_three, &log, config), 0);
		cr_assert_eq(log.count, 3u);
		orders |= 1u << (log.event[0] / 16 * 3 + log.event[1] / 16);
	}
	cr_assert_geq(__builtin_popcount(orders), 4, "orders %#x", orders);
}

/* Nor do those that lock what is free: each lock is a checkpoint. */
static struct scope_mutex never_contended;

static int locks_twice(void *arg)
{
	short i;

	for (i = 0; i < 2; i++) {
		CHECK_EQ(scope_mutex_lock(&never_contended), 0);
		note(arg, i);
		CHECK_EQ(scope_mutex_unlock(&never_contended), 0);
	}
	return 0;
}

static int spawn_lockers(void *arg)
{
	struct player player[2];
	struct scope s;
	short i;

	memset(&never_contended, 0, sizeof never_contended);
	scope_open(&s);
	for (i = 0; i < 2; i++) {
		player[i] = (struct player){arg, i};
		scope_spawn(&s, locks_twice, &player[i]);
	}
	return scope_close(&s);
}

Test(clock, Z2_seeds_switch_tasks_at_locks_that_are_free)
{
	unsigned interleaved = 0;
	uint64_t seed;

	for (seed = 1; seed <= 64; seed++) {
		struct scope_config config = {.seed = seed};
		struct log log = {0};

		cr_assert_eq(run_reported(spawn_lockers, &log, config), 0);
		cr_assert_eq(log.count, 4u);
		interleaved += log.event[0] / 16 != log.event[1] / 16;
	}
	cr_assert_gt(interleaved, 0u);
}

static int fails(void *arg)
{
	(void)arg;
	return -EIO;
}

Test(clock, Z2_a_failure_tells_its_seed)
{
	cr_assert_eq(run_reported(fails, NULL, (struct scope_config){.seed = 77}), -EIO);
	cr_assert_eq(times_said("SCOPE_SEED=77 "), 1u, "%s", reported.text);
	cr_assert_eq(run_reported(fails, NULL, (struct scope_config){.workers = 2}), -EIO);
	cr_assert_eq(times_said("SCOPE_SEED"), 0u, "%s", reported.text);
}

/* ---- Z3 ------------------------------------------------------------------------------ */

static int stuck_sleeper(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

static int stuck_waiter(void *arg)
{
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, stuck_sleeper, NULL), 0);
	/* The cancel wakes both; the task may end before its owner is back. */
	rc = scope_wait_until(&s, SCOPE_NEVER);
	CHECK(rc == 0 || rc == -ECANCELED);
	rc = scope_close(&s);
	CHECK_EQ(rc, -ECANCELED);
	return rc;
}

static int deadlocked_main(void *arg)
{
	struct scope_spawn_options options = {.name = "named", .flags = SCOPE_CONCURRENT};
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, stuck_waiter, NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, stuck_sleeper, NULL, &options), 0);
	/* While a timer runs it is none. */
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	rc = scope_close(&s);
	CHECK_EQ(rc, -ECANCELED);
	return rc;
}

static void deadlock_is_reported(unsigned flags)
{
	int i, rc;

	for (i = 0; i < WORKER_COUNTS; i++) {
		struct scope_config config = {.workers = worker_counts[i],
					      .flags = flags | SCOPE_DETECT_DEADLOCK};

		rc = run_reported(deadlocked_main, NULL, config);
		cr_assert_eq(rc, -EDEADLK, "the run gave %d", rc);
		cr_assert_eq(times_said("libscope: deadlock"), 1u, "%s", reported.text);
		cr_assert_geq(times_said("/deadlocked_main/stuck_waiter"), 1u, "%s", reported.text);
		cr_assert_eq(times_said("/deadlocked_main/stuck_waiter/stuck_sleeper"), 1u, "%s",
			     reported.text);
		cr_assert_eq(times_said("/deadlocked_main/named"), 1u, "%s", reported.text);
	}
}

Test(clock, Z3_run_of_parked_tasks_edeadlk)
{
	deadlock_is_reported(SCOPE_VIRTUAL_CLOCK);
}

Test(clock, Z3_run_of_parked_tasks_on_the_real_clock_edeadlk)
{
	deadlock_is_reported(0);
}

static int busy_main(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 20; i++)
		CHECK_EQ(scope_spawn_with(&s, compute, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return scope_close(&s);
}

/* Tasks that run, and one that sleeps, are no deadlock. */
Test(clock, Z3_work_is_no_deadlock)
{
	int i;

	for (i = 0; i < WORKER_COUNTS; i++)
		cr_assert_eq(run_reported(busy_main, NULL,
					  (struct scope_config){.workers = worker_counts[i],
								.flags = SCOPE_VIRTUAL_CLOCK |
									 SCOPE_DETECT_DEADLOCK}),
			     0);
	cr_assert_eq(reported.used, 0u, "%s", reported.text);
}

/* After the cancel main goes on and gives another result: that does not hide the deadlock. */
static int recover(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	return 5;
}

Test(clock, Z3_result_of_main_does_not_hide_an_edeadlk)
{
	cr_assert_eq(
		run_reported(recover, NULL, (struct scope_config){.flags = SCOPE_DETECT_DEADLOCK}),
		-EDEADLK);
}

/* ---- a deadlock that a cancel does not end ------------------------------------------- */

static int shielded_sleeper(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_sleep_until(SCOPE_NEVER);
	return scope_close(&s);
}

Test(clock, Z3_tasks_that_do_not_end_abort)
{
	char text[8192];
	size_t used = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct scope_config config = {.flags = SCOPE_DETECT_DEADLOCK | SCOPE_NO_SIGNALS};
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		alarm(30);
		scope_run(shielded_sleeper, NULL, &config);
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x: %s",
		  (unsigned)status, text);
	cr_assert_not_null(strstr(text, "/shielded_sleeper"), "%s", text);
}
