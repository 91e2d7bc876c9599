/* runtime/io/connect.c: connections to others; of several addresses the first that answers (N5).
 *
 * The attempts of scope_tcp_connect are tasks of a scope in which the first success ends the
 * others: the next one starts when the one before failed, or after 250 ms.
 */
#include "io/net.h"

#include <errno.h>
#include <scope_ref.h>
#include <stdio.h>

#define STAGGER_NS (250 * SCOPE_MS)

/* ---- one address --------------------------------------------------------------------------- */

/* The first event comes when the connection is made, or is not. */
static int wait_until_made(struct sc_fd *handle)
{
	struct sc_address peer;
	struct sc_use use;
	int rc = sc_io_begin(handle, SC_OUT, &use);

	if (rc < 0)
		return rc;
	do {
		rc = use.ready ? 0 : sc_io_wait(&use, SC_IN_CONNECT);
		if (rc < 0)
			return rc;
		use.ready = 0;
		rc = sc_os_socket_error(handle->fd);
	} while (rc == 0 && sc_os_socket_name(handle->fd, 1, &peer) == -ENOTCONN);
	sc_fd_leave(&use, 0);
	return rc;
}

int sc_conn_connect(const struct sc_address *address, unsigned kind, struct scope_conn **out)
{
	int fd, rc, under_way;

	rc = sc_os.connect(address, &fd);
	under_way = rc == -EINPROGRESS;
	if (rc < 0 && !under_way)
		return rc;
	rc = sc_conn_new(fd, under_way ? kind | SC_FD_OUT : kind, out);
	if (rc < 0 || !under_way)
		return rc;
	rc = wait_until_made(sc_conn_fd(*out));
	if (rc < 0)
		scope_conn_close(*out);
	return rc;
}

int scope_unix_connect(const char *path, struct scope_conn **out_conn)
{
	struct sc_address address;
	struct scope_conn *conn;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_unix_connect");
	if (!path || !out_conn)
		return -EINVAL;
	rc = sc_os_address_path(path, &address);
	if (rc == 0)
		rc = sc_check(sc_self());
	if (rc == 0)
		rc = sc_conn_connect(&address, 0, &conn);
	if (rc == 0)
		*out_conn = conn;
	return rc;
}

/* ---- several ------------------------------------------------------------------------------- */

struct attempt {
	const struct sc_address *address;
	struct scope_parker *failed; /* who starts the next one waits here */
	struct scope_conn *conn;
	char name[80];
};

static int try_one(void *arg)
{
	struct attempt *attempt = arg;
	int rc = sc_conn_connect(attempt->address, SC_FD_STREAM, &attempt->conn);

	if (rc < 0)
		scope_unpark(attempt->failed);
	return rc;
}

/* Made too late. */
static void close_loser(void *arg)
{
	scope_conn_close(((struct attempt *)arg)->conn);
}

static int race(const struct sc_address *addresses, int count, struct scope_conn **out_conn)
{
	struct attempt attempts[SC_ADDRESSES], *winner = NULL;
	const struct scope_options options = {.policy = SCOPE_ANY, .drop = close_loser,
					      .out_winner = (void **)&winner};
	struct scope_parker failed = {{0}};
	struct scope s;
	int rc = scope_open_with(&s, &options), ended, i;

	if (rc < 0)
		return rc;
	for (i = 0; i < count && rc == 0; i++) {
		struct scope_spawn_options named = {.name = attempts[i].name};
		char digits[48];
		uint16_t port = sc_os_address_print(&addresses[i], digits, sizeof digits);

		snprintf(attempts[i].name, sizeof attempts[i].name, "connect to %s port %u", digits,
			 port);
		attempts[i].address = &addresses[i];
		attempts[i].failed = &failed;
		rc = scope_spawn_with(&s, try_one, &attempts[i], &named);
		if (rc == 0 && i + 1 < count)
			rc = scope_park_until(&failed, scope_now() + STAGGER_NS);
		if (rc == -ETIMEDOUT)
			rc = 0;
	}
	if (rc == -ESHUTDOWN)
		scope_cancel(&s);
	ended = scope_close(&s);
	if (!winner)
		return rc == -ESHUTDOWN ? rc : ended;
	*out_conn = winner->conn;
	return 0;
}

/* scope_last_error is to know of this failure, not of one before it. */
static void tell(const char *host, uint16_t port, int rc)
{
	struct scope s;

	scope_open(&s);
	scope_fail(&s, rc, "connect to %s port %u", host, port);
	scope_close(&s);
}

int scope_tcp_connect(const char *host, uint16_t port, struct scope_conn **out_conn)
{
	struct sc_address addresses[SC_ADDRESSES];
	struct scope_conn *conn;
	int count, rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_tcp_connect");
	if (!host || !out_conn)
		return -EINVAL;
	rc = sc_check(sc_self());
	if (rc < 0)
		return rc;
	count = sc_resolve(host, port, addresses);
	if (count > 1) {
		rc = race(addresses, count, &conn);
	} else {
		rc = count < 0 ? count : sc_conn_connect(&addresses[0], SC_FD_STREAM, &conn);
		if (rc < 0)
			tell(host, port, rc);
	}
	if (rc == 0)
		*out_conn = conn;
	return rc;
}
