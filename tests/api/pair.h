/* tests/api/pair.h: connections with both their ends. */
#ifndef SC_TESTS_PAIR_H
#define SC_TESTS_PAIR_H

#include "task_check.h"

#include <scope_net.h>
#include <sys/socket.h>

static inline int connect_to(struct scope_listener *l, struct scope_conn **out)
{
	return scope_tcp_connect("127.0.0.1", (uint16_t)scope_listener_port(l), out);
}

/* Both ends of a connection over the loopback.  In the simulation what they hold is fixed, for the
 * kernel would let it grow at moments of its own. */
static inline void make_pair(struct scope_conn *pair[2])
{
	static const int size = 1 << 16;
	struct scope_listener *l;
	int i;

	CHECK_EQ(scope_tcp_listen("127.0.0.1", 0, NULL, &l), 0);
	CHECK_EQ(connect_to(l, &pair[0]), 0);
	CHECK_EQ(scope_accept(l, &pair[1]), 0);
	scope_listener_close(l);
	for (i = 0; SIMULATED && i < 4; i++)
		CHECK_EQ(setsockopt(scope_conn_fd(pair[i / 2]), SOL_SOCKET,
				    i % 2 ? SO_SNDBUF : SO_RCVBUF, &size, sizeof size), 0);
}

static inline void close_pair(struct scope_conn *pair[2])
{
	scope_conn_close(pair[0]);
	scope_conn_close(pair[1]);
}

#endif
