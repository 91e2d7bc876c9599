/* examples/scope-httpd/client.c: the life of a connection: requests in, answers out. */
#include "httpd.h"

#include <errno.h>
#include <string.h>

#define LINGER_NS SCOPE_SEC
enum { LINGER_MOST = 1 << 20 };

/* ---- waiting for a request ------------------------------------------------------------------- */

/* Without a desk: the stack is all that a connection has that is silent.  A function of its own,
 * so that the buffer is there only while it waits. */
static __attribute__((noinline)) int await(struct client *c, int64_t deadline_ns)
{
	char first[FIRST_SIZE];
	size_t n;
	int rc = stream_read(c, deadline_ns, first, sizeof first, &n);

	if (rc < 0 || n == 0)
		return rc < 0 ? rc : -ENODATA;
	c->desk = desk_take(&c->server->desks);
	if (!c->desk)
		return -ENOMEM;
	memcpy(c->desk->in, first, n);
	c->desk->in_end = n;
	c->full = n == sizeof first;
	return 0;
}

/* More of what is coming, behind what is there, at most up to `end` in the buffer. */
static int read_more(struct client *c, int64_t deadline_ns, size_t end)
{
	struct desk *desk = c->desk;
	size_t n, room = end - desk->in_end;
	int rc = stream_flush(c);

	if (rc < 0)
		return rc;
	rc = stream_read(c, deadline_ns, desk->in + desk->in_end, room, &n);
	if (rc < 0 || n == 0)
		return rc < 0 ? rc : -ENODATA;
	desk->in_end += n;
	c->full = n == room;
	return 0;
}

static int wait_for_bytes(struct client *c)
{
	int64_t deadline_ns = scope_now() + c->server->set.idle_ns;

	if (c->desk && !c->full) {
		desk_give(&c->server->desks, c->desk);
		c->desk = NULL;
	}
	if (!c->desk)
		return await(c, deadline_ns);
	c->desk->in_begin = c->desk->in_end = 0;
	return read_more(c, deadline_ns, HEAD_MOST);
}

/* Whether the server is to come to its end: then this request is the last one. */
static bool is_stopping(void)
{
	int rc;

	scope_soft_begin();
	rc = scope_checkpoint();
	scope_soft_end();
	return rc == -ESHUTDOWN;
}

/* Waits for the first bytes of a request: here, and while TLS is agreed on, a graceful shutdown
 * ends a connection, unless a request has come before it.  -ENODATA: there are no more. */
static int wait_for_request(struct client *c)
{
	int rc = c->desk ? stream_flush(c) : 0;

	if (rc < 0)
		return rc;
	scope_soft_begin();
	rc = wait_for_bytes(c);
	scope_soft_end();
	if (rc == -ESHUTDOWN) {
		if (!stream_has_more(c))
			return -ENODATA;
		rc = wait_for_bytes(c);
	}
	return rc == -ETIMEDOUT ? -ENODATA : rc;
}

/* ---- reading a request ----------------------------------------------------------------------- */

static int read_head(struct client *c, int64_t deadline_ns)
{
	struct desk *desk = c->desk;
	struct request *r = &desk->request;
	size_t at = desk->in_begin;
	int rc;

	request_begin(r);
	for (;;) {
		at += request_head(r, desk->in + at, desk->in_end - at);
		if (r->complete)
			request_check(r, desk->in + desk->in_begin, at - desk->in_begin);
		if (r->complete || r->status) {
			desk->in_begin = at;
			return 0;
		}
		if (desk->in_begin > 0) {
			/* The rest of a burst, which has to lie where there is room behind it. */
			desk->in_end -= desk->in_begin;
			memmove(desk->in, desk->in + desk->in_begin, desk->in_end);
			desk->in_begin = at = 0;
			request_begin(r);
			continue;
		}
		if (at == HEAD_MOST) {
			r->status = 431;
			return 0;
		}
		rc = read_more(c, deadline_ns, HEAD_MOST);
		if (rc < 0)
			return rc;
	}
}

