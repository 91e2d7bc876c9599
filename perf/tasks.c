/* perf/tasks.c: what green tasks cost -- stacks, switches, timers, cancels, idling.
 *
 * Called as     tasks NAME [SIZE [WORKERS]]        SIZE 0: the usual one
 * and prints    NAME SIZE WORKERS VALUE...         one line a figure, values as in `table`
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <scope.h>

struct bench {
	const char *name;
	long usual_size;
	void (*run)(long size);
	const char *values;
};

static unsigned workers = 1;

static void print_values(const char *name, long size, int count, const double *values)
{
	printf("%s %ld %u", name, size, workers);
	for (int i = 0; i < count; i++)
		printf(" %.6g", values[i]);
	printf("\n");
	fflush(stdout);
}

static void print_value(const char *name, long size, double value)
{
	print_values(name, size, 1, &value);
}

/* A benchmark that goes wrong must not print a figure. */
static void check(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		_exit(1);
	}
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * SCOPE_SEC + t.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static double resident_bytes(void)
{
	long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f)
		return 0;
	if (fscanf(f, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* p50 and p99 in microseconds; sorts `ns`. */
static void print_lateness(const char *name, long size, int64_t *ns, size_t count)
{
	double values[2];

	qsort(ns, count, sizeof *ns, by_value);
	values[0] = (double)ns[(count - 1) / 2] / 1e3;
	values[1] = (double)ns[(size_t)(0.99 * (double)(count - 1))] / 1e3;
	print_values(name, size, 2, values);
}

static void *must_calloc(size_t count, size_t size)
{
	void *p = calloc(count, size);

	if (!p)
		check(-ENOMEM, "calloc");
	return p;
}

/* ---- tasks that yield ------------------------------------------------------------------ */

static int yield_many(void *times)
{
	for (long i = (long)(intptr_t)times; i > 0; i--)
		scope_yield();
	return 0;
}

static void yield_in_scope(long tasks, long times)
{
	struct scope s;

	scope_open(&s);
	for (long i = 0; i < tasks; i++)
		scope_spawn(&s, yield_many, (void *)(intptr_t)times);
	check(scope_close(&s), "yield");
}

static double parked_child_ns(long count, long batch)
{
	int64_t start;

	yield_in_scope(batch, 1);
	start = now_ns();
	for (long i = 0; i < count; i += batch)
		yield_in_scope(batch, 1);
	return (double)(now_ns() - start) / (double)count;
}

/* Children that yield once, joined in batches of 1,000 and one by one. */
static void parked_child(long count)
{
	print_value("parked_child_batch", 1000, parked_child_ns(count, 1000));
	print_value("parked_child_single", 1, parked_child_ns(count / 2, 1));
}

static double switch_ns(long tasks, long switches)
{
	int64_t start;

	yield_in_scope(tasks, 10);
	start = now_ns();
	yield_in_scope(tasks, switches / tasks);
	return (double)(now_ns() - start) / (double)(switches / tasks * tasks);
}

static void yield(long switches)
{
	print_value("yield", 2, switch_ns(2, switches));
	print_value("yield", 1000, switch_ns(1000, switches));
}

/* ---- parked tasks ---------------------------------------------------------------------- */

static atomic_long parked;

static int park(void *arg)
{
	(void)arg;
	atomic_fetch_add_explicit(&parked, 1, memory_order_relaxed);
	return scope_sleep_until(SCOPE_NEVER);
}

static void wait_until_parked(long count)
{
	while (atomic_load(&parked) < count)
		scope_sleep_for(SCOPE_MS);
	scope_sleep_for(5 * SCOPE_MS);
}

static void spawn_parked(struct scope *s, long count)
{
	for (long i = 0; i < count; i++)
		check(scope_spawn(s, park, NULL), "spawn");
}

static void cancel_and_close(struct scope *s)
{
	scope_cancel(s);
	check(scope_close(s), "close of a cancelled scope");
}

/* Values: resident bytes a task, ns to make one. */
static void parked_bytes(long count)
{
	double values[2], before = resident_bytes();
	int64_t start = now_ns();
	struct scope s;

	scope_open(&s);
	spawn_parked(&s, count);
	wait_until_parked(count);
	values[0] = (resident_bytes() - before) / (double)count;
	values[1] = (double)(now_ns() - start) / (double)count;
	print_values("parked_bytes", count, 2, values);
	cancel_and_close(&s);
}

static int park_branch(void *leaves)
{
	struct scope s;

	scope_open(&s);
	spawn_parked(&s, (long)(intptr_t)leaves);
	return scope_close(&s);
}

/* From scope_cancel until everything is joined. */
static double cancel_ns(struct scope *s, long count)
{
	int64_t start;

	wait_until_parked(count);
	start = now_ns();
	cancel_and_close(s);
	return (double)(now_ns() - start) / (double)count;
}

/* 100 scopes of count / 100 parked tasks each, below one. */
static void cancel_tree(long count)
{
	enum { BRANCHES = 100 };
	struct scope s;

	scope_open(&s);
	for (int i = 0; i < BRANCHES; i++)
		scope_spawn(&s, park_branch, (void *)(intptr_t)(count / BRANCHES));
	print_value("cancel_tree", count, cancel_ns(&s, count / BRANCHES * BRANCHES));
}

static void cancel_flat(long count)
{
	struct scope s;

	scope_open(&s);
	spawn_parked(&s, count);
	print_value("cancel_flat", count, cancel_ns(&s, count));
}

/* 1,000 scopes in one another, each with count / 1000 parked tasks. */
enum { NESTED = 1000 };

static int park_nested(void *arg)
{
	long *left = arg, each = left[1];
	struct scope s;
	int rc;

	scope_open(&s);
	spawn_parked(&s, each);
	rc = --left[0] > 0 ? park_nested(arg) : scope_sleep_until(SCOPE_NEVER);
	scope_fail(&s, rc, NULL);
	return scope_close(&s);
}

static void cancel_nested(long count)
{
	long left[] = {NESTED, count / NESTED};
	struct scope s;

	scope_open(&s);
	scope_spawn(&s, park_nested, left);
	print_value("cancel_nested", count, cancel_ns(&s, count / NESTED * NESTED));
}

/* ---- time ------------------------------------------------------------------------------ */

static int sleep_ns(void *ns)
{
	return scope_sleep_for((int64_t)(intptr_t)ns);
}

/* Wall seconds of two rounds: the first touches the stacks for the first time. */
static void sleeps(long count)
{
	double seconds[2];

	for (int round = 0; round < 2; round++) {
		uint64_t state = 42;
		int64_t start = now_ns();
		struct scope s;

		scope_open(&s);
		for (long i = 0; i < count; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			scope_spawn(&s, sleep_ns,
				    (void *)(intptr_t)((state >> 33) % (uint64_t)SCOPE_SEC));
		}
		check(scope_close(&s), "sleeps");
		seconds[round] = (double)(now_ns() - start) / 1e9;
	}
	print_values("sleeps", count, 2, seconds);
}

enum { NAPS = 50 };

static int nap(void *arg)
{
	int64_t *late = arg;

	for (int i = 0; i < NAPS; i++) {
		int64_t start = now_ns();

		scope_sleep_for(SCOPE_MS);
		late[i] = now_ns() - start - SCOPE_MS;
	}
	return 0;
}

/* `sleepers` tasks that sleep 1 ms 50 times each. */
static void lateness(long sleepers)
{
	size_t count = (size_t)sleepers * NAPS;
	int64_t *late = must_calloc(count, sizeof *late);
	struct scope s;

	scope_open(&s);
	for (long i = 0; i < sleepers; i++)
		scope_spawn(&s, nap, &late[i * NAPS]);
	check(scope_close(&s), "lateness");
	print_lateness("lateness", sleepers, late, count);
	free(late);
}

static int wait_for_cancel(void)
{
	return scope_sleep_until(SCOPE_NEVER);
}

static int compute_until_cancel(void)
{
	int rc;

	do {
		rc = scope_checkpoint();
	} while (rc == 0);
	return rc;
}

static void deadline_with(const char *name, long rounds, int (*body)(void))
{
	int64_t *late = must_calloc((size_t)rounds, sizeof *late);

	for (long i = 0; i < rounds; i++) {
		struct scope_options options = {.deadline_ns = now_ns() + 2 * SCOPE_MS};
		struct scope s;

		check(scope_open_with(&s, &options), "deadline");
		body();
		if (scope_close(&s) != -ETIMEDOUT)
			check(-EPROTO, "deadline");
		late[i] = now_ns() - options.deadline_ns;
	}
	print_lateness(name, rounds, late, (size_t)rounds);
	free(late);
}

/* How late a deadline ends a task that is parked, and one that only computes. */
static void deadline(long rounds)
{
	deadline_with("deadline_parked", rounds, wait_for_cancel);
	deadline_with("deadline_computing", rounds, compute_until_cancel);
}

enum { TIMEOUT = 50 };

struct timeout {
	struct scope *busy;
	long count;
	int64_t *late;
};

static int spin(void *arg)
{
	volatile unsigned turns = 0;

	(void)arg;
	while (scope_checkpoint() == 0)
		for (turns = 0; turns < 1000; turns++)
			;
	return 0;
}

static int time_out(void *late)
{
	struct scope_options options = {.deadline_ns = now_ns() + TIMEOUT * SCOPE_MS};
	struct scope s;

	check(scope_open_with(&s, &options), "timeout");
	scope_sleep_until(SCOPE_NEVER);
	if (scope_close(&s) != -ETIMEDOUT)
		check(-EPROTO, "timeout");
	*(int64_t *)late = now_ns() - options.deadline_ns;
	return 0;
}

/* A thread that sleeps as long as the tasks do, while they do: what the machine gives. */
static atomic_int thread_stops;

static void *sleep_in_thread(void *worst)
{
	struct timespec time = {.tv_nsec = TIMEOUT * SCOPE_MS};
	int64_t start, late;

	while (!atomic_load(&thread_stops)) {
		start = now_ns();
		nanosleep(&time, NULL);
		late = now_ns() - start - TIMEOUT * SCOPE_MS;
		if (late > *(int64_t *)worst)
			*(int64_t *)worst = late;
	}
	return NULL;
}

static int all_time_out(void *arg)
{
	struct timeout *t = arg;
	struct scope s;

	scope_open(&s);
	for (long i = 0; i < t->count; i++)
		check(scope_spawn(&s, time_out, &t->late[i]), "timeouts");
	check(scope_close(&s), "timeouts");
	scope_cancel(t->busy);
	return 0;
}

/* Timeouts of 50 ms while every worker has two tasks that compute: the latest of them, and how
 * late a thread was that slept 50 ms at a time beside them. */
static void timeouts(long count)
{
	struct scope_spawn_options own_stack = {.flags = SCOPE_CONCURRENT};
	struct timeout t = {.count = count, .late = must_calloc((size_t)count, sizeof *t.late)};
	int64_t worst[2] = {0, 0};
	double values[2];
	pthread_t thread;
	struct scope s;

	t.busy = &s;
	if (pthread_create(&thread, NULL, sleep_in_thread, &worst[1]))
		check(-EAGAIN, "thread");
	scope_open(&s);
	for (unsigned i = 0; i < 2 * workers; i++)
		check(scope_spawn_with(&s, spin, NULL, &own_stack), "spin");
	check(scope_spawn_with(&s, all_time_out, &t, &own_stack), "timeouts");
	check(scope_close(&s), "timeouts");
	atomic_store(&thread_stops, 1);
	pthread_join(thread, NULL);
	for (long i = 0; i < count; i++)
		worst[0] = t.late[i] > worst[0] ? t.late[i] : worst[0];
	for (int i = 0; i < 2; i++)
		values[i] = (double)worst[i] / 1e6;
	print_values("timeouts", count, 2, values);
	free(t.late);
}

/* CPU milliseconds a second while the root and 100 tasks are parked for 2 s. */
static void idle(long tasks)
{
	int64_t start, cpu;
	struct scope s;

	scope_open(&s);
	spawn_parked(&s, tasks);
	wait_until_parked(tasks);
	scope_sleep_for(100 * SCOPE_MS);
	start = now_ns();
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	scope_sleep_for(2 * SCOPE_SEC);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	print_value("idle", tasks, (double)cpu * 1e3 / (double)(now_ns() - start));
	cancel_and_close(&s);
}

/* ---- calls that do nothing ------------------------------------------------------------- */

static void checkpoint(long times)
{
	int64_t start = now_ns();

	for (long i = 0; i < times; i++)
		check(scope_checkpoint(), "checkpoint");
	print_value("checkpoint", times, (double)(now_ns() - start) / (double)times);
}

/* In a task that opened 1,000 scopes. */
static void checkpoint_at(long depth, long times)
{
	struct scope s;

	scope_open(&s);
	if (depth > 1) {
		checkpoint_at(depth - 1, times);
	} else {
		int64_t start = now_ns();

		for (long i = 0; i < times; i++)
			check(scope_checkpoint(), "checkpoint_deep");
		print_value("checkpoint_deep", times, (double)(now_ns() - start) / (double)times);
	}
	check(scope_close(&s), "checkpoint_deep");
}

static void checkpoint_deep(long times)
{
	checkpoint_at(1000, times);
}

static void cancelled(long times)
{
	int64_t start = now_ns();

	for (long i = 0; i < times; i++)
		if (scope_cancelled())
			check(-ECANCELED, "cancelled");
	print_value("cancelled", times, (double)(now_ns() - start) / (double)times);
}

static void open_close(long times)
{
	int64_t start = now_ns();

	for (long i = 0; i < times; i++) {
		struct scope s;

		scope_open(&s);
		check(scope_close(&s), "open_close");
	}
	print_value("open_close", times, (double)(now_ns() - start) / (double)times);
}

static void open_close_deadline(long times)
{
	int64_t start = now_ns();
	struct scope_options options = {.deadline_ns = start + 1000 * SCOPE_SEC};

	for (long i = 0; i < times; i++) {
		struct scope s;

		check(scope_open_with(&s, &options), "open_close_deadline");
		check(scope_close(&s), "open_close_deadline");
	}
	print_value("open_close_deadline", times, (double)(now_ns() - start) / (double)times);
}

/* ---- main ------------------------------------------------------------------------------ */

static const struct bench table[] = {
	{"parked_child", 1000000, parked_child, "ns a child"},
	{"yield", 2000000, yield, "ns a switch"},
	{"parked_bytes", 100000, parked_bytes, "bytes, ns a task"},
	{"cancel_tree", 100000, cancel_tree, "ns a task"},
	{"cancel_flat", 1000000, cancel_flat, "ns a task"},
	{"cancel_nested", 1000000, cancel_nested, "ns a task"},
	{"sleeps", 1000000, sleeps, "s first round, s second round"},
	{"lateness", 1000, lateness, "us p50, us p99"},
	{"deadline", 200, deadline, "us p50, us p99"},
	{"timeouts", 10000, timeouts, "ms the latest, ms a thread beside"},
	{"idle", 100, idle, "CPU ms a second"},
	{"checkpoint", 10000000, checkpoint, "ns"},
	{"checkpoint_deep", 10000000, checkpoint_deep, "ns"},
	{"cancelled", 10000000, cancelled, "ns"},
	{"open_close", 5000000, open_close, "ns"},
	{"open_close_deadline", 5000000, open_close_deadline, "ns"},
	{NULL, 0, NULL, NULL},
};

struct job {
	const struct bench *bench;
	long size;
};

static int root(void *arg)
{
	struct job *job = arg;

	job->bench->run(job->size);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: tasks NAME [SIZE [WORKERS]]\n");
	for (const struct bench *b = table; b->name; b++)
		fprintf(stderr, "  %-20s %9ld  %s\n", b->name, b->usual_size, b->values);
	return 2;
}

int main(int argc, char **argv)
{
	struct scope_config config = {0};
	struct job job = {.bench = table};

	if (argc < 2 || argc > 4)
		return usage();
	while (job.bench->name && strcmp(job.bench->name, argv[1]) != 0)
		job.bench++;
	if (!job.bench->name)
		return usage();
	if (argc > 2)
		job.size = atol(argv[2]);
	if (job.size <= 0)
		job.size = job.bench->usual_size;
	if (argc > 3)
		workers = (unsigned)atoi(argv[3]);
	config.workers = workers;
	return scope_run(root, &job, &config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
