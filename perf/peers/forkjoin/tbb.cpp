/* perf/peers/forkjoin/tbb.cpp: oneTBB, task_group throughout; "fib_invoke" is fib with
 * parallel_invoke. */
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_invoke.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include "workloads.h"

static long fib(int n)
{
	if (n < 2)
		return n;
	long a, b;
	tbb::task_group group;
	group.run([&a, n] { a = fib(n - 1); });
	b = fib(n - 2);
	group.wait();
	return a + b;
}

static long fib_invoke(int n)
{
	if (n < 2)
		return n;
	long a, b;
	tbb::parallel_invoke([&a, n] { a = fib_invoke(n - 1); },
			     [&b, n] { b = fib_invoke(n - 2); });
	return a + b;
}

static long queens(uint32_t all, uint32_t cols, uint32_t left, uint32_t right)
{
	if (cols == all)
		return 1;
	long part[32], sum = 0;
	int n = 0;
	tbb::task_group group;
	for (uint32_t open = all & ~(cols | left | right); open; open &= open - 1) {
		uint32_t bit = open & -open;
		long *out = &part[n++];
		group.run([=] {
			*out = queens(all, cols | bit, (left | bit) << 1, (right | bit) >> 1);
		});
	}
	group.wait();
	for (int i = 0; i < n; i++)
		sum += part[i];
	return sum;
}

static long uts(uint64_t state, int depth)
{
	long part[UTS_MAX_CHILDREN], sum = 1;
	int n = uts_children(state, depth);
	if (n == 0)
		return 1;
	tbb::task_group group;
	for (int i = 0; i < n; i++) {
		long *out = &part[i];
		uint64_t child = uts_child(state, i);
		group.run([=] { *out = uts(child, depth - 1); });
	}
	group.wait();
	for (int i = 0; i < n; i++)
		sum += part[i];
	return sum;
}

static long skynet(long first, long size)
{
	if (size == 1)
		return first;
	long part[10], sum = 0;
	tbb::task_group group;
	for (int i = 0; i < 10; i++) {
		long *out = &part[i];
		group.run([=] { *out = skynet(first + i * (size / 10), size / 10); });
	}
	group.wait();
	for (int i = 0; i < 10; i++)
		sum += part[i];
	return sum;
}

static long run_for(long n)
{
	return tbb::parallel_reduce(
		tbb::blocked_range<long>(1, n + 1), 0L,
		[](const tbb::blocked_range<long> &r, long sum) {
			for (long i = r.begin(); i != r.end(); i++)
				sum += collatz((uint64_t)i);
			return sum;
		},
		[](long a, long b) { return a + b; });
}

static long run_flat(long n)
{
	uint8_t *slots = (uint8_t *)calloc((size_t)n, 1);
	tbb::task_group group;
	for (long i = 0; i < n; i++) {
		uint8_t *slot = &slots[i];
		group.run([slot] { flat_leaf(slot); });
	}
	group.wait();
	long sum = flat_check(slots, n);
	free(slots);
	return sum;
}

static long run_fib(long n)
{
	return fib((int)n);
}
static long run_fib_invoke(long n)
{
	return fib_invoke((int)n);
}
static long run_nqueens(long n)
{
	return queens((1u << n) - 1, 0, 0, 0);
}
static long run_uts(long depth)
{
	return uts(UTS_ROOT, (int)depth);
}
static long run_skynet(long leaves)
{
	return skynet(0, leaves);
}

int main(int argc, char **argv)
{
	static const struct workload table[] = {
		{"fib", run_fib},         {"fib_invoke", run_fib_invoke},
		{"nqueens", run_nqueens}, {"uts", run_uts},
		{"skynet", run_skynet},   {"for", run_for},
		{"flat", run_flat},       {nullptr, nullptr}};
	struct options o = parse_options(argc, argv);
	tbb::global_control limit(tbb::global_control::max_allowed_parallelism, (size_t)o.workers);
	tbb::task_arena arena(o.workers);
	return arena.execute([&] { return run_workload(table, &o); });
}
