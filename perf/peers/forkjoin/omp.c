/* perf/peers/forkjoin/omp.c: OpenMP tasks, built with libgomp and with libomp. */
#include <omp.h>

#include "workloads.h"

static long fib(int n)
{
	long a, b;
	if (n < 2)
		return n;
#pragma omp task shared(a) firstprivate(n)
	a = fib(n - 1);
	b = fib(n - 2);
#pragma omp taskwait
	return a + b;
}

static long queens(uint32_t all, uint32_t cols, uint32_t left, uint32_t right)
{
	long part[32], sum = 0;
	int n = 0;
	if (cols == all)
		return 1;
	for (uint32_t open = all & ~(cols | left | right); open; open &= open - 1) {
		uint32_t bit = open & -open;
		long *out = &part[n++];
#pragma omp task firstprivate(all, cols, left, right, bit, out)
		*out = queens(all, cols | bit, (left | bit) << 1, (right | bit) >> 1);
	}
#pragma omp taskwait
	for (int i = 0; i < n; i++)
		sum += part[i];
	return sum;
}

static long uts(uint64_t state, int depth)
{
	long part[UTS_MAX_CHILDREN], sum = 1;
	int n = uts_children(state, depth);
	for (int i = 0; i < n; i++) {
		long *out = &part[i];
		uint64_t child = uts_child(state, i);
#pragma omp task firstprivate(child, depth, out)
		*out = uts(child, depth - 1);
	}
#pragma omp taskwait
	for (int i = 0; i < n; i++)
		sum += part[i];
	return sum;
}

static long skynet(long first, long size)
{
	long part[10], sum = 0;
	if (size == 1)
		return first;
	for (int i = 0; i < 10; i++) {
		long *out = &part[i];
#pragma omp task firstprivate(first, size, i, out)
		*out = skynet(first + i * (size / 10), size / 10);
	}
#pragma omp taskwait
	for (int i = 0; i < 10; i++)
		sum += part[i];
	return sum;
}

#define ROOT(name, call)                                                                           \
	static long run_##name(long n)                                                             \
	{                                                                                          \
		long result = 0;                                                                   \
		_Pragma("omp parallel") _Pragma("omp single") result = call;                       \
		return result;                                                                     \
	}

ROOT(fib, fib((int)n))
ROOT(nqueens, queens((1u << n) - 1, 0, 0, 0))
ROOT(uts, uts(UTS_ROOT, (int)n))
ROOT(skynet, skynet(0, n))

static long run_for(long n)
{
	long sum = 0;
#pragma omp parallel for schedule(dynamic, 1024) reduction(+ : sum)
	for (long i = 1; i <= n; i++)
		sum += collatz((uint64_t)i);
	return sum;
}

static long run_flat(long n)
{
	uint8_t *slots = calloc((size_t)n, 1);
	long sum;
#pragma omp parallel
#pragma omp single
	{
		for (long i = 0; i < n; i++) {
			uint8_t *slot = &slots[i];
#pragma omp task firstprivate(slot)
			flat_leaf(slot);
		}
#pragma omp taskwait
	}
	sum = flat_check(slots, n);
	free(slots);
	return sum;
}

int main(int argc, char **argv)
{
	static const struct workload table[] = {{"fib", run_fib}, {"nqueens", run_nqueens},
						{"uts", run_uts}, {"skynet", run_skynet},
						{"for", run_for}, {"flat", run_flat},
						{NULL, NULL}};
	struct options o = parse_options(argc, argv);
	omp_set_num_threads(o.workers);
	return run_workload(table, &o);
}
