/* tests/sim/core.c: simulated threads, the schedule point, one schedule from start to end. */
#include "core.h"

#include "base/atomic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim sim;

/* Where the runtime keeps the pointer to the worker of the thread that runs. */
void *sc_sim_self_get(void);
void sc_sim_self_set(void *self);

static struct sim_limits limits_set;
static struct sc_context abandoned;
static void *nobody; /* what a thread that is no worker finds there */

enum {
	WORDS = 1 << 14,
	TRACE_MOST = 1 << 16,
	FEW = 3 /* SIM_EXHAUSTIVE tries all numbers below this, of larger ranges only 0 */
};

/* The words seen in this schedule, numbered in the order of their first appearance, so that
 * a trace does not depend on addresses. */
static struct {
	const void *word;
	uint64_t schedule;
	uint32_t number;
} seen[WORDS];
static uint64_t schedule_count;
static uint32_t words;

/* The last steps of all threads, for SIM_TRACE. */
static struct sim_mark *trace_ring;
static uint64_t trace_count;

uint64_t sim_next_random(void)
{
	uint64_t z = (sim.rng += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t number_of(const void *word)
{
	size_t i = (uintptr_t)word * UINT64_C(0x9e3779b97f4a7c15) >> 40, tries;

	if (!word)
		return 0;
	for (tries = 0; tries < WORDS; tries++, i++) {
		i %= WORDS;
		if (seen[i].schedule != schedule_count) {
			seen[i].schedule = schedule_count;
			seen[i].word = word;
			seen[i].number = ++words;
			return words;
		}
		if (seen[i].word == word)
			return seen[i].number;
	}
	return UINT32_MAX;
}

static void add_to_trace(uint64_t value)
{
	sim.result.trace = (sim.result.trace ^ value) * UINT64_C(0x9fb21c651e98df25);
	sim.result.trace ^= sim.result.trace >> 29;
}

static void mark(struct sim_thread *me, const void *site, uint32_t word,
		 const struct sim_thread *next)
{
	struct sim_mark *m = &me->mark[me->marks++ % SIM_MARKS];

	/* In its place: copied as a whole it would be read before its parts are written. */
	m->site = site;
	m->word = word;
	m->thread = (uint8_t)me->id;
	m->next = (uint8_t)next->id;
	m->now = sim.now;
	if (trace_ring)
		trace_ring[trace_count++ % TRACE_MOST] = *m;
	add_to_trace((uint64_t)me->id << 40 | (uint64_t)next->id << 32 | word);
}

bool sim_runnable(const struct sim_thread *thread)
{
	switch (thread->state) {
	case SIM_READY:
		return true;
	case SIM_WAITING:
		return thread->deadline <= sim.now;
	case SIM_JOINING:
		return sim.thread[thread->joined].state == SIM_DONE;
	default:
		return false;
	}
}

void sim_end(enum sim_verdict verdict)
{
	sim.result.verdict = verdict;
	sc_arch_switch(&abandoned, &sim.driver);
	__builtin_unreachable();
}

void sim_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(sim.result.message, sizeof(sim.result.message), format, args);
	va_end(args);
	sim_end(SIM_CHECK);
}

/* Called by sc_panic with the whole message. */
static void on_panic(const char *text, size_t length)
{
	if (!sim.running) {
		sc_os_write_stderr(text, length);
		return;
	}
	if (length > sizeof(sim.result.message) - 1)
		length = sizeof(sim.result.message) - 1;
	memcpy(sim.result.message, text, length);
	sim.result.message[length] = '\0';
	sim_end(SIM_PANIC);
}

/* All threads wait: time goes to the first deadline, if there is one, unless a descriptor that is
 * waited for is ready. */
static void jump(void)
{
	int64_t earliest = INT64_MAX;
	unsigned i;

	if (sim_poll())
		return;
	for (i = 0; i < sim.threads; i++)
		if (sim.thread[i].state == SIM_WAITING && sim.thread[i].deadline < earliest)
			earliest = sim.thread[i].deadline;
	if (earliest == INT64_MAX)
		sim_end(SIM_DEADLOCK);
	if (earliest > sim.now)
		sim.now = earliest;
	sim.result.jumps++;
}

static void pass_time(void)
{
	if (sim.limits.steady_clock)
		return;
	sim.now += 8;
	if (sim.jump_odds && sim_one_in(sim.jump_odds))
		sim.now += (int64_t)(sim_next_random() >> 39 >> sim_next_random() % 24);
	if (sim.result.steps % 16 == 0)
		sim_poll();
	if (sim.spurious && sim_next_random() % 128 == 0) {
		struct sim_thread *t = &sim.thread[sim_next_random() % sim.threads];

		if (t->state == SIM_WAITING)
			t->state = SIM_READY;
	}
}

static void deliver_signal(struct sim_thread *me)
{
	me->signal_pending = false;
	sim.quiet++;
	sim_host_expose();
	sim.quiet--;
}

static void switch_to(struct sim_thread *me, struct sim_thread *next)
{
	sim.result.switches++;
	sim.current = next;
	me->self = sc_sim_self_get();
	sc_sim_self_set(next->self);
	sc_arch_switch(&me->context, &next->context);
}

void sim_step(const void *word, const void *site, enum sim_kind kind)
{
	struct sim_thread *me = sim.current, *next;

	/* A signal handler runs as one step: other threads can't run below it. */
	if (sim.quiet && kind != SIM_BLOCK)
		return;
	if (sim.quiet)
		sim_fail("a signal handler waits");
	if (++sim.result.steps > sim.limits.steps)
		sim_end(SIM_LIVELOCK);
	pass_time();
	while (!(next = sim_choose(kind)))
		jump();
	mark(me, site, number_of(word), next);
	next->state = SIM_READY;
	if (next != me)
		switch_to(me, next);
	if (me->signal_pending)
		deliver_signal(me);
}

void sc_sim_point(const void *word)
{
	if (sim.running)
		sim_step(word, __builtin_return_address(0), SIM_STEP);
}

void sim_point(void)
{
	sim_step(NULL, __builtin_return_address(0), SIM_STEP);
}

void sim_compute(int64_t duration)
{
	sim.now += duration;
	sim_step(NULL, __builtin_return_address(0), SIM_STEP);
}

static void thread_main(void *arg)
{
	struct sim_thread *me = arg;

	if (me->signal_pending)
		deliver_signal(me);
	me->entry(me->arg);
	me->state = SIM_DONE;
	if (me->id == 0)
		sim_end(SIM_OK);
	sim_step(me, __builtin_return_address(0), SIM_BLOCK);
	__builtin_unreachable();
}

/* One that was joined, or a new one. */
static struct sim_thread *free_thread(void)
{
	unsigned i;

	for (i = 1; i < sim.threads; i++)
		if (sim.thread[i].state == SIM_DONE && sim.thread[i].was_joined &&
		    &sim.thread[i] != sim.current)
			return &sim.thread[i];
	if (sim.threads == SIM_THREADS)
		sim_fail("more than %d threads at a time", SIM_THREADS);
	return &sim.thread[sim.threads++];
}

unsigned sim_thread_new(void (*entry)(void *arg), void *arg)
{
	struct sim_thread *t = free_thread();
	char *stack = t->stack;

	if (!stack)
		stack = aligned_alloc(4096, SIM_STACK);
	memset(t, 0, sizeof(*t));
	t->id = (unsigned)(t - sim.thread);
	t->stack = stack;
	t->self = nobody;
	t->entry = entry;
	t->arg = arg;
	t->priority = 1 + (int64_t)(sim_next_random() >> 2);
	sc_arch_make(&t->context, stack + SIM_STACK, thread_main, t);
	return t->id;
}

/* Names of functions are kept for the life of the process: not in a schedule's memory. */
static void warm_up(void)
{
	static bool warm;
	char name[64];

	if (!warm)
		sc_os_symbol((const void *)sim_run, 0, name, sizeof(name));
	warm = true;
}

static void begin(uint64_t seed, enum sim_strategy strategy)
{
	schedule_count++;
	words = 0;
	trace_count = 0;
	memset(&sim.result, 0, sizeof(sim.result));
	sim.threads = 0;
	sim.quiet = 0;
	sim.strategy = strategy;
	sim.rng = strategy == SIM_EXHAUSTIVE ? 1 : seed * 3 + (uint64_t)strategy;
	sim.limits = limits_set;
	if (!sim.limits.steps)
		sim.limits.steps = 2000000;
	if (sim.limits.none_preempted)
		sim.limits.preemptions = 0;
	else if (!sim.limits.preemptions)
		sim.limits.preemptions = 2;
	sim.start = sim.now = INT64_C(1000000000) + (int64_t)(sim_next_random() % 1000000);
	/* Half of the schedules have no spurious wake-ups, which hide lost ones. */
	sim.spurious = sim_next_random() % 2;
	sim.jump_odds = sim_next_random() % 2 ? 0 : 16u << sim_next_random() % 8;
	sim_choose_init();
	sim_host_reset();
	sim_table_reset();
	if (getenv("SIM_TRACE") && !trace_ring)
		trace_ring = malloc(TRACE_MOST * sizeof(*trace_ring));
}

/* What a schedule that ended well must have given back. */
static void check_leaks(void)
{
	const char *left = sim_table_leak();
	unsigned i;

	for (i = 1; i < sim.threads && !left; i++)
		if (sim.thread[i].state != SIM_DONE)
			left = "a thread still runs";
	if (!left)
		return;
	snprintf(sim.result.message, sizeof(sim.result.message), "%s", left);
	sim.result.verdict = SIM_LEAK;
}

void sim_set_limits(const struct sim_limits *limits)
{
	limits_set = *limits;
}

int sim_run(uint64_t seed, enum sim_strategy strategy, sim_scenario_fn *scenario, void *arg,
	    struct sim_result *out)
{
	struct sc_os saved = sc_os;

	nobody = sc_sim_self_get();
	warm_up();
	begin(seed, strategy);
	if (!sim_choose_begin(seed)) {
		memset(out, 0, sizeof(*out));
		out->verdict = SIM_END;
		return -1;
	}
	sim_thread_new(scenario, arg);
	sc_os = sim_os_table;
	sim_poll_install(&sc_os);
	sc_panic_sink = on_panic;
	sim.current = &sim.thread[0];
	sim.running = true;
	sc_arch_switch(&sim.driver, &sim.thread[0].context);
	sim.running = false;
	sc_sim_self_set(nobody);
	sc_os = saved;
	sim.result.elapsed = sim.now - sim.start;
	if (sim.result.verdict == SIM_OK)
		check_leaks();
	*out = sim.result;
	return out->verdict == SIM_OK ? 0 : -1;
}

/* ---- questions from inside and reports ----------------------------------------- */

uint64_t sim_random(uint64_t below)
{
	if (sim.strategy != SIM_EXHAUSTIVE)
		return sim_next_random() % below;
	return below <= FEW ? sim_choose_number((unsigned)below) : 0;
}

int64_t sim_now(void)
{
	return sim.now;
}

bool sim_clock_is_even(void)
{
	return !sim.jump_odds;
}

unsigned sim_thread_id(void)
{
	return sim.current->id;
}

uint64_t sim_idle_jumps(void)
{
	return sim.result.jumps;
}

const char *sim_strategy_name(enum sim_strategy strategy)
{
	static const char *const name[] = {"random", "pct", "exhaustive"};

	return name[strategy];
}

static void print_mark(const struct sim_mark *m)
{
	char where[120];

	sc_os_symbol(m->site, 1, where, sizeof(where));
	fprintf(stderr, "    +%-10lld t%u w%-4u %s", (long long)(m->now - sim.start), m->thread,
		m->word, where);
	if (m->next != m->thread)
		fprintf(stderr, "  -> t%u", m->next);
	fprintf(stderr, "\n");
}

void sim_print_trace(void)
{
	const char *most = getenv("SIM_TRACE");
	uint64_t n = most ? strtoull(most, NULL, 0) : 0, i;

	if (!trace_ring)
		return;
	if (n > TRACE_MOST || n < 2)
		n = TRACE_MOST;
	for (i = trace_count > n ? trace_count - n : 0; i < trace_count; i++)
		print_mark(&trace_ring[i % TRACE_MOST]);
}

static void print_thread(const struct sim_thread *t)
{
	static const char *const state[] = {"ready", "waiting", "joining", "done"};
	uint64_t i;

	fprintf(stderr, "  thread %u %s", t->id, state[t->state]);
	if (t->state == SIM_WAITING && t->deadline != INT64_MAX)
		fprintf(stderr, " until +%lld", (long long)(t->deadline - sim.start));
	if (t->state == SIM_WAITING)
		fprintf(stderr, " on w%u (now %u)", number_of(t->word), *t->word);
	if (t->state == SIM_JOINING)
		fprintf(stderr, " thread %u", t->joined);
	fprintf(stderr, ", last steps:\n");
	if (t->state == SIM_DONE)
		return;
	for (i = t->marks > SIM_MARKS ? t->marks - SIM_MARKS : 0; i < t->marks; i++)
		print_mark(&t->mark[i % SIM_MARKS]);
}

void sim_report(const char *name, uint64_t seed, enum sim_strategy strategy,
		const struct sim_result *result)
{
	static const char *const verdict[] = {"ok",	  "check failed", "panic", "deadlock",
					      "livelock", "leak",	  "no such schedule"};
	unsigned i;

	fprintf(stderr, "sim: %s: %s: %s\n", name, verdict[result->verdict], result->message);
	fprintf(stderr, "sim: seed=%llu strategy=%s trace=%016llx steps=%llu virtual=%lld ns\n",
		(unsigned long long)seed, sim_strategy_name(strategy),
		(unsigned long long)result->trace, (unsigned long long)result->steps,
		(long long)result->elapsed);
	fprintf(stderr, "sim: again: SIM_SEED=%llu SIM_STRATEGY=%s", (unsigned long long)seed,
		sim_strategy_name(strategy));
	fprintf(stderr, " build/test/sim --filter %s\n", name);
	if (result->verdict == SIM_OK)
		return;
	for (i = 0; i < sim.threads; i++)
		print_thread(&sim.thread[i]);
}
