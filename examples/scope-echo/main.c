/* examples/scope-echo/main.c: sends back what it is sent, as RFC 862 says, to many at once.
 *
 * Usage: scope-echo [-a ADDRESS] [-p PORT] [-u PATH] [-c MOST] [-t IDLE_S] [-g GRACE_S]
 *
 *   -a  an address of this machine, in digits (without: all)
 *   -p  the port (without: one that is free)
 *   -u  a Unix socket at PATH instead
 *   -c  so many connections at once; others wait to be accepted (no limit)
 *   -t  closes a connection that was silent for so long (never)
 *   -g  after Ctrl-C or SIGTERM connections have so long to end (5 s)
 *
 * It says where it listens, and at the end what it did.  Every connection is a task, which reads
 * and writes as if it were alone; limits and the end are matters of scopes.
 *
 * Exit 0: stopped by a signal, all connections ended within the grace period; 1: some had to be
 * broken off, or the run failed; 2: usage.
 */
#include "../args.h"
#include <inttypes.h>
#include <scope_net.h>
#include <stdatomic.h>
#include <unistd.h>

struct server {
	const char *address, *path;
	uint16_t port;
	bool listens;
	unsigned most;
	int64_t idle_ns, grace_ns;
	atomic_uint_fast64_t connections, bytes, broken;
};

static const char usage[] =
	"usage: scope-echo [-a ADDRESS] [-p PORT] [-u PATH] [-c MOST] [-t IDLE_S] [-g GRACE_S]\n"
	"Sends back what it is sent, to many at once; see scope-echo(1).\n";

/* ---- a connection -------------------------------------------------------------------------- */

/* Until the other side has no more to say; `idle`, if there is one, is moved on by each word. */
static int echo(struct server *server, struct scope_conn *c, struct scope *idle)
{
	char buffer[1024]; /* a connection that waits shall fit into one page */
	size_t n;
	int rc;

	for (;;) {
		if (idle)
			scope_set_deadline(idle, scope_now() + server->idle_ns);
		rc = scope_conn_read(c, buffer, sizeof buffer, &n);
		if (rc < 0 || n == 0)
			return rc;
		rc = scope_conn_write(c, buffer, n, NULL);
		if (rc < 0)
			return rc;
		atomic_fetch_add_explicit(&server->bytes, n, memory_order_relaxed);
	}
}

static int serve_one(struct scope_conn *c, void *arg)
{
	struct server *server = arg;
	struct scope idle;
	int rc;

	atomic_fetch_add(&server->connections, 1);
	if (server->idle_ns == 0) {
		rc = echo(server, c, NULL);
	} else {
		scope_open(&idle);
		scope_fail(&idle, echo(server, c, &idle), NULL);
		rc = scope_close(&idle);
	}
	/* A client that breaks off, or falls silent, is its own affair. */
	if (rc == -ECANCELED)
		atomic_fetch_add(&server->broken, 1);
	return rc == -ECANCELED ? rc : 0;
}

/* ---- the server ---------------------------------------------------------------------------- */

static int run(void *arg)
{
	struct server *server = arg;
	const struct scope_options limits = {.max_tasks = server->most};
	const struct scope_serve_options options = {.scope = &limits, .name = "client"};
	struct scope_listener *l;
	int rc;

	if (server->path)
		rc = scope_unix_listen(server->path, NULL, &l);
	else
		rc = scope_tcp_listen(server->address, server->port, NULL, &l);
	if (rc < 0) {
		fprintf(stderr, "scope-echo: can't listen at %s port %u: %s\n",
			server->path ? server->path : server->address ? server->address : "any",
			server->port, strerror(-rc));
		return rc;
	}
	server->listens = true;
	if (server->path)
		printf("listening at %s\n", server->path);
	else
		printf("listening at port %d\n", scope_listener_port(l));
	fflush(stdout);
	rc = scope_serve(l, serve_one, server, &options);
	scope_listener_close(l);
	if (server->path)
		unlink(server->path);
	return rc;
}

static bool parse(struct server *server, int argc, char **argv)
{
	int option;
	long long number;
	bool good = true;

	while (good && (option = getopt(argc, argv, "a:p:u:c:t:g:")) != -1) {
		switch (option) {
		case 'a': server->address = optarg; break;
		case 'p':
			good = args_number(optarg, UINT16_MAX, &number);
			server->port = (uint16_t)number;
			break;
		case 'u': server->path = optarg; break;
		case 'c':
			good = args_number(optarg, UINT32_MAX, &number);
			server->most = (unsigned)number;
			break;
		case 't': good = args_time(optarg, SCOPE_SEC, &server->idle_ns); break;
		case 'g': good = args_time(optarg, SCOPE_SEC, &server->grace_ns); break;
		default: good = false;
		}
	}
	return good && optind == argc;
}

int main(int argc, char **argv)
{
	struct server server = {.grace_ns = 5 * SCOPE_SEC};
	struct scope_config config = {0};
	int rc, signal;

	if (args_help(argc, argv, usage))
		return 0;
	if (!parse(&server, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	config.grace_ns = server.grace_ns;
	config.out_signal = &signal;
	rc = scope_run(run, &server, &config);
	if (!server.listens)
		return EXIT_FAILURE;
	printf("%" PRIuFAST64 " connections, %" PRIuFAST64 " bytes, %" PRIuFAST64 " broken off\n",
	       atomic_load(&server.connections), atomic_load(&server.bytes),
	       atomic_load(&server.broken));
	return rc || atomic_load(&server.broken) ? EXIT_FAILURE : EXIT_SUCCESS;
}
