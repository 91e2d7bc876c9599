/* perf/mixed.c: an echo server whose workers all compute, for perf/servers.py to ask.
 *
 * Usage: mixed checked|plain WORKERS PORT
 *
 * Beside the connections each worker has a task that computes without end, in jobs of 2 ms, of
 * which each is a child of its own.  `checked`: a checkpoint each few microseconds of a job;
 * `plain`: none, so that a worker is free only between two jobs.
 */
#include <scope.h>
#include <scope_net.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOB_NS (2 * SCOPE_MS)
enum { STEPS = 10000 }; /* about 5 us between two looks at the clock */

static bool checked;

static int compute(void *arg)
{
	int64_t until = scope_now() + JOB_NS;
	volatile unsigned *sum = arg;
	int i;

	do {
		for (i = 0; i < STEPS; i++)
			*sum += (unsigned)i;
		if (checked && scope_checkpoint() < 0)
			return 0;
	} while (scope_now() < until);
	return 0;
}

static int compute_on(void *arg)
{
	unsigned sum = 0;
	struct scope s;
	int rc;

	(void)arg;
	do {
		scope_open(&s);
		scope_spawn(&s, compute, &sum);
		rc = scope_close(&s);
	} while (rc == 0);
	return rc;
}

static int echo(struct scope_conn *conn, void *arg)
{
	char bytes[1024];
	size_t n;
	int rc;

	(void)arg;
	do {
		rc = scope_conn_read(conn, bytes, sizeof bytes, &n);
		if (rc == 0 && n > 0)
			rc = scope_conn_write(conn, bytes, n, NULL);
	} while (rc == 0 && n > 0);
	return 0;
}

static struct scope_config config;
static uint16_t port;

static int serve(void *arg)
{
	const struct scope_spawn_options own = {.flags = SCOPE_CONCURRENT | SCOPE_SERVICE};
	struct scope_listener *l;
	struct scope s;
	unsigned i;
	int rc = scope_tcp_listen("127.0.0.1", port, NULL, &l);

	(void)arg;
	if (rc < 0)
		return rc;
	scope_open(&s);
	for (i = 0; i < config.workers; i++)
		scope_spawn_with(&s, compute_on, NULL, &own);
	scope_fail(&s, scope_serve(l, echo, NULL, NULL), NULL);
	rc = scope_close(&s);
	scope_listener_close(l);
	return rc;
}

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[1], "checked") && strcmp(argv[1], "plain"))) {
		fprintf(stderr, "usage: mixed checked|plain WORKERS PORT\n");
		return 2;
	}
	checked = argv[1][0] == 'c';
	config.workers = (unsigned)atoi(argv[2]);
	port = (uint16_t)atoi(argv[3]);
	return scope_run(serve, NULL, &config) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
