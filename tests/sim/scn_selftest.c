/* tests/sim/scn_selftest.c: the simulation finds planted bugs and passes what is right. */
#include "base/atomic.h"
#include "core.h"
#include "harness.h"

#include <string.h>

/* How many schedules of a strategy may pass before a planted bug has to show. */
enum { SOON = 300 };

/* Runs until a schedule fails, then the same once more: it has to fail in the same way. */
static void finds(const char *what, sim_scenario_fn *scenario, enum sim_strategy strategy,
		  enum sim_verdict verdict)
{
	struct sim_result first, again;
	uint64_t seed;

	for (seed = 0; seed < SOON; seed++)
		if (sim_run(seed, strategy, scenario, NULL, &first))
			break;
	cr_assert(seed < SOON, "%s does not find it", sim_strategy_name(strategy));
	cr_assert(first.verdict == verdict, "verdict %d: %s", first.verdict, first.message);
	sim_run(seed, strategy, scenario, NULL, &again);
	cr_assert(again.verdict == verdict);
	cr_assert(again.trace == first.trace && again.steps == first.steps, "another schedule");
	cr_assert(strcmp(again.message, first.message) == 0);
	printf("# %s by %s: schedule %llu\n", what, sim_strategy_name(strategy),
	       (unsigned long long)seed + 1);
}

static void finds_each_way(const char *what, sim_scenario_fn *scenario, enum sim_verdict verdict)
{
	finds(what, scenario, SIM_RANDOM, verdict);
	finds(what, scenario, SIM_PCT, verdict);
	finds(what, scenario, SIM_EXHAUSTIVE, verdict);
}

static void two_threads(void (*f)(void *), void (*g)(void *))
{
	struct sc_thread a, b;

	sc_os.thread_start(&a, f, NULL);
	sc_os.thread_start(&b, g, NULL);
	sc_os.thread_join(&a);
	sc_os.thread_join(&b);
}

/* ---- a lost wake-up ---- */

static uint32_t flag, bell;

static void ring(void *arg)
{
	(void)arg;
	at_store_rel(&flag, 1);
	at_add_sc(&bell, 1);
	sc_os.wake(&bell, 1);
}

/* The bell is read too late: it may have rung already. */
static void wait_wrong(void *arg)
{
	(void)arg;
	while (!at_load_acq(&flag))
		sc_os.wait(&bell, at_load_acq(&bell), INT64_MAX);
}

static void wait_right(void *arg)
{
	(void)arg;
	for (;;) {
		uint32_t heard = at_load_acq(&bell);

		if (at_load_acq(&flag))
			break;
		sc_os.wait(&bell, heard, INT64_MAX);
	}
}

static void lost_wake_up(void *arg)
{
	(void)arg;
	flag = bell = 0;
	two_threads(ring, wait_wrong);
}

static void kept_wake_up(void *arg)
{
	(void)arg;
	flag = bell = 0;
	two_threads(ring, wait_right);
}

Test(sim, finds_a_lost_wake_up)
{
	finds_each_way("lost wake up", lost_wake_up, SIM_DEADLOCK);
}

Test(sim, passes_a_kept_wake_up)
{
	sim_explore("passes_a_kept_wake_up", kept_wake_up, NULL);
	cr_assert(sim_exhaust("passes_a_kept_wake_up", kept_wake_up, NULL, 2, 100000) > 30);
}

/* ---- a mutex that lets two in ---- */

static uint32_t taken, inside;

static void enter_wrong(void *arg)
{
	unsigned turn = 0;

	(void)arg;
	while (at_load_acq(&taken))
		sc_os.relax(turn++);
	at_store_rel(&taken, 1);
	sim_check(at_add_rlx(&inside, 1) == 0, "two are inside");
	at_sub_rlx(&inside, 1);
	at_store_rel(&taken, 0);
}

static void enter_right(void *arg)
{
	uint32_t expected = 0;
	unsigned turn = 0;

	(void)arg;
	while (!at_cas_acq(&taken, &expected, 1)) {
		expected = 0;
		sc_os.relax(turn++);
	}
	sim_check(at_add_rlx(&inside, 1) == 0, "two are inside");
	at_sub_rlx(&inside, 1);
	at_store_rel(&taken, 0);
}

static void broken_mutex(void *arg)
{
	(void)arg;
	taken = inside = 0;
	two_threads(enter_wrong, enter_wrong);
}

static void sound_mutex(void *arg)
{
	(void)arg;
	taken = inside = 0;
	two_threads(enter_right, enter_right);
}

Test(sim, finds_a_mutex_that_lets_two_in)
{
	finds_each_way("broken mutex", broken_mutex, SIM_CHECK);
}

Test(sim, passes_a_sound_mutex)
{
	cr_assert(sim_exhaust("passes_a_sound_mutex", sound_mutex, NULL, 3, 100000) > 100);
}

/* ---- a counter that loses an increment ---- */

static uint32_t counter;

static void count_wrong(void *arg)
{
	uint32_t seen = at_load_rlx(&counter);

	(void)arg;
	at_store_rlx(&counter, seen + 1);
}

static void count_right(void *arg)
{
	(void)arg;
	at_add_rlx(&counter, 1);
}

