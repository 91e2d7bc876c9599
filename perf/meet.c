/* perf/meet.c: what it costs that tasks meet -- at channels and at a mutex.
 *
 * Called as     meet NAME [SIZE [WORKERS]]         SIZE 0: the usual one
 * and prints    NAME SIZE WORKERS VALUE            one line
 */
#include <scope.h>
#include <scope_chan.h>
#include <scope_sync.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A benchmark that goes wrong must not print a figure. */
static void check(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "%s: %s\n", what, strerror(-rc));
		exit(1);
	}
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SCOPE_SEC + t.tv_nsec;
}

static struct scope_chan *new_chan(size_t capacity)
{
	struct scope_chan *chan;

	check(scope_chan_new(sizeof(long), capacity, NULL, &chan), "channel");
	return chan;
}

/* ---- a round trip between two tasks through unbuffered channels ----------------- */

static struct scope_chan *ping, *pong;

static int answers(void *arg)
{
	long n = (long)(intptr_t)arg, item;

	while (n-- > 0)
		if (scope_chan_recv(ping, &item) || scope_chan_send(pong, &item))
			return -EPIPE;
	return 0;
}

/* ns a round trip */
static double pingpong(long n)
{
	struct scope s;
	int64_t start;
	long i, item;

	ping = new_chan(0);
	pong = new_chan(0);
	scope_open(&s);
	scope_spawn(&s, answers, (void *)(intptr_t)n);
	start = now_ns();
	for (i = 0; i < n; i++) {
		scope_chan_send(ping, &i);
		scope_chan_recv(pong, &item);
		check(item == i ? 0 : -EBADMSG, "pingpong");
	}
	start = now_ns() - start;
	check(scope_close(&s), "pingpong");
	scope_chan_free(ping);
	scope_chan_free(pong);
	return (double)start / (double)n;
}

/* ---- four tasks send to one through a channel of 128 ---------------------------- */

enum { SENDERS = 4 };

static int sends(void *arg)
{
	long n = (long)(intptr_t)arg, i;

	for (i = 0; i < n; i++)
		scope_chan_send(ping, &i);
	return 0;
}

/* millions of messages a second */
static double mpsc(long n)
{
	struct scope s;
	int64_t start;
	long i, item;

	ping = new_chan(128);
	n /= SENDERS;
	scope_open(&s);
	start = now_ns();
	for (i = 0; i < SENDERS; i++)
		scope_spawn(&s, sends, (void *)(intptr_t)n);
	for (i = 0; i < SENDERS * n; i++)
		check(scope_chan_recv(ping, &item), "mpsc");
	start = now_ns() - start;
	check(scope_close(&s), "mpsc");
	scope_chan_free(ping);
	return (double)(SENDERS * n) * 1e3 / (double)start;
}

/* ---- an item goes round through 1,000 tasks -------------------------------------- */

enum { RING = 1000 };

static struct scope_chan *ring[RING + 1];
static long rounds;

static int passes_on(void *arg)
{
	struct scope_chan **from = arg;
	long i, item;

	for (i = 0; i < rounds; i++)
		if (scope_chan_recv(from[0], &item) || scope_chan_send(from[1], &item))
			return -EPIPE;
	return 0;
}

/* ns a hop */
static double ring_hop(long n)
{
	struct scope s;
	int64_t start;
	long i, item;

	rounds = n / RING;
	for (i = 0; i <= RING; i++)
		ring[i] = new_chan(0);
	scope_open(&s);
	for (i = 0; i < RING; i++)
		scope_spawn(&s, passes_on, &ring[i]);
	start = now_ns();
	for (i = 0; i < rounds; i++) {
		scope_chan_send(ring[0], &i);
		scope_chan_recv(ring[RING], &item);
		check(item == i ? 0 : -EBADMSG, "ring");
	}
	start = now_ns() - start;
	check(scope_close(&s), "ring");
	for (i = 0; i <= RING; i++)
		scope_chan_free(ring[i]);
	return (double)start / (double)(rounds * (RING + 1));
}

/* ---- eight tasks at one mutex ----------------------------------------------------- */

enum { LOCKERS = 8 };

static struct scope_mutex mutex;
static volatile long counter;
static int holders_yield;

static int locks(void *arg)
{
	long n = (long)(intptr_t)arg;

	while (n-- > 0) {
		scope_mutex_lock(&mutex);
		counter = counter + 1;
		if (holders_yield)
			scope_yield();
		scope_mutex_unlock(&mutex);
	}
	return 0;
}

/* millions a second */
static double lock(long n)
{
	struct scope s;
	int64_t start = now_ns();
	int i;

	counter = 0;
	n /= LOCKERS;
	scope_open(&s);
	for (i = 0; i < LOCKERS; i++)
		scope_spawn(&s, locks, (void *)(intptr_t)n);
	check(scope_close(&s), "mutex");
	check(counter == LOCKERS * n ? 0 : -EBADMSG, "mutex");
	return (double)(LOCKERS * n) * 1e3 / (double)(now_ns() - start);
}

static double lock_and_yield(long n)
{
	holders_yield = 1;
	return lock(n);
}

/* ---- the program ------------------------------------------------------------------- */

static const struct bench {
	const char *name;
	long usual_size;
	double (*run)(long size);
	const char *value;
} table[] = {
	{"pingpong", 1000000, pingpong, "ns a round trip"},
	{"mpsc", 4000000, mpsc, "M messages a second"},
	{"ring", 2000000, ring_hop, "ns a hop"},
	{"mutex", 8000000, lock, "M a second"},
	{"mutex_yield", 800000, lock_and_yield, "M a second"},
	{NULL, 0, NULL, NULL},
};

static long size;
static unsigned workers = 1;

static int root(void *arg)
{
	const struct bench *bench = arg;

	bench->run(size / 10); /* stacks are touched, tasks spread out */
	printf("%s %ld %u %.6g\n", bench->name, size, workers, bench->run(size));
	return 0;
}

int main(int argc, char **argv)
{
	struct scope_config config = {0};
	const struct bench *bench = table;

	while (argc > 1 && bench->name && strcmp(bench->name, argv[1]) != 0)
		bench++;
	if (argc < 2 || argc > 4 || !bench->name) {
		fprintf(stderr, "usage: meet NAME [SIZE [WORKERS]]\n");
		for (bench = table; bench->name; bench++)
			fprintf(stderr, "  %-20s %9ld  %s\n", bench->name, bench->usual_size,
				bench->value);
		return 2;
	}
	size = argc > 2 ? atol(argv[2]) : 0;
	if (size <= 0)
		size = bench->usual_size;
	workers = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	config.workers = workers;
	return scope_run(root, (void *)bench, &config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
