/* tests/unit/test_wheel.c: the timing wheel against a plain array, and its cost. */
#include "harness.h"
#include "sched/wheel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Distances of every magnitude, so that all levels and all cascades are met. */
static int64_t random_distance(uint64_t *rng)
{
	return (int64_t)(next_random(rng) >> (1 + next_random(rng) % 63));
}

static int64_t add_saturated(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

enum { MODEL_TIMERS = 96 };

/* The reference: every timer with a flag; all questions are answered by looking at all. */
struct model {
	struct sc_wheel wheel;
	struct sc_timer timer[MODEL_TIMERS];
	int inside[MODEL_TIMERS];
	int was_due[MODEL_TIMERS]; /* inserted with when <= the wheel's time */
	uint64_t count;
	int64_t now;
};

static int64_t model_next(const struct model *m)
{
	int64_t earliest = INT64_MAX;
	int i;

	for (i = 0; i < MODEL_TIMERS; i++)
		if (m->inside[i] && m->timer[i].when < earliest)
			earliest = m->timer[i].when;
	return earliest;
}

/* Walks all lists: slots match their bits, links point back, levels fit the time. */
static void check_shape(const struct model *m)
{
	const struct sc_wheel *w = &m->wheel;
	const struct sc_timer *t;
	uint64_t seen = 0;
	int level, slot;

	for (t = w->due; t; t = t->next, seen++) {
		cr_assert(*t->link == t);
		cr_assert(t->when <= w->time, "due list holds a timer of the future");
	}
	for (level = 0; level < SC_WHEEL_LEVELS; level++) {
		for (slot = 0; slot < SC_WHEEL_SLOTS; slot++) {
			cr_assert(!!w->slot[level][slot] == (int)(w->occupied[level] >> slot & 1),
				  "bit of level %d slot %d", level, slot);
			for (t = w->slot[level][slot]; t; t = t->next, seen++) {
				cr_assert(*t->link == t);
				cr_assert(t->when > w->time);
				cr_assert((t->when >> level * 6 & 63) == slot);
				cr_assert(level == 10 ||
					  (t->when ^ w->time) >> (level * 6 + 6) == 0);
			}
		}
	}
	cr_assert(seen == w->count && seen == m->count);
}

static void model_insert(struct model *m, int i, int64_t when)
{
	m->timer[i].when = when;
	m->was_due[i] = when <= m->wheel.time;
	sc_wheel_insert(&m->wheel, &m->timer[i]);
	m->inside[i] = 1;
	m->count++;
}

static void model_remove(struct model *m, int i)
{
	sc_wheel_remove(&m->wheel, &m->timer[i]);
	cr_assert_null(m->timer[i].link);
	m->inside[i] = 0;
	m->count--;
}

static void model_advance(struct model *m, int64_t now, unsigned most)
{
	struct sc_timer *t = sc_wheel_advance(&m->wheel, now, most);
	int64_t last = -1;
	unsigned taken = 0;

	for (; t; t = t->next, taken++) {
		int i = (int)(t - m->timer);

		cr_assert(m->inside[i], "timer %d taken twice or never inserted", i);
		cr_assert_null(t->link);
		cr_assert(t->when <= now || t->when <= m->now, "timer %d fired early", i);
		if (!m->was_due[i]) {
			cr_assert(t->when >= last, "out of order");
			last = t->when;
		} else {
			cr_assert(last == -1, "a timer due before came after one of a slot");
		}
		m->inside[i] = 0;
		m->count--;
	}
	cr_assert(taken <= most);
	if (taken < most)
		cr_assert(!m->count || model_next(m) > now, "a due timer was left");
	m->now = now > m->now ? now : m->now;
}

static void check_next(const struct model *m)
{
	int64_t earliest = model_next(m);

	cr_assert(sc_wheel_next(&m->wheel, 1) == earliest);
	cr_assert(sc_wheel_next(&m->wheel, 0) <= earliest, "the cheap answer is late");
	if (m->count && earliest > m->wheel.time)
		cr_assert(sc_wheel_next(&m->wheel, 0) > m->wheel.time,
			  "the cheap answer would spin");
}

static int64_t random_when(const struct model *m, uint64_t *rng)
{
	switch (next_random(rng) % 8) {
	case 0:
		return m->now;
	case 1:
		return m->now - (int64_t)(next_random(rng) % ((uint64_t)m->now + 1));
	case 2:
		return INT64_MAX;
	case 3: /* equal to another, inside or not */
		return m->timer[next_random(rng) % MODEL_TIMERS].when;
	case 4: /* the edge of a slot of some level */
		return add_saturated(m->now, random_distance(rng)) >> 12 << 12;
	default:
		return add_saturated(m->now, random_distance(rng));
	}
}

static void model_run(uint64_t seed, int steps)
{
	static struct model m;
	uint64_t rng = seed;
	int step;

	memset(&m, 0, sizeof(m));
	m.now = (int64_t)(next_random(&rng) >> (1 + next_random(&rng) % 63));
	sc_wheel_init(&m.wheel, m.now);
	for (step = 0; step < steps; step++) {
		int i = (int)(next_random(&rng) % MODEL_TIMERS);
		uint64_t kind = next_random(&rng) % 16;

		if (kind < 9) {
			if (m.inside[i])
				model_remove(&m, i);
			else
				model_insert(&m, i, random_when(&m, &rng));
		} else if (kind < 11) {
			model_advance(&m, sc_wheel_next(&m.wheel, kind == 9), 1);
		} else if (kind < 15) {
			int64_t now = add_saturated(m.now, random_distance(&rng) >> 24);

			model_advance(&m, now, 1 + (unsigned)(next_random(&rng) % 20));
		} else if (next_random(&rng) % 8 == 0) {
			model_advance(&m, add_saturated(m.now, random_distance(&rng)), 1000);
		}
		check_shape(&m);
		check_next(&m);
	}
	model_advance(&m, INT64_MAX, MODEL_TIMERS + 1);
	cr_assert(m.count == 0 && m.wheel.count == 0);
	cr_assert(sc_wheel_next(&m.wheel, 0) == INT64_MAX);
}

Test(wheel, agrees_with_a_plain_array_for_many_seeds)
{
	uint64_t seed;

	for (seed = 1; seed <= 600; seed++)
		model_run(seed * 7919, 250);
}

Test(wheel, every_level_cascades_down_to_the_exact_nanosecond)
{
	static struct sc_wheel wheel;
	struct sc_timer timer[SC_WHEEL_LEVELS];
	int level;

	sc_wheel_init(&wheel, 0);
	for (level = 0; level < SC_WHEEL_LEVELS; level++) {
		timer[level].when = (INT64_C(1) << level * 6) + (level ? 5 : 0);
		sc_wheel_insert(&wheel, &timer[level]);
		cr_assert_not_null(wheel.slot[level][1]);
	}
	for (level = 0; level < SC_WHEEL_LEVELS; level++) {
		int64_t when = timer[level].when;

		cr_assert(sc_wheel_next(&wheel, 1) == when);
		cr_assert_null(sc_wheel_advance(&wheel, when - 1, 10));
		cr_assert(sc_wheel_advance(&wheel, when, 10) == &timer[level]);
		cr_assert_null(timer[level].next);
	}
	cr_assert(wheel.count == 0);
}

Test(wheel, equal_times_leave_together)
{
	static struct sc_wheel wheel;
	static struct sc_timer timer[100];
	struct sc_timer *t;
	int i, taken = 0;

	sc_wheel_init(&wheel, 1000);
	for (i = 0; i < 100; i++) {
		timer[i].when = 123456789;
		sc_wheel_insert(&wheel, &timer[i]);
	}
	for (i = 1; i < 100; i += 2)
		sc_wheel_remove(&wheel, &timer[i]);
	for (t = sc_wheel_advance(&wheel, 123456789, 30); t; t = t->next)
		taken++;
	cr_assert(taken == 30 && wheel.count == 20);
	cr_assert(sc_wheel_next(&wheel, 0) == 0, "what is due shows as due");
	for (t = sc_wheel_advance(&wheel, 123456789, 30); t; t = t->next)
		taken++;
	cr_assert(taken == 50 && wheel.count == 0);
}

Test(wheel, never_and_the_past)
{
	static struct sc_wheel wheel;
	struct sc_timer never = {.when = INT64_MAX}, past = {.when = 3}, zero = {.when = 0};

	sc_wheel_init(&wheel, 1000);
	cr_assert(sc_wheel_next(&wheel, 1) == INT64_MAX);
	sc_wheel_insert(&wheel, &never);
	sc_wheel_insert(&wheel, &past);
	sc_wheel_insert(&wheel, &zero);
	cr_assert(sc_wheel_next(&wheel, 1) == 0);
	sc_wheel_remove(&wheel, &zero);
	cr_assert(sc_wheel_next(&wheel, 1) == 3);
	/* A clock that was read before another thread moved the wheel on. */
	cr_assert(sc_wheel_advance(&wheel, 500, 10) == &past);
	cr_assert(wheel.time == 1000, "time does not go back");
	cr_assert_null(sc_wheel_advance(&wheel, INT64_MAX - 1, 10));
	cr_assert(sc_wheel_next(&wheel, 1) == INT64_MAX && wheel.count == 1);
	cr_assert(sc_wheel_advance(&wheel, INT64_MAX, 10) == &never);
	cr_assert(wheel.count == 0);
}

Test(wheel, expiry_is_in_order_of_time_though_late)
{
	enum { N = 5000 };
	static struct sc_wheel wheel;
	static struct sc_timer timer[N];
	struct sc_timer *t;
	uint64_t rng = 42;
	int64_t last = 0;
	int i;

	sc_wheel_init(&wheel, 0);
	for (i = 0; i < N; i++) {
		timer[i].when = 1 + (int64_t)(next_random(&rng) % 1000000000);
		sc_wheel_insert(&wheel, &timer[i]);
	}
	for (t = sc_wheel_advance(&wheel, 1000000000, N); t; t = t->next, i--) {
		cr_assert(t->when >= last);
		last = t->when;
	}
	cr_assert(i == 0);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Prints what an operation costs with a million timers; fails only at absurd figures. */
Test(wheel, cost_with_a_million_timers)
{
	enum { N = 1000000, STEP_NS = 50000 };
	static struct sc_wheel wheel;
	struct sc_timer *timer = calloc(N, sizeof(*timer));
	double start, insert, expire, removal;
	uint64_t rng = 1;
	int64_t now;
	int i, fired = 0;

	cr_assert_not_null(timer);
	sc_wheel_init(&wheel, 0);
	for (i = 0; i < N; i++)
		timer[i].when = (int64_t)(next_random(&rng) % 1000000000);
	start = seconds();
	for (i = 0; i < N; i++)
		sc_wheel_insert(&wheel, &timer[i]);
	insert = seconds() - start;
	start = seconds();
	for (i = 0; i < N; i++)
		sc_wheel_remove(&wheel, &timer[i]);
	removal = seconds() - start;
	cr_assert(wheel.count == 0);
	for (i = 0; i < N; i++)
		sc_wheel_insert(&wheel, &timer[i]);
	start = seconds();
	for (now = 0; now <= 1000000000; now += STEP_NS) {
		struct sc_timer *t;

		while ((t = sc_wheel_advance(&wheel, now, 64)))
			for (; t; t = t->next)
				fired++;
	}
	expire = seconds() - start;
	cr_assert(fired == N && wheel.count == 0);
	fprintf(stderr, "wheel, 10^6 timers over 1 s, ns: insert %.1f, remove %.1f, expire %.1f\n",
		insert * 1e9 / N, removal * 1e9 / N, expire * 1e9 / N);
#ifndef SC_VALGRIND
	cr_assert(insert < 2 && removal < 2 && expire < 5, "more than 2 us an operation");
#endif
	free(timer);
}
