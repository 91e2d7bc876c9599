/* perf/peers/forkjoin/serial.c: the same algorithms as plain recursive C, the yardstick. */
#include "workloads.h"

static long fib(int n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static long run_fib(long n)
{
	return fib((int)n);
}

static long queens(uint32_t all, uint32_t cols, uint32_t left, uint32_t right)
{
	long sum = 0;
	if (cols == all)
		return 1;
	for (uint32_t open = all & ~(cols | left | right); open; open &= open - 1) {
		uint32_t bit = open & -open;
		sum += queens(all, cols | bit, (left | bit) << 1, (right | bit) >> 1);
	}
	return sum;
}

static long run_nqueens(long n)
{
	return queens((1u << n) - 1, 0, 0, 0);
}

static long uts(uint64_t state, int depth)
{
	int n = uts_children(state, depth);
	long sum = 1;
	for (int i = 0; i < n; i++)
		sum += uts(uts_child(state, i), depth - 1);
	return sum;
}

static long run_uts(long depth)
{
	return uts(UTS_ROOT, (int)depth);
}

static long skynet(long first, long size)
{
	long sum = 0;
	if (size == 1)
		return first;
	for (int i = 0; i < 10; i++)
		sum += skynet(first + i * (size / 10), size / 10);
	return sum;
}

static long run_skynet(long leaves)
{
	return skynet(0, leaves);
}

static long run_for(long n)
{
	long sum = 0;
	for (long i = 1; i <= n; i++)
		sum += collatz((uint64_t)i);
	return sum;
}

static long run_flat(long n)
{
	uint8_t *slots = calloc((size_t)n, 1);
	long sum;
	for (long i = 0; i < n; i++) {
		flat_leaf(&slots[i]);
		__asm__ volatile("" ::: "memory"); /* keep the stores one by one */
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
	return run_workload(table, &o);
}
