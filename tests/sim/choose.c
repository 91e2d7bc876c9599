/* tests/sim/choose.c: which thread runs next: random, by priorities, or all in turn. */
#include "core.h"

#include <string.h>

enum {
	PCT_POINTS = 6,     /* most priority changes in a schedule */
	PCT_STARVED = 3000, /* steps that a thread may be kept from running */
	CHOICES = 1 << 16   /* longest schedule, in choices, that can be explored in turn */
};

/* SIM_RANDOM */
static unsigned switch_odds;

/* SIM_PCT: the step numbers at which the running thread's priority falls. */
static uint64_t change_at[PCT_POINTS];
static unsigned changes;
static int64_t lowest, highest;

/* SIM_EXHAUSTIVE: the path of the schedule under way; choice[i] of options[i] was taken. */
static struct {
	uint8_t choice[CHOICES], options[CHOICES];
	size_t depth;     /* choices made so far in this schedule */
	size_t prefix;    /* choices that are given */
	uint64_t number;  /* of the schedule under way */
	unsigned preempted;
} path;

void sim_choose_init(void)
{
	static const unsigned odds[] = {2, 3, 5, 9, 20, 60};
	unsigned i;

	switch_odds = odds[sim_next_random() % 6];
	/* Lengths of every magnitude: the length of the schedule is not known beforehand. */
	changes = 1 + (unsigned)(sim_next_random() % PCT_POINTS);
	for (i = 0; i < changes; i++) {
		uint64_t length = UINT64_C(8) << sim_next_random() % 11;

		change_at[i] = 1 + sim_next_random() % length;
	}
	lowest = 0;
	highest = INT64_MAX / 2;
	if (sim.strategy == SIM_EXHAUSTIVE) {
		sim.spurious = false;
		sim.jump_odds = 0;
	}
}

/* Makes the path of the next schedule: the last choice with an option left takes it. */
static bool next_path(void)
{
	size_t i = path.depth;

	while (i > 0 && path.choice[i - 1] + 1 >= path.options[i - 1])
		i--;
	if (!i)
		return false;
	path.choice[i - 1]++;
	path.prefix = i;
	path.number++;
	return true;
}

bool sim_choose_begin(uint64_t number)
{
	if (sim.strategy != SIM_EXHAUSTIVE)
		return true;
	if (number == 0) {
		path.number = 0;
		path.prefix = 0;
	} else if (number == path.number + 1) {
		if (!next_path())
			return false;
	} else if (number != path.number) {
		return false;
	} else {
		path.prefix = path.depth; /* the same once more */
	}
	path.depth = 0;
	path.preempted = 0;
	return true;
}

/* The runnable threads but the current, in the order of their numbers from it on. */
static unsigned others(struct sim_thread **list)
{
	struct sim_thread *t = sim.current, *end = &sim.thread[sim.threads];
	unsigned n = 0;

	for (;;) {
		if (++t == end)
			t = sim.thread;
		if (t == sim.current)
			return n;
		if (sim_runnable(t))
			list[n++] = t;
	}
}

static struct sim_thread *choose_random(enum sim_kind kind)
{
	struct sim_thread *list[SIM_THREADS];
	unsigned n;

	if (kind == SIM_STEP && !sim_one_in(switch_odds))
		return sim.current;
	n = others(list);
	if (!n)
		return sim_runnable(sim.current) ? sim.current : NULL;
	return list[sim_next_random() % n];
}

/* A thread that could run and has not for long goes first: who spins waits for it. */
static void help_starved(struct sim_thread **list, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		if (list[i]->could_run_since == 0)
			list[i]->could_run_since = sim.result.steps;
		if (sim.result.steps - list[i]->could_run_since > PCT_STARVED)
			list[i]->priority = ++highest;
	}
}

static struct sim_thread *choose_pct(enum sim_kind kind)
{
	struct sim_thread *list[SIM_THREADS], *me = sim.current, *best = NULL;
	unsigned n = others(list), i;

	if (kind == SIM_YIELD)
		me->priority = --lowest;
	for (i = 0; i < changes; i++)
		if (change_at[i] == sim.result.steps)
			me->priority = --lowest;
	help_starved(list, n);
	if (sim_runnable(me))
		best = me;
	for (i = 0; i < n; i++)
		if (!best || list[i]->priority > best->priority)
			best = list[i];
	if (best)
		best->could_run_since = 0;
	return best;
}

/* The next choice of the path. */
static unsigned take_option(unsigned options)
{
	if (path.depth == CHOICES)
		sim_fail("too many choices to try all");
	if (path.depth >= path.prefix) {
		path.choice[path.depth] = 0;
		path.options[path.depth] = (uint8_t)options;
	}
	return path.choice[path.depth++];
}

unsigned sim_choose_number(unsigned options)
{
	return options > 1 ? take_option(options) : 0;
}

/* A yield goes round without a choice: the turns of spin loops would be endless. */
static struct sim_thread *choose_in_turn(enum sim_kind kind)
{
	struct sim_thread *list[SIM_THREADS];
	unsigned n = others(list), options, choice;
	bool stays = kind == SIM_STEP;

	if (kind == SIM_YIELD)
		return n ? list[0] : sim.current;
	if (!n)
		return sim_runnable(sim.current) ? sim.current : NULL;
	options = n + stays;
	if (stays && path.preempted >= sim.limits.preemptions)
		return sim.current;
	if (options < 2)
		return list[0];
	choice = take_option(options);
	if (!stays)
		return list[choice];
	if (!choice)
		return sim.current;
	path.preempted++;
	return list[choice - 1];
}

struct sim_thread *sim_choose(enum sim_kind kind)
{
	switch (sim.strategy) {
	case SIM_PCT:
		return choose_pct(kind);
	case SIM_EXHAUSTIVE:
		return choose_in_turn(kind);
	default:
		return choose_random(kind);
	}
}
