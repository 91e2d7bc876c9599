/* tests/soak/soak.c: everything at once for an hour; what the process holds must stay the same.
 *
 * SOAK_SECONDS (3600) says how long.  A line a minute, or thirty in all if that is more often:
 * resident size, descriptors, mappings, tasks a second; on a terminal with a picture of the
 * resident size so far.  Ends with TAP.
 */
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <scope.h>
#include <scope_parallel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES = 30, MOST_SAMPLES = 4096, WORKERS = 4 };

static int64_t end_ns;
static _Atomic unsigned long tasks, parked; /* what ran; rounds of a park that a child ends */
static atomic_int wrong; /* the first line where something was not as it must be */

#define MUST(condition) ((condition) ? (void)0 : note(__LINE__))

static void note(int line)
{
	int none = 0;

	atomic_compare_exchange_strong(&wrong, &none, line);
}

static bool time_is_up(void)
{
	return scope_now() >= end_ns || wrong;
}

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

/* ---- activities: each a task of its own until the time is up ----------------------------- */

struct fib {
	int n;
	long result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left = {f->n - 1, 0}, right = {f->n - 2, 0};
	struct scope s;
	int rc;

	f->result = f->n;
	if (f->n < 2)
		return 0;
	scope_open(&s);
	MUST(scope_spawn(&s, fib, &left) == 0);
	MUST(scope_spawn(&s, fib, &right) == 0);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

static int forks_and_joins(void *arg)
{
	(void)arg;
	while (!time_is_up()) {
		struct fib f = {16, 0};

		MUST(fib(&f) == 0 && f.result == 987);
		tasks += 3193;
		scope_sleep_for(SCOPE_US);
	}
	return 0;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	tasks++;
	return scope_sleep_until(SCOPE_NEVER);
}

static int cancel_storms(void *arg)
{
	enum { CROWD = 500 };
	struct scope s;
	int i;

	(void)arg;
	while (!time_is_up()) {
		scope_open(&s);
		for (i = 0; i < CROWD; i++)
			MUST(scope_spawn_with(&s, until_cancelled, NULL, &concurrent) == 0);
		scope_sleep_for(2 * SCOPE_MS);
		scope_cancel(&s);
		MUST(scope_close(&s) == 0);
	}
	return 0;
}

static int sleeps_shortly(void *arg)
{
	int rc = scope_sleep_for(*(int64_t *)arg);

	tasks++;
	MUST(rc == 0 || rc == -ECANCELED);
	return rc;
}

static int timers(void *arg)
{
	enum { SLEEPERS = 64 };
	int64_t duration[SLEEPERS];
	unsigned round, i;

	(void)arg;
	for (round = 0; !time_is_up(); round++) {
		struct scope_options options = {.deadline_ns = scope_now() + 2 * SCOPE_MS,
						.on_timeout = SCOPE_MOVE_ON};
		struct scope s;

		MUST(scope_open_with(&s, &options) == 0);
		for (i = 0; i < SLEEPERS; i++) {
			duration[i] = (round * 7 + i * 53) % 4000 * SCOPE_US;
			scope_spawn_with(&s, sleeps_shortly, &duration[i], &concurrent);
		}
		MUST(scope_close(&s) == 0);
	}
	return 0;
}

static int ends(void *arg)
{
	(void)arg;
	tasks++;
	return 0;
}

static int parks(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	while (!time_is_up()) {
		for (i = 0; i < 1000; i++) {
			scope_open(&s);
			MUST(scope_spawn_with(&s, ends, NULL, &concurrent) == 0);
			if (i % 2)
				MUST(scope_wait_until(&s, SCOPE_NEVER) == 0);
			MUST(scope_close(&s) == 0);
		}
		parked += 1000;
		scope_sleep_for(SCOPE_US);
	}
	return 0;
}

static int yields(void *arg)
{
	return scope_yield() == 0 ? ends(arg) : -EPROTO;
}

static int adds(size_t begin, size_t end, void *arg)
{
	*(_Atomic unsigned long *)arg += end - begin;
	return 0;
}

static int ranges(void *arg)
{
	_Atomic unsigned long sum;
	struct scope s;

	(void)arg;
	while (!time_is_up()) {
		scope_open(&s);
		MUST(scope_spawn_n(&s, ends, NULL, 0, 10000) == 0);
		MUST(scope_spawn_n(&s, yields, NULL, 0, 100) == 0);
		MUST(scope_close(&s) == 0);
		sum = 0;
		MUST(scope_for(0, 100000, 0, adds, &sum) == 0 && sum == 100000);
		scope_sleep_for(SCOPE_US);
	}
	return 0;
}

static int fails(void *arg)
{
	tasks++;
	scope_yield();
	return *(int *)arg;
}

/* Hands on what a close below gave, as another error: records with contexts and lists. */
static int fails_deeper(void *arg)
{
	int code = *(int *)arg + 1;
	struct scope s;
	int rc;

	scope_open(&s);
	scope_spawn(&s, fails, &code);
	scope_spawn_with(&s, fails, &code, &concurrent);
	rc = scope_close(&s);
	MUST(rc == code || rc == -ECANCELED); /* a sibling of this one may have failed first */
	return *(int *)arg;
}

static int errors(void *arg)
{
	FILE *sink = fopen("/dev/null", "w");
	int code[20], i;
	struct scope s;

	(void)arg;
	while (!time_is_up()) {
		struct scope_options options = {.name = "errors"};

		MUST(scope_open_with(&s, &options) == 0);
		for (i = 0; i < 20; i++) {
			code[i] = 100 + i;
			scope_spawn_with(&s, i % 2 ? fails : fails_deeper, &code[i],
					 i % 3 ? &concurrent : NULL);
		}
		scope_fail(&s, -EIO, "round of errors");
		MUST(scope_close(&s) != 0);
		MUST(scope_error_print(scope_last_error(), sink) == 0);
		scope_sleep_for(SCOPE_MS);
	}
	fclose(sink);
	return 0;
}

/* ---- what the process holds --------------------------------------------------------------- */

struct sample {
	long resident_kb, descriptors, mappings;
};

static struct sample samples[MOST_SAMPLES];
static int count;

static long resident_kb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long all = 0, resident = 0;