/* A body is read, for the client may not listen before it has said all, and forgotten. */
static int read_body(struct client *c, int64_t deadline_ns)
{
	struct desk *desk = c->desk;
	struct request *r = &desk->request;
	uint64_t most = c->server->set.body_most;
	size_t head_end = desk->in_begin;
	int rc;

	if (r->parser.content_length > most && !(r->parser.flags & F_CHUNKED))
		r->status = 413;
	/* A client of HTTP/1.0 would take it for the answer. */
	if (r->status == 0 && r->value[HEADER_EXPECT].at && r->parser.http_minor > 0 &&
	    desk->in_end == head_end) {
		struct span go_on = SPAN("HTTP/1.1 100 Continue\r\n\r\n");

		rc = stream_flush(c);
		if (rc == 0)
			rc = stream_write(c, go_on.at, go_on.size);
		if (rc < 0)
			return rc;
	}
	while (r->status == 0) {
		request_body(r, desk->in + head_end, desk->in_end - head_end);
		desk->in_end = head_end;
		if (r->body > most)
			r->status = r->status ? r->status : 413;
		if (r->ended || r->status)
			return 0;
		rc = read_more(c, deadline_ns, head_end + BODY_PART);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* -ENODATA: there is none.  What can't be understood is a request too: its status says so. */
static int read_request(struct client *c)
{
	int64_t deadline_ns;
	struct request *r;
	int rc = 0;

	if (!c->desk || c->desk->in_begin == c->desk->in_end)
		rc = wait_for_request(c);
	if (rc < 0)
		return rc;
	r = &c->desk->request;
	deadline_ns = scope_now() + c->server->set.request_ns;
	rc = read_head(c, deadline_ns);
	if (rc == 0 && r->status == 0 && !r->ended)
		rc = read_body(c, deadline_ns);
	if (rc == -ETIMEDOUT) {
		r->status = 408;
		desk_count(c->desk, COUNT_LATE, 1);
	} else if (rc == -ENODATA) {
		r->status = 400;
	} else if (rc < 0) {
		return rc;
	}
	c->last = c->last || r->status || !r->keep || is_stopping();
	return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Closing with something unread breaks the connection off, and the client may lose the answer that
 * explains why: so what it still sends is read, for a while. */
static void linger(struct client *c)
{
	int64_t deadline_ns = scope_now() + LINGER_NS;
	size_t n = 1, sum = 0;

	if (stream_shutdown(c) < 0)
		return;
	while (n && sum < LINGER_MOST &&
	       stream_read(c, deadline_ns, c->desk->in, sizeof c->desk->in, &n) == 0)
		sum += n;
}

static int serve_requests(struct client *c)
{
	int rc = stream_open(c);

	if (rc < 0)
		return rc;
	do {
		rc = read_request(c);
		if (rc == 0)
			rc = answer(c);
	} while (rc == 0 && !c->last);
	if (rc == 0)
		rc = stream_flush(c);
	if (rc == 0 && (c->desk->request.status || c->desk->request.body))
		linger(c);
	else if (c->tls && (rc == 0 || rc == -ENODATA))
		stream_shutdown(c);
	return rc;
}

/* One connection too many of its address. */
static int turn_away(struct client *c)
{
	int rc;

	atomic_fetch_add(&c->server->refused, 1);
	/* Not even a handshake is worth it. */
	if (c->server->tls)
		return 0;
	c->desk = desk_take(&c->server->desks);
	if (!c->desk)
		return -ENOMEM;
	request_begin(&c->desk->request);
	c->last = true;
	c->desk->request.status = 429;
	rc = answer(c);
	if (rc == 0)
		rc = stream_flush(c);
	if (rc == 0)
		linger(c);
	return rc;
}

/* Whether it is an address of the machine's own network, whose digits these are. */
static bool is_local(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

int client_serve(struct scope_conn *conn, void *arg)
{
	struct server *server = arg;
	struct client c = {.server = server, .conn = conn};
	struct scope_address address;
	struct peer *peer;
	int rc;

	if (scope_conn_peer(conn, &address) < 0)
		return 0;
	scope_address_get(&address, c.address, sizeof c.address);
	if (strncmp(c.address, "::ffff:", 7) == 0 && strchr(c.address, '.')) /* IPv4, mapped */
		memmove(c.address, c.address + 7, strlen(c.address + 7) + 1);
	c.local = is_local(c.address);
	atomic_fetch_add(&server->connections, 1);
	atomic_fetch_add(&server->open, 1);
	peer = peer_enter(&server->peers, c.address, server->set.most_each);
	rc = peer ? serve_requests(&c) : turn_away(&c);
	if (peer)
		peer_leave(&server->peers, peer);
	session_close(&c);
	if (c.desk)
		desk_give(&server->desks, c.desk);
	atomic_fetch_sub(&server->open, 1);
	/* A client that breaks off, or is slow, is its own affair; the end of the grace period is
	 * not. */
	if (rc != -ECANCELED)
		return 0;
	atomic_fetch_add(&server->broken, 1);
	return rc;
}
