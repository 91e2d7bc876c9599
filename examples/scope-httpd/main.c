/* examples/scope-httpd/main.c: serves the files of a directory over HTTP/1.1.
 *
 * scope-httpd --help says how.  Every connection is a task; limits and the end are matters of
 * scopes.
 *
 * Exit 0: stopped by a signal, all requests were answered within the grace period; 1: some had to
 * be broken off, or the run failed; 2: usage.
 */
#include "../args.h"
#include "httpd.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* ---- options --------------------------------------------------------------------------------- */

static const char help[] =
	"usage: scope-httpd [OPTION...] [DIRECTORY]\n"
	"\n"
	"Serves the files of DIRECTORY (.) over HTTP/1.1.\n"
	"\n"
	"  -a, --address=ADDRESS    an address of this machine, in digits (all)\n"
	"  -p, --port=PORT          the port; 0: one that is free (8080)\n"
	"  -i, --list               lists directories without an index.html\n"
	"  -l, --log=FILE           the access log; -: standard output (none)\n"
	"  -s, --status=WHO         who sees /tasks and /metrics: nobody, local, all (local)\n"
	"  -c, --connections=N      so many at once, others wait; 0: no limit (20000)\n"
	"  -n, --per-address=N      so many of one address, others get 429; 0: no limit (0)\n"
	"  -k, --keep-alive=S       closes a connection that is silent so long (60)\n"
	"  -r, --request-time=S     a request is there so long after its first byte, or 408 (10)\n"
	"  -w, --write-time=S       some of an answer is taken in each so long (30)\n"
	"  -b, --body=BYTES         a longer body is 413 (1048576)\n"
	"  -g, --grace=S            after SIGTERM requests have so long to end (10)\n"
	"  -C, --certificate=FILE   serves HTTPS: a certificate and those above it, in PEM\n"
	"  -K, --key=FILE           its key\n"
	"  -h, --help               this\n"
	"\n"
	"SIGTERM and Ctrl-C end it, a second one at once; SIGHUP has it open the log anew.\n";

