/* perf/forkjoin.c: libscope's share of the fork-join comparison.
 *
 * The algorithms are those of perf/peers/forkjoin, a task at every node.  Command line and
 * output are those of workloads.h; the clock runs inside scope_run, so starting the workers
 * is not measured.
 */
#include <stdatomic.h>
#include <unistd.h>

#include <scope.h>
#include <scope_observe.h>
#include <scope_parallel.h>

#include "peers/forkjoin/workloads.h"

/* A workload that goes wrong must not print a time. */
static void check(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		_exit(1);
	}
}

/* ---- fib: a scope and one spawn at every node ---------------------------------------- */

struct fib {
	long n, result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left, right;
	struct scope s;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	left.n = f->n - 1;
	right.n = f->n - 2;
	scope_open(&s);
	scope_spawn(&s, fib, &left);
	scope_fail(&s, fib(&right), NULL);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

/* As fib, but the body calls scope_fail only when there is something to record: the
 * difference is the price of one call with variable arguments. */
static int fib_bare(void *arg)
{
	struct fib *f = arg, left, right;
	struct scope s;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	left.n = f->n - 1;
	right.n = f->n - 2;
	scope_open(&s);
	scope_spawn(&s, fib_bare, &left);
	rc = fib_bare(&right);
	if (rc)
		scope_fail(&s, rc, NULL);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

static int fib_both(void *arg)
{
	struct fib *f = arg, left, right;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	left.n = f->n - 1;
	right.n = f->n - 2;
	rc = scope_both(fib_both, &left, fib_both, &right);
	f->result = left.result + right.result;
	return rc;
}

static long run_fib_task(scope_task_fn *fn, long n, const char *name)
{
	struct fib f = {n, 0};

	check(fn(&f), name);
	return f.result;
}

static long run_fib(long n)
{
	return run_fib_task(fib, n, "fib");
}

static long run_fib_bare(long n)
{
	return run_fib_task(fib_bare, n, "fib_bare");
}

static long run_fib_both(long n)
{
	return run_fib_task(fib_both, n, "fib_both");
}

/* ---- nqueens --------------------------------------------------------------------------- */

struct queens {
	uint32_t all, cols, left, right;
	long result;
};

static int queens(void *arg)
{
	struct queens *q = arg, part[32];
	struct scope s;
	long sum = 0;
	int n = 0, rc;

	if (q->cols == q->all) {
		q->result = 1;
		return 0;
	}
	scope_open(&s);
	for (uint32_t open = q->all & ~(q->cols | q->left | q->right); open; open &= open - 1) {
		uint32_t bit = open & -open;

		part[n].all = q->all;
		part[n].cols = q->cols | bit;
		part[n].left = (q->left | bit) << 1;
		part[n].right = (q->right | bit) >> 1;
		scope_spawn(&s, queens, &part[n]);
		n++;
	}
	rc = scope_close(&s);
	for (int i = 0; i < n; i++)
		sum += part[i].result;
	q->result = sum;
	return rc;
}

static long run_nqueens(long n)
{
	struct queens q = {(1u << n) - 1, 0, 0, 0, 0};

	check(queens(&q), "nqueens");
	return q.result;
}

/* ---- uts ------------------------------------------------------------------------------- */

struct uts {
	uint64_t state;
	int depth;
	long result;
};

static int uts(void *arg)
{
	struct uts *u = arg, part[UTS_MAX_CHILDREN];
	struct scope s;
	long sum = 1;
	int n = uts_children(u->state, u->depth), rc;

	if (n == 0) {
		u->result = 1;
		return 0;
	}
	scope_open(&s);
	for (int i = 0; i < n; i++) {
		part[i].state = uts_child(u->state, i);
		part[i].depth = u->depth - 1;
		scope_spawn(&s, uts, &part[i]);
	}
	rc = scope_close(&s);
	for (int i = 0; i < n; i++)
		sum += part[i].result;
	u->result = sum;
	return rc;
}

static long run_uts(long depth)
{
	struct uts u = {UTS_ROOT, (int)depth, 0};

	check(uts(&u), "uts");
	return u.result;
}

/* ---- skynet ---------------------------------------------------------------------------- */

struct skynet {
	long first, size, result;
};

static int skynet(void *arg)
{
	struct skynet *k = arg, part[10];
	struct scope s;
	long sum = 0;
	int rc;

	if (k->size == 1) {
		k->result = k->first;
		return 0;
	}
	scope_open(&s);
	for (int i = 0; i < 10; i++) {
		part[i].first = k->first + i * (k->size / 10);
		part[i].size = k->size / 10;
		scope_spawn(&s, skynet, &part[i]);
	}
	rc = scope_close(&s);
	for (int i = 0; i < 10; i++)
		sum += part[i].result;
	k->result = sum;
	return rc;
}

static long run_skynet(long leaves)
{
	struct skynet k = {0, leaves, 0};

	check(skynet(&k), "skynet");
	return k.result;
}

/* ---- for ------------------------------------------------------------------------------- */

static void sum_init(void *accumulator, void *arg)
{
	(void)arg;
	*(long *)accumulator = 0;
}

static int sum_body(size_t begin, size_t end, void *accumulator, void *arg)
{
	long sum = 0;

	(void)arg;
	for (size_t i = begin; i < end; i++)
		sum += collatz(i);
	*(long *)accumulator += sum;
	return 0;
}

static void sum_combine(void *left, const void *right, void *arg)
{
	(void)arg;
	*(long *)left += *(const long *)right;
}

static long run_for(long n)
{
	struct scope_reducer reducer = {
		.size = sizeof(long), .init = sum_init, .body = sum_body, .combine = sum_combine};
	long sum = -1;

	check(scope_reduce(1, (size_t)n + 1, 0, &reducer, &sum), "for");
	return sum;
}

/* ---- flat: n children of one scope ----------------------------------------------------- */

static int leaf(void *slot)
{
	flat_leaf(slot);
	return 0;
}

static void spawn_each(uint8_t *slots, long n)
{
	struct scope s;

	scope_open(&s);
	for (long i = 0; i < n; i++)
		scope_spawn(&s, leaf, &slots[i]);
	check(scope_close(&s), "flat");
}

static void spawn_range(uint8_t *slots, long n)
{
	struct scope s;

	scope_open(&s);
	scope_spawn_n(&s, leaf, slots, 1, (size_t)n);
	check(scope_close(&s), "flat_n");
}

static long run_flat_with(void (*spawn)(uint8_t *slots, long n), long n)
{
	uint8_t *slots = calloc((size_t)n, 1);
	long sum;

	if (!slots)
		check(-ENOMEM, "flat");
	spawn(slots, n);
	sum = flat_check(slots, n);
	free(slots);
	return sum;
}

static long run_flat(long n)
{
	return run_flat_with(spawn_each, n);
}

static long run_flat_n(long n)
{
	return run_flat_with(spawn_range, n);
}

/* A field of /proc/self/status in bytes. */
static long status_bytes(const char *field)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		if (strncmp(line, field, strlen(field)) == 0)
			kib = atol(line + strlen(field) + 1);
	fclose(f);
	return kib * 1024;
}

/* The result is the peak over what was resident before the first spawn; the slots are
 * touched before, so they do not count.  Only the first repetition means something. */
static long run_peak(void (*spawn)(uint8_t *slots, long n), long n)
{
	uint8_t *slots = malloc((size_t)n);
	long before;

	if (!slots)
		check(-ENOMEM, "peak");
	memset(slots, 2, (size_t)n);
	before = status_bytes("VmRSS");
	spawn(slots, n);
	if (flat_check(slots, n) != n)
		check(-EIO, "peak");
	free(slots);
	return status_bytes("VmHWM") - before;
}

static long run_flat_peak(long n)
{
	return run_peak(spawn_each, n);
}

static long run_flat_n_peak(long n)
{
	return run_peak(spawn_range, n);
}

/* ---- steals: n unstarted tasks of one scope are taken by other workers ------------------ */

static uint64_t stolen(void)
{
	struct scope_stats stats;

	check(scope_stats_get(&stats), "scope_stats_get");
	return stats.tasks_stolen;
}

static int count_one(void *counter)
{
	atomic_fetch_add_explicit((atomic_long *)counter, 1, memory_order_relaxed);
	return 0;
}

/* The owner never runs a child before close and stays off checkpoints, so what runs while
 * it waits was stolen.  Result: n, or what was missed as a negative number. */
static long run_steals(long n)
{
	enum { BATCH = 64 };
	uint64_t before = stolen();
	atomic_long ran = 0;
	long spawned = 0, taken = 0;
	double hopeless = now_seconds() + 60;
	struct scope s;

	scope_open(&s);
	while (taken < n && now_seconds() < hopeless) {
		for (int i = 0; i < BATCH; i++)
			scope_spawn(&s, count_one, &ran);
		spawned += BATCH;
		for (double give_up = now_seconds() + 0.01;
		     atomic_load(&ran) < spawned && now_seconds() < give_up;)
			;
		taken = (long)(stolen() - before);
	}
	check(scope_close(&s), "steals");
	if (atomic_load(&ran) != spawned)
		return atomic_load(&ran) - spawned;
	return taken < n ? taken - n : n;
}

/* ---- main ------------------------------------------------------------------------------ */

static int root(void *arg)
{
	static const struct workload table[] = {
		{"fib", run_fib},
		{"fib_bare", run_fib_bare},
		{"fib_both", run_fib_both},
		{"nqueens", run_nqueens},
		{"uts", run_uts},
		{"skynet", run_skynet},
		{"for", run_for},
		{"flat", run_flat},
		{"flat_n", run_flat_n},
		{"flat_peak", run_flat_peak},
		{"flat_n_peak", run_flat_n_peak},
		{"steals", run_steals},
		{NULL, NULL},
	};

	return run_workload(table, arg);
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct scope_config config = {.workers = (unsigned)o.workers};

	return scope_run(root, &o, &config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
