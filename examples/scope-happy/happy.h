/* examples/scope-happy/happy.h: a connection to a name by whatever address answers first. */
#ifndef HAPPY_H
#define HAPPY_H

#include <scope.h>
#include <scope_net.h>

/* The network: the system's, or one that a test made. */
struct happy_net {
	/* The addresses of a name in the order in which to try them: how many, or an error. */
	int (*resolve)(const char *host, uint16_t port, struct scope_address *out, size_t most);
	int (*connect)(const struct scope_address *address, void **out_conn);
	void (*close)(void *conn);
};

/* The connection that is made first, as RFC 8305 says.  Returns 0, else nothing is left open: what
 * resolve said, what kept the first address from it, or -ECANCELED. */
int happy_connect(const struct happy_net *net, const char *host, uint16_t port, void **out_conn);

#endif
