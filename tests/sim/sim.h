/* tests/sim/sim.h: runs the runtime under schedules that a seed decides.
 *
 * One thread of the system carries all threads of the program under test: each is a
 * coroutine, and every access to a shared word (at_* with SC_SIM) and every system call may
 * hand control to another.  Time is virtual.  A schedule depends on nothing but its seed and
 * strategy, so a failing one can be run again:
 *
 *   SIM_SEED=17 SIM_STRATEGY=pct build/test/sim --filter sim/NAME
 *
 *   SIM_SEED       run exactly this schedule (with SIM_STRATEGY: random, pct or exhaustive)
 *   SIM_SCHEDULES  how many schedules each scenario explores; without it, as many as fit
 *                  into SIM_SECONDS (default 2)
 *   SIM_FIRST      the first seed of an exploration (default 1)
 *   SIM_FAILURES   a file that gets a line for each failure, which runs it again
 *   SIM_TRACE      print the last so many steps of a schedule that failed or was replayed
 *
 * What it can't show: a weaker memory order than sequential consistency, and interleavings
 * inside plain accesses.
 */
#ifndef SC_TESTS_SIM_H
#define SC_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_strategy {
	SIM_RANDOM,    /* at each point another thread with some probability */
	SIM_PCT,       /* the highest priority runs; a few random points lower it */
	SIM_EXHAUSTIVE /* depth first over all choices with few preemptions; the seed is the
			* number of the schedule, counted from 0 */
};

enum sim_verdict {
	SIM_OK,
	SIM_CHECK,    /* sim_check failed */
	SIM_PANIC,    /* sc_panic was called */
	SIM_DEADLOCK, /* every thread waits, none with a deadline */
	SIM_LIVELOCK, /* the step limit was reached */
	SIM_LEAK,     /* memory, address space or threads were left */
	SIM_END       /* SIM_EXHAUSTIVE: there is no schedule of that number; nothing ran */
};

struct sim_result {
	enum sim_verdict verdict;
	uint64_t trace;    /* hash over (thread, word, choice) of every step */
	uint64_t steps;    /* schedule points passed */
	uint64_t switches; /* changes from one thread to another */
	uint64_t jumps;    /* times when all threads waited and the clock moved on */
	int64_t elapsed;   /* virtual ns */
	char message[400];
};

typedef void sim_scenario_fn(void *arg);

/* Runs one schedule of scenario(arg) as thread 0.  Memory from sc_os and threads must be
 * given back at its end.  After a failure the threads are abandoned where they are: only a
 * scenario that keeps no state outside may be run again in the same process.
 * 0 if the verdict is SIM_OK, else -1. */
int sim_run(uint64_t seed, enum sim_strategy strategy, sim_scenario_fn *scenario, void *arg,
	    struct sim_result *out);

/* Limits of the schedules that follow; 0: the default. */
struct sim_limits {
	uint64_t steps;       /* SIM_LIVELOCK beyond; default 2,000,000 */
	unsigned preemptions; /* SIM_EXHAUSTIVE; default 2 */
	bool none_preempted;  /* SIM_EXHAUSTIVE: in spite of that */
	int steady_clock;     /* the clock moves only when all threads wait, and by reads */
};
void sim_set_limits(const struct sim_limits *limits);

/* What tests call: explores `scenario` by random and pct schedules in a process of its own,
 * runs the last or the failing one again in another and compares the traces, prints a
 * failure with its seed, and fails the running test.  `name` is the test's. */
void sim_explore(const char *name, sim_scenario_fn *scenario, void *arg);
/* The same for a scenario with variables of its own, which each schedule finds as they were:
 * it has a process of its own, and there are fewer of them. */
void sim_explore_with_state(const char *name, sim_scenario_fn *scenario, void *arg);
/* All schedules with at most so many preemptions, up to a number; how many there were. */
uint64_t sim_exhaust(const char *name, sim_scenario_fn *scenario, void *arg,
		     unsigned preemptions, uint64_t most);

/* Prints a result and what each thread did last to stderr. */
void sim_report(const char *name, uint64_t seed, enum sim_strategy strategy,
		const struct sim_result *result);
const char *sim_strategy_name(enum sim_strategy strategy);

/* ---- inside a scenario ---------------------------------------------------------- */

/* Ends the schedule as a failure.  Needs 2 KiB of stack. */
void sim_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#define sim_check(condition, ...)                                                                  \
	do {                                                                                       \
		if (!(condition))                                                                  \
			sim_fail(__VA_ARGS__);                                                     \
	} while (0)

/* A schedule point of the scenario's own. */
void sim_point(void);
/* One that takes so long: who waits for the clock may be due afterwards. */
void sim_compute(int64_t duration);
/* A number of the schedule's, 0 .. below - 1: the same for the same seed.  SIM_EXHAUSTIVE tries
 * all if there are at most three, else only 0. */
uint64_t sim_random(uint64_t below);
int64_t sim_now(void);
/* Whether the clock moves by what is done only, not by leaps. */
bool sim_clock_is_even(void);
/* Which simulated thread runs, 0: the one that runs the scenario. */
unsigned sim_thread_id(void);
/* Runs the handler of a signal on this thread, where a run or a stream has one; whether it was
 * taken. */
bool sim_interrupt(int number);
/* The signal that the run raised at its end, or 0. */
int sim_raised(void);
/* From now on the system refuses the nth request for memory, address space, a guard or a
 * thread, and all later ones too; 0: none. */
void sim_refuse(uint64_t nth, bool later);
/* Bytes from sc_os.alloc that were not freed. */
size_t sim_heap_live(void);
/* Times when all threads waited and the clock moved on: a wake-up that a periodic timeout
 * made good shows here. */
uint64_t sim_idle_jumps(void);

#endif
