/* examples/scope-happy/main.c: connects to a name and says which of its addresses answered.
 *
 * Usage: scope-happy HOST PORT
 *
 * Exit 0: connected; 1: why not is reported; 2: usage.
 */
#include "happy.h"

#include "../args.h"

static int connect_to(const struct scope_address *address, void **out_conn)
{
	struct scope_conn *conn;
	char digits[48];
	uint16_t port = scope_address_get(address, digits, sizeof digits);
	int rc = scope_tcp_connect(digits, port, &conn);

	if (rc == 0)
		*out_conn = conn;
	return rc;
}

static void close_conn(void *conn)
{
	scope_conn_close(conn);
}

struct target {
	const char *host;
	uint16_t port;
};

static int run(void *arg)
{
	static const struct happy_net net = {scope_resolve, connect_to, close_conn};
	struct target *target = arg;
	int64_t before = scope_now();
	struct scope_address peer;
	char digits[48];
	void *conn;
	int rc = happy_connect(&net, target->host, target->port, &conn);

	if (rc < 0)
		return rc;
	rc = scope_conn_peer(conn, &peer);
	if (rc == 0) {
		scope_address_get(&peer, digits, sizeof digits);
		printf("%s answered after %lld ms\n", digits,
		       (long long)((scope_now() - before) / SCOPE_MS));
	}
	scope_conn_close(conn);
	return rc;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: scope-happy HOST PORT\n";
	struct target target;
	long long port;

	if (args_help(argc, argv, usage))
		return 0;
	if (argc != 3 || !args_number(argv[2], UINT16_MAX, &port)) {
		fputs(usage, stderr);
		return 2;
	}
	target.host = argv[1];
	target.port = (uint16_t)port;
	return scope_run(run, &target, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