static const struct option names[] = {
	{"address", required_argument, NULL, 'a'},
	{"port", required_argument, NULL, 'p'},
	{"list", no_argument, NULL, 'i'},
	{"log", required_argument, NULL, 'l'},
	{"status", required_argument, NULL, 's'},
	{"connections", required_argument, NULL, 'c'},
	{"per-address", required_argument, NULL, 'n'},
	{"keep-alive", required_argument, NULL, 'k'},
	{"request-time", required_argument, NULL, 'r'},
	{"write-time", required_argument, NULL, 'w'},
	{"body", required_argument, NULL, 'b'},
	{"grace", required_argument, NULL, 'g'},
	{"certificate", required_argument, NULL, 'C'},
	{"key", required_argument, NULL, 'K'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage(const char *word, const char *why)
{
	if (word)
		fprintf(stderr, "'%s' %s\n", word, why);
	fprintf(stderr, "usage: scope-httpd [OPTION...] [DIRECTORY], --help has the options\n");
	return 2;
}

/* Seconds, with a fraction; more than none. */
static bool parse_seconds(const char *text, int64_t *out_ns)
{
	return args_time(text, SCOPE_SEC, out_ns) && *out_ns > 0;
}

static bool parse_status(const char *text, enum status_for *out)
{
	static const char *const words[] = {"nobody", "local", "all"};
	unsigned i;

	for (i = 0; i < 3; i++)
		if (strcmp(text, words[i]) == 0) {
			*out = (enum status_for)i;
			return true;
		}
	return false;
}

static bool is_address(const char *text)
{
	struct in6_addr ignored;

	return inet_pton(AF_INET, text, &ignored) == 1 || inet_pton(AF_INET6, text, &ignored) == 1;
}

static bool set_option(struct settings *set, int option, const char *value)
{
	long long number = 0;
	bool good;

	switch (option) {
	case 'a': set->address = value; return is_address(value);
	case 'p':
		good = args_number(value, UINT16_MAX, &number);
		set->port = (uint16_t)number;
		return good;
	case 'i': set->list = true; return true;
	case 'l': set->log = value; return true;
	case 's': return parse_status(value, &set->status);
	case 'c':
		good = args_number(value, 1 << 24, &number);
		set->most = (unsigned)number;
		return good;
	case 'n':
		good = args_number(value, 1 << 24, &number);
		set->most_each = (unsigned)number;
		return good;
	case 'k': return parse_seconds(value, &set->idle_ns);
	case 'r': return parse_seconds(value, &set->request_ns);
	case 'w': return parse_seconds(value, &set->write_ns);
	case 'b':
		good = args_number(value, INT64_MAX, &number);
		set->body_most = (uint64_t)number;
		return good;
	case 'g': return parse_seconds(value, &set->grace_ns);
	case 'C': set->certificate = value; return true;
	case 'K': set->key = value; return true;
	default: return false;
	}
}

/* -1: go on; else the status to exit with. */
static int parse(struct settings *set, int argc, char **argv)
{
	static const char letters[] = "a:p:il:s:c:n:k:r:w:b:g:C:K:h";
	char why[40];
	int option;

	while ((option = getopt_long(argc, argv, letters, names, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (option == '?')
			return usage(NULL, NULL);
		if (!set_option(set, option, optarg)) {
			snprintf(why, sizeof why, "is no value of the option -%c", option);
			return usage(optarg, why);
		}
	}
	if (optind + 1 < argc)
		return usage(argv[optind + 1], "is one directory too many");
	if (!set->certificate != !set->key)
		return usage(set->certificate ? set->certificate : set->key,
			     "is one of a certificate and a key, which go together");
	if (optind < argc)
		set->root = argv[optind];
	return -1;
}

/* ---- the server ------------------------------------------------------------------------------ */

static int complain(const char *what, const char *of, int rc)
{
	fprintf(stderr, "scope-httpd: %s%s: %s\n", what, *of ? of : "''", strerror(-rc));
	return rc;
}

static int listen_at(const struct settings *set, struct scope_listener **out)
{
	int rc = scope_tcp_listen(set->address, set->port, NULL, out);
	char place[80];

	if (rc == 0)
		return 0;
	snprintf(place, sizeof place, "%s port %u", set->address ? set->address : "all addresses",
		 set->port);
	return complain("can't listen at ", place, rc);
}

static void say_where(const struct settings *set, const struct scope_listener *l)
{
	const char *host = set->address ? set->address : "localhost";
	bool is_v6 = strchr(host, ':') != NULL;

	printf("serving %s at http%s://%s%s%s:%d/\n", set->root, set->certificate ? "s" : "",
	       is_v6 ? "[" : "", host, is_v6 ? "]" : "", scope_listener_port(l));
	fflush(stdout);
}

static int serve(struct server *server, struct scope_listener *l)
{
	const struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	const struct scope_options limits = {.max_tasks = server->set.most};
	const struct scope_serve_options options = {.scope = &limits, .name = "client"};
	struct scope s;

	scope_open(&s);
	if (server->log.path) {
		scope_spawn_with(&s, log_keep, &server->log, &service);
		scope_spawn_with(&s, log_reopen, &server->log, &service);
	}
	scope_fail(&s, scope_serve(l, client_serve, server, &options), NULL);
	return scope_close(&s);
}

static int run(void *arg)
{
	struct server *server = arg;
	struct scope_listener *l;
	int rc = listen_at(&server->set, &l);

	if (rc < 0) {
		server->failed = true;
		return 0;
	}
	server->started_ns = scope_now();
	say_where(&server->set, l);
	rc = serve(server, l);
	scope_listener_close(l);
	return rc;
}

/* As many as this process may have: how many. */
static rlim_t allow_many_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_max;
}

/* Static: it is large. */
static struct server server = {
	.set = {.root = ".", .port = 8080, .most = 20000, .idle_ns = 60 * SCOPE_SEC,
		.request_ns = 10 * SCOPE_SEC, .write_ns = 30 * SCOPE_SEC,
		.grace_ns = 10 * SCOPE_SEC, .body_most = 1 << 20, .status = STATUS_LOCAL},
	.cache = {.root = -1, .lock = PTHREAD_MUTEX_INITIALIZER},
	.desks = {.lock = PTHREAD_MUTEX_INITIALIZER},
	.peers = {.lock = PTHREAD_MUTEX_INITIALIZER},
	.log = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1},
};

int main(int argc, char **argv)
{
	struct scope_config config = {0};
	int rc = parse(&server.set, argc, argv), by;
	rlim_t descriptors;

	if (rc >= 0)
		return rc;
	/* Who reads the log may go away: the write says so too. */
	signal(SIGPIPE, SIG_IGN);
	/* Most of them are for connections. */
	descriptors = allow_many_descriptors();
	rc = cache_open(&server.cache, server.set.root,
			descriptors / 4 < CACHE_MOST ? (unsigned)(descriptors / 4) : CACHE_MOST);
	if (rc < 0)
		return complain("can't serve ", server.set.root, rc), EXIT_FAILURE;
	rc = log_open(&server.log, server.set.log);
	if (rc < 0)
		return complain("can't write to ", server.set.log, rc), EXIT_FAILURE;
	if (server.set.certificate) {
		server.tls = tls_open(server.set.certificate, server.set.key);
		if (!server.tls) {
			fprintf(stderr, "scope-httpd: can't use %s with %s: %s\n",
				server.set.certificate, server.set.key, tls_error());
			return EXIT_FAILURE;
		}
	}
	config.grace_ns = server.set.grace_ns;
	config.out_signal = &by;
	rc = scope_run(run, &server, &config);
	log_close(&server.log);
	listings_close(&server.listings);
	cache_close(&server.cache);
	desk_free(&server.desks);
	tls_close(server.tls);
	if (rc == -EBUSY || rc == -EAGAIN || rc == -ENOMEM)
		complain("can't ", "run", rc);
	if (!server.failed)
		say("scope-httpd: %" PRIu64 " connections, %" PRIu64 " broken off\n",
		    atomic_load(&server.connections), atomic_load(&server.broken));
	return rc || server.failed || atomic_load(&server.broken) ? EXIT_FAILURE : EXIT_SUCCESS;
}
