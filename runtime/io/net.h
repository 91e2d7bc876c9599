/* runtime/io/net.h: what the files of connections, listeners and datagrams share.
 *
 * A connection, a listener and a socket of datagrams are nothing but the slot of their
 * descriptor: no memory of their own.  SC_FD_STREAM of a listener is that of its connections.
 */
#ifndef SC_IO_NET_H
#define SC_IO_NET_H

#include "io/io.h"
#include <scope_net.h>

SC_INLINE struct sc_fd *sc_conn_fd(struct scope_conn *c)
{
	return (struct sc_fd *)c;
}

/* Takes over a descriptor, which is closed if that fails: as sc_io_own. */
int sc_conn_new(int fd, unsigned kind, struct scope_conn **out);
/* What has come, waited for if there is nothing.  `from`: a datagram and its sender. */
int sc_conn_recv(struct sc_fd *fd, void *buffer, size_t size, size_t *out_done,
		 struct sc_address *from);
/* Nobody can connect to it any more. */
void sc_listener_refuse(struct scope_listener *l);
/* Waits for a connection on its way to be made; closes the descriptor if it is not. */
int sc_conn_connect(const struct sc_address *address, unsigned kind, struct scope_conn **out);

/* -EAFNOSUPPORT: no address of IPv4 or IPv6. */
int sc_address_out(const struct sc_address *from, struct scope_address *to);
void sc_address_in(const struct scope_address *from, struct sc_address *to);

/* The addresses of a name, or of digits, in the order in which to try them.  How many, or
 * -ENOENT, -EAGAIN, -ENOMEM, -EIO, -ECANCELED. */
enum { SC_ADDRESSES = 16 };
int sc_resolve(const char *host, uint16_t port, struct sc_address *out);

#endif
