/* examples/scope-happy/happy.c: Happy Eyeballs, version 2 (RFC 8305): staggered attempts. */
#include "happy.h"
#include <errno.h>

struct attempt {
	const struct happy_net *net;
	struct scope_address *address;
	void *conn;
};

static int try_one(void *arg)
{
	struct attempt *a = arg;

	return a->net->connect(a->address, &a->conn);
}

static void close_loser(void *a)
{
	((struct attempt *)a)->net->close(((struct attempt *)a)->conn);
}

/* Starts the next one when one has failed, or 250 ms after the last.  -ENOENT: all have failed. */
static int race(struct scope *s, struct attempt *next, struct attempt *end, void **out_conn)
{
	struct scope_result ended;
	int rc;

	do {
		if (next < end)
			scope_spawn(s, try_one, next++);
		rc = scope_next_until(s, next < end ? scope_now() + 250 * SCOPE_MS : SCOPE_NEVER,
				      &ended);
	} while (rc == 0 ? ended.rc != 0 : rc == -ETIMEDOUT);
	if (rc == 0)
		*out_conn = ((struct attempt *)ended.arg)->conn;
	return rc;
}

int happy_connect(const struct happy_net *net, const char *host, uint16_t port, void **out_conn)
{
	const struct scope_options o = { /* an attempt's error ends no other */
		.policy = SCOPE_AWAIT_ALL, .results = true, .drop = close_loser};
	struct scope_address addresses[16];
	struct attempt attempts[16];
	int count = net->resolve(host, port, addresses, 16), i, rc, first;
	struct scope s;

	for (i = 0; i < count; i++)
		attempts[i] = (struct attempt){net, &addresses[i], NULL};
	rc = count < 0 ? count : scope_open_with(&s, &o);
	if (rc < 0)
		return rc;
	rc = race(&s, attempts, attempts + count, out_conn);
	scope_cancel(&s);
	first = scope_close(&s);
	return rc == -ENOENT && first ? first : rc;
}
