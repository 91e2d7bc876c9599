/* perf/peers/forkjoin/workloads.h: what every C and C++ program of the comparison shares.
 *
 * The workloads' leaf arithmetic, the clock and the command line.  The Go and Rust
 * programs carry their own copies of the same arithmetic.
 *
 * Each program is called as      PROGRAM WORKLOAD SIZE WORKERS REPS
 * and prints one line:           WORKLOAD SIZE WORKERS RESULT SECONDS...
 */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline double now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- uts: a geometric tree (b0 = 4, fixed shape), splittable hash ---- */

#define UTS_MAX_CHILDREN 100
#define UTS_ROOT         7u /* 4,188,493 nodes at depth 10, about the size of "T1" */

static inline uint64_t mix64(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint64_t uts_child(uint64_t state, int i)
{
	return mix64(state + (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u);
}

/* Geometric with mean 4: P(children >= k) = 0.8^k. `depth` counts down. */
static inline int uts_children(uint64_t state, int depth)
{
	uint64_t u = mix64(state ^ 0x2545f4914f6cdd1du);
	uint64_t limit = UINT64_MAX / 5 * 4;
	int n = 0;
	if (depth == 0)
		return 0;
	while (u < limit && n < UTS_MAX_CHILDREN) {
		n++;
		limit = limit / 5 * 4;
	}
	return n;
}

/* ---- for: length of the Collatz sequence of n ---- */

static inline int collatz(uint64_t n)
{
	int steps = 0;
	while (n != 1) {
		n = (n & 1) ? 3 * n + 1 : n / 2;
		steps++;
	}
	return steps;
}

/* ---- flat: what one child does ---- */

static inline void flat_leaf(uint8_t *slot)
{
	*slot = 1;
}

static inline long flat_check(const uint8_t *slots, long n)
{
	long sum = 0;
	for (long i = 0; i < n; i++)
		sum += slots[i];
	return sum;
}

/* ---- command line ---- */

typedef long (*workload_fn)(long size);

struct workload {
	const char *name;
	workload_fn run;
};

struct options {
	const char *workload;
	long size;
	int workers;
	int reps;
};

static inline struct options parse_options(int argc, char **argv)
{
	struct options o;
	if (argc != 5) {
		fprintf(stderr, "usage: %s WORKLOAD SIZE WORKERS REPS\n", argv[0]);
		exit(2);
	}
	o.workload = argv[1];
	o.size = atol(argv[2]);
	o.workers = atoi(argv[3]);
	o.reps = atoi(argv[4]);
	return o;
}

static inline int run_workload(const struct workload *table, const struct options *o)
{
	for (; table->name; table++) {
		if (strcmp(table->name, o->workload) == 0) {
			double *seconds = (double *)malloc(sizeof *seconds * (size_t)o->reps);
			long result = 0;
			for (int i = 0; i < o->reps; i++) {
				double start = now_seconds();
				result = table->run(o->size);
				seconds[i] = now_seconds() - start;
			}
			printf("%s %ld %d %ld", o->workload, o->size, o->workers, result);
			for (int i = 0; i < o->reps; i++)
				printf(" %.6f", seconds[i]);
			printf("\n");
			free(seconds);
			return 0;
		}
	}
	fprintf(stderr, "no such workload: %s\n", o->workload);
	return 2;
}

#endif
