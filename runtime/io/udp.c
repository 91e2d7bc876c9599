/* runtime/io/udp.c: datagrams: rules N1, N3 and C6. */
#include "io/net.h"

#include <errno.h>

int scope_udp_open(const char *host, uint16_t port, struct scope_udp **out_udp)
{
	struct sc_address address;
	struct sc_fd *handle;
	int fd, rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_udp_open");
	if (!out_udp || sc_os_address_parse(host, port, &address) < 0)
		return -EINVAL;
	fd = sc_os_datagram(&address);
	if (fd < 0)
		return fd;
	rc = sc_io_own(fd, 0, &handle);
	if (rc == 0)
		*out_udp = (struct scope_udp *)handle;
	return rc;
}

int scope_udp_port(const struct scope_udp *udp)
{
	return scope_listener_port((const struct scope_listener *)udp);
}

int scope_udp_send(struct scope_udp *udp, const void *data, size_t size,
		   const struct scope_address *to)
{
	struct sc_address address;
	struct sc_use use;
	int64_t n;
	int rc;

	if (!udp || !data || !to)
		return -EINVAL;
	rc = sc_io_begin((struct sc_fd *)udp, SC_OUT, &use);
	if (rc < 0)
		return rc;
	sc_address_in(to, &address);
	while ((n = sc_os_send_to(use.fd->fd, data, size, &address)) == -EAGAIN) {
		rc = sc_io_wait(&use, SC_IN_WRITE);
		if (rc < 0)
			return rc;
	}
	sc_fd_leave(&use, 0);
	return n < 0 ? (int)n : 0;
}

int scope_udp_recv(struct scope_udp *udp, void *buffer, size_t size, size_t *out_done,
		   struct scope_address *out_from)
{
	struct sc_address address;
	int rc;

	if (!udp || !buffer || !out_done)
		return -EINVAL;
	rc = sc_conn_recv((struct sc_fd *)udp, buffer, size, out_done, &address);
	return rc == 0 && out_from ? sc_address_out(&address, out_from) : rc;
}

void scope_udp_close(struct scope_udp *udp)
{
	if (sc_self()->cur && udp)
		sc_fd_close((struct sc_fd *)udp);
}
