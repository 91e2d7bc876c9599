/* examples/scope-httpd/stream.c: reading and writing, each within a limit of time.
 *
 * The limit is a scope around the call: its deadline is felt inside as a cancel, and told by its
 * close.  A scope with nothing but a deadline costs no system call and no allocation.
 */
#include "httpd.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PIECE_MOST = 1 << 20, /* of a file at once: then others have their turn */
	RECORD = 16 << 10     /* bytes that TLS encrypts at once */
};

static void limit_open(struct scope *limit, int64_t deadline_ns)
{
	const struct scope_options options = {.deadline_ns = deadline_ns};

	scope_open_with(limit, &options);
}

/* What came of the call, or of the limit.  The call's own error is no error of the scope: then
 * nothing need be kept of it. */
static int limit_close(struct scope *limit, int rc)
{
	int ended = scope_close(limit);

	return ended < 0 ? ended : rc;
}

int stream_open(struct client *c)
{
	struct scope limit;
	int rc;

	if (!c->server->tls)
		return 0;
	rc = session_open(c);
	if (rc < 0)
		return rc;
	limit_open(&limit, scope_now() + c->server->set.request_ns);
	scope_soft_begin(); /* a graceful shutdown ends it: no request has come yet */
	rc = session_greet(c);
	scope_soft_end();
	return limit_close(&limit, rc);
}

int stream_shutdown(struct client *c)
{
	struct scope limit;
	int rc;

	if (!c->tls)
		return scope_conn_shutdown(c->conn);
	limit_open(&limit, scope_now() + c->server->set.write_ns);
	rc = limit_close(&limit, session_say_goodbye(c));
	return rc < 0 ? rc : scope_conn_shutdown(c->conn);
}

bool stream_has_more(const struct client *c)
{
	char peeked;

	if (c->tls && session_has_more(c))
		return true;
	return recv(scope_conn_fd(c->conn), &peeked, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

int stream_read(struct client *c, int64_t deadline_ns, void *buffer, size_t size, size_t *out_done)
{
	struct scope limit;
	int rc;

	limit_open(&limit, deadline_ns);
	if (c->tls)
		rc = session_read(c, buffer, size, out_done);
	else
		rc = scope_conn_read(c->conn, buffer, size, out_done);
	return limit_close(&limit, rc);
}

int stream_write(struct client *c, const char *data, size_t size)
{
	struct scope limit;
	size_t done = 0;
	int rc;

	while (size) {
		limit_open(&limit, scope_now() + c->server->set.write_ns);
		if (c->tls)
			rc = session_write(c, data, size < RECORD ? size : RECORD, &done);
		else
			rc = scope_conn_write(c->conn, data, size, &done);
		rc = limit_close(&limit, rc);
		data += done;
		size -= done;
		/* The client is slow, but not too slow. */
		if (rc == -ETIMEDOUT)
			rc = done ? 0 : -ECONNABORTED;
		if (rc < 0)
			return rc;
	}
	return 0;
}

int stream_flush(struct client *c)
{
	size_t size = c->desk->out_end;

	c->desk->out_end = 0;
	return size ? stream_write(c, c->desk->out, size) : 0;
}

/* The kernel sends the file. */
static int send_file(struct client *c, int fd, int64_t from, int64_t size, int64_t *sent)
{
	struct scope limit;
	size_t done = 0;
	int rc = 0;

	while (rc == 0 && *sent < size) {
		int64_t left = size - *sent;
		size_t piece = left < PIECE_MOST ? (size_t)left : PIECE_MOST;

		limit_open(&limit, scope_now() + c->server->set.write_ns);
		rc = limit_close(&limit, scope_conn_sendfile(c->conn, fd, from + *sent, piece,
							     &done));
		*sent += (int64_t)done;
		if (rc == 0 && done < piece)
			return -EIO;
		if (rc == -ETIMEDOUT && done)
			rc = 0;
	}
	return rc;
}

/* It is read, to be encrypted. */
static int copy_file(struct client *c, int fd, int64_t from, int64_t size, int64_t *sent)
{
	char *part = c->desk->out;
	int rc = 0;

	while (rc == 0 && *sent < size) {
		int64_t left = size - *sent;
		ssize_t n = pread(fd, part, left < OUT_SIZE ? (size_t)left : OUT_SIZE,
				  from + *sent);

		if (n <= 0)
			return -EIO;
		rc = stream_write(c, part, (size_t)n);
		if (rc == 0)
			*sent += n;
	}
	return rc;
}

int stream_file(struct client *c, int fd, int64_t from, int64_t size, int64_t *out_sent)
{
	int rc = stream_flush(c);

	*out_sent = 0;
	if (rc < 0)
		return rc;
	return c->tls ? copy_file(c, fd, from, size, out_sent) :
			send_file(c, fd, from, size, out_sent);
}