	MUST(file && fscanf(file, "%ld %ld", &all, &resident) == 2);
	if (file)
		fclose(file);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* The resident size so far, its last fifty samples. */
static void draw(void)
{
	static const char *const bar[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	int from = count > 50 ? count - 50 : 0, i;
	long most = 1;

	for (i = from; i < count; i++)
		if (samples[i].resident_kb > most)
			most = samples[i].resident_kb;
	for (i = from; i < count; i++)
		fputs(bar[samples[i].resident_kb * 7 / most], stdout);
}

static void report(int64_t since_start, double rate)
{
	const struct sample *now = &samples[count - 1];

	printf("# %4lld:%02lld  resident %6.1f MiB  %ld descriptors  %ld mappings  %8.0f tasks/s  ",
	       (long long)(since_start / SCOPE_SEC / 60), (long long)(since_start / SCOPE_SEC % 60),
	       (double)now->resident_kb / 1024, now->descriptors, now->mappings, rate);
	if (isatty(STDOUT_FILENO))
		draw();
	printf("\n");
	fflush(stdout);
}

static int observes(void *arg)
{
	int64_t start = scope_now(), step = (end_ns - start) / LINES, last = start;
	unsigned long seen = 0;

	(void)arg;
	if (step > 60 * SCOPE_SEC)
		step = 60 * SCOPE_SEC;
	/* The last sample is taken while the others still run. */
	while (!wrong && count < MOST_SAMPLES && scope_now() + step < end_ns) {
		unsigned long now_seen;

		scope_sleep_for(step);
		samples[count++] = (struct sample){resident_kb(), open_files(), mappings()};
		now_seen = tasks;
		report(scope_now() - start,
		       (double)(now_seen - seen) * 1e9 / (double)(scope_now() - last));
		last = scope_now();
		seen = now_seen;
	}
	return 0;
}

/* The least and the most of a part of the samples. */
static struct sample extreme(int from, int to, int sign)
{
	struct sample most = samples[from];

	for (; from < to; from++) {
		const struct sample *s = &samples[from];

		if (sign * s->resident_kb > sign * most.resident_kb)
			most.resident_kb = s->resident_kb;
		if (sign * s->descriptors > sign * most.descriptors)
			most.descriptors = s->descriptors;
		if (sign * s->mappings > sign * most.mappings)
			most.mappings = s->mappings;
	}
	return most;
}

/* A few pages that are touched for the first time late are no growth; a leak of one task in a
 * thousand is far more even in 20 s.  A late peak leaves some stacks to the pools: in an hour a
 * leak of a byte in a hundred tasks is more. */
enum { FIRST_TOUCHES_KB = 128, LATE_PEAK_KB = 1024 };

/* The first third warms up.  Of the rest the whole second half must not rise above the first:
 * its least, for a peak is only a moment with more stacks in use.  Nor may the floor rise. */
static bool is_flat(void)
{
	int warm = count / 3, middle = warm + (count - warm) / 2;
	struct sample before = extreme(warm, middle, 1), after = extreme(middle, count, -1);
	long floor_kb = extreme(warm, middle, -1).resident_kb;

	printf("# after warm-up %.1f to %.1f MiB, %ld descriptors, %ld mappings; "
	       "later at least %.1f MiB, %ld, %ld\n",
	       (double)floor_kb / 1024, (double)before.resident_kb / 1024, before.descriptors,
	       before.mappings,
	       (double)after.resident_kb / 1024, after.descriptors, after.mappings);
	return count >= 6 && after.resident_kb <= before.resident_kb + FIRST_TOUCHES_KB &&
	       after.resident_kb <= floor_kb + LATE_PEAK_KB &&
	       after.descriptors <= before.descriptors && after.mappings <= before.mappings;
}

static int soak(void *arg)
{
	static scope_task_fn *const activities[] = {forks_and_joins, cancel_storms, timers, parks,
						    ranges, errors, observes};
	struct scope s;
	size_t i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < sizeof(activities) / sizeof(activities[0]); i++)
		MUST(scope_spawn_with(&s, activities[i], NULL, &concurrent) == 0);
	return scope_close(&s);
}

int main(void)
{
	struct scope_config config = {.workers = WORKERS};
	const char *text = getenv("SOAK_SECONDS");
	long seconds = text && atol(text) > 0 ? atol(text) : 3600;
	bool ended, flat;

	end_ns = scope_now() + seconds * SCOPE_SEC;
	printf("1..2\n");
	ended = scope_run(soak, NULL, &config) == 0 && !wrong;
	if (wrong)
		printf("# soak.c:%d: wrong\n", wrong);
	printf("%s 1 - soak::everything_did_what_it_should\n", ended ? "ok" : "not ok");
	printf("# %lu tasks, %lu rounds of parking for a child\n", tasks, parked);
	flat = is_flat();
	printf("%s 2 - soak::memory_is_flat\n", flat ? "ok" : "not ok");
	return ended && flat ? 0 : 1;
}
