/* examples/scope-seeds/main.c: finds a bug in the order of tasks by trying seeds.
 *
 * Usage: scope-seeds [--fixed] [SEED]
 *
 * Five clients share a pool of two connections.  A client that had to wait notes that before
 * it takes one; noting parks, and the check from before is not made again.  The ordinary
 * schedule does not show it.  A seed decides at each call that may park which ready task goes
 * on, always in the same way: the program tries one after the other until the pool is
 * overdrawn, and given that seed it shows what happened.
 *
 * Exit 0: the pool is never overdrawn; 1: it is; 2: usage, or the run failed.
 */
#include "../args.h"
#include <scope_observe.h>

enum { CLIENTS = 5, CONNECTIONS = 2, HOLD_MS = 4, SEEDS = 1000 };

struct pool {
	int used, most; /* connections in use; the most at a time */
	bool recheck;   /* the fix */
	bool loud;      /* tells what happens */
	uint64_t trace; /* of the schedule */
};

struct client {
	struct pool *pool;
	int number;
};

static void tell(const struct client *client, const char *what)
{
	if (client->pool->loud)
		printf("  client %d %s, %d in use\n", client->number, what, client->pool->used);
}

/* As if it were written to a file or sent to a server. */
static int note_waiting(const struct client *client)
{
	tell(client, "notes that it waited");
	return scope_sleep_for(SCOPE_MS);
}

static int take_connection(struct client *client)
{
	struct pool *pool = client->pool;
	bool waited;
	int rc = 0;

	do {
		waited = false;
		while (rc == 0 && pool->used >= CONNECTIONS) {
			waited = true;
			rc = scope_sleep_for((client->number % 3 + 2) * SCOPE_MS);
		}
		if (rc == 0 && waited)
			rc = note_waiting(client);
	} while (rc == 0 && waited && pool->recheck);
	if (rc)
		return rc;
	pool->used++;
	if (pool->used > pool->most)
		pool->most = pool->used;
	tell(client, "takes a connection");
	return 0;
}

static int be_client(void *arg)
{
	struct client *client = arg;
	int rc = take_connection(client), i;

	for (i = 0; rc == 0 && i < HOLD_MS; i++)
		rc = scope_sleep_for(SCOPE_MS);
	client->pool->used--;
	tell(client, "gives it back");
	return rc;
}

static int serve(void *arg)
{
	struct client client[CLIENTS];
	struct scope_stats stats;
	struct pool *pool = arg;
	struct scope s;
	int i, rc;

	scope_open(&s);
	for (i = 0; i < CLIENTS; i++) {
		client[i] = (struct client){pool, i + 1};
		scope_spawn(&s, be_client, &client[i]);
	}
	rc = scope_close(&s);
	scope_stats_get(&stats);
	pool->trace = stats.trace;
	return rc;
}

/* Seed 0: the ordinary schedule, though on one worker. */
static bool overdraws(struct pool *pool, uint64_t seed)
{
	struct scope_config config = {
		.workers = 1, .flags = SCOPE_VIRTUAL_CLOCK | SCOPE_NO_SIGNALS, .seed = seed};
	int rc;

	pool->used = pool->most = 0;
	rc = scope_run(serve, pool, &config);
	if (rc) {
		fprintf(stderr, "scope-seeds: %s\n", strerror(-rc));
		exit(2);
	}
	return pool->most > CONNECTIONS;
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"usage: scope-seeds [--fixed] [SEED]\n"
		"Finds a bug in the order of tasks by trying seeds; see scope-seeds(1).\n";
	struct pool pool = {.recheck = argc > 1 && strcmp(argv[1], "--fixed") == 0};
	uint64_t seed = argc > 1 + pool.recheck ? strtoull(argv[1 + pool.recheck], NULL, 0) : 0;
	uint64_t last = seed ? seed : SEEDS;

	if (args_help(argc, argv, usage))
		return 0;
	if (argc > 2 + pool.recheck ||
	    (argc > 1 + pool.recheck && (!seed || seed == UINT64_MAX))) {
		fputs(usage, stderr);
		return 2;
	}
	pool.loud = seed != 0;
	if (!seed && !overdraws(&pool, 0))
		printf("the ordinary schedule: at most %d of %d connections\n", pool.most,
		       CONNECTIONS);
	for (seed = seed ? seed : 1; seed <= last; seed++) {
		if (!overdraws(&pool, seed))
			continue;
		printf("seed %llu: %d of %d connections in use (trace %016llx)\n",
		       (unsigned long long)seed, pool.most, CONNECTIONS,
		       (unsigned long long)pool.trace);
		printf("again: scope-seeds %llu\n", (unsigned long long)seed);
		return 1;
	}
	printf("%s: at most %d of %d connections\n", pool.loud ? "this seed" : "1,000 seeds",
	       pool.most, CONNECTIONS);
	return 0;
}