static void unordered_counter(void *arg)
{
	(void)arg;
	counter = 0;
	two_threads(count_wrong, count_wrong);
	sim_check(counter == 2, "counted %u", counter);
}

static void atomic_counter(void *arg)
{
	(void)arg;
	counter = 0;
	two_threads(count_right, count_right);
	sim_check(counter == 2, "counted %u", counter);
}

Test(sim, finds_a_counter_that_loses_an_increment)
{
	finds_each_way("unordered counter", unordered_counter, SIM_CHECK);
}

Test(sim, passes_an_atomic_counter)
{
	cr_assert(sim_exhaust("passes_an_atomic_counter", atomic_counter, NULL, 4, 100000) >
		  20);
}

/* ---- the rest of the system ---- */

static void spin_for_ever(void *arg)
{
	(void)arg;
	flag = 0;
	while (!at_load_acq(&flag))
		sc_os.relax(0);
}

static void call_panic(void *arg)
{
	SC_ASSERT(arg, "no argument");
}

static void lose_memory(void *arg)
{
	(void)arg;
	sc_os.alloc(17);
}

static void free_twice(void *arg)
{
	void *memory = sc_os.alloc(17);

	(void)arg;
	sc_os.free(memory);
	sc_os.free(memory);
}

static void lose_thread(void *arg)
{
	struct sc_thread thread;

	(void)arg;
	sc_os.thread_start(&thread, count_right, NULL);
}

Test(sim, tells_apart_what_went_wrong)
{
	struct sim_limits limits = {.steps = 10000};

	sim_set_limits(&limits);
	finds("spin for ever", spin_for_ever, SIM_RANDOM, SIM_LIVELOCK);
	limits.steps = 0;
	sim_set_limits(&limits);
	finds("call panic", call_panic, SIM_PCT, SIM_PANIC);
	finds("lose memory", lose_memory, SIM_RANDOM, SIM_LEAK);
	finds("free twice", free_twice, SIM_RANDOM, SIM_CHECK);
	finds("lose thread", lose_thread, SIM_RANDOM, SIM_LEAK);
}

/* A year passes at once; who waits for less wakes first. */
static const int64_t year = INT64_C(31536000000000000);

static void sleep_a_year(void *arg)
{
	int64_t end = sc_os.now() + year;

	(void)arg;
	while (sc_os.now() < end)
		sc_os.wait(&bell, 0, end);
	sim_check(at_load_rlx(&flag) == 1, "half a year took longer");
}

static void sleep_half_a_year(void *arg)
{
	int64_t end = sc_os.now() + year / 2;

	(void)arg;
	while (sc_os.now() < end)
		sc_os.wait(&bell, 0, end);
	at_store_rlx(&flag, 1);
}

static void long_sleeps(void *arg)
{
	(void)arg;
	flag = bell = 0;
	two_threads(sleep_a_year, sleep_half_a_year);
	sim_check(sim_now() >= year, "it is only %lld", (long long)sim_now());
}

Test(sim, virtual_time_passes_when_all_wait)
{
	struct sim_result result;
	uint64_t seed;

	for (seed = 0; seed < 200; seed++)
		cr_assert(sim_run(seed, SIM_RANDOM, long_sleeps, NULL, &result) == 0, "%s",
			  result.message);
}

static unsigned handled_on;

static void on_expose(void)
{
	handled_on = sim_thread_id();
	at_add_rlx(&counter, 1);
	at_add_rlx(&bell, 1);
}

static void run_on(void *arg)
{
	(void)arg;
	while (!at_load_acq(&counter))
		sc_os.wait(&bell, 0, INT64_MAX);
}

static void send_signal(void *arg)
{
	struct sc_thread thread;

	(void)arg;
	counter = bell = handled_on = 0;
	sc_os_expose_install(on_expose);
	sc_os.thread_start(&thread, run_on, NULL);
	sc_os.thread_signal(thread);
	sc_os.thread_join(&thread);
	sc_os_expose_uninstall();
	sim_check(handled_on == 1, "the handler ran on thread %u", handled_on);
}

Test(sim, signals_run_on_the_thread_they_name)
{
	struct sim_result result;
	uint64_t seed;

	for (seed = 0; seed < 200; seed++)
		cr_assert(sim_run(seed, (enum sim_strategy)(seed % 2), send_signal, NULL,
				  &result) == 0,
			  "%s", result.message);
}

static void many_entries(void *arg)
{
	int i;

	for (i = 0; i < 8; i++)
		enter_right(arg);
}

static void long_scenario(void *arg)
{
	(void)arg;
	taken = inside = 0;
	two_threads(many_entries, many_entries);
}

/* Different seeds are different schedules, mostly; how fast they are run is printed. */
Test(sim, seeds_differ)
{
	struct sim_result result;
	uint64_t trace[64], seed, other, same = 0;

	for (seed = 0; seed < 64; seed++) {
		sim_run(seed, SIM_RANDOM, long_scenario, NULL, &result);
		trace[seed] = result.trace;
		for (other = 0; other < seed; other++)
			same += trace[seed] == trace[other];
	}
	cr_assert(same < 64, "%llu pairs of seeds gave the same trace", (unsigned long long)same);
	sim_explore("seeds_differ", long_scenario, NULL);
}
