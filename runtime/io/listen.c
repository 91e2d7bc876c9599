/* runtime/io/listen.c: listeners, and what they accept: rules N1, N3 and G2. */
#include "io/net.h"

#include <errno.h>
#include <string.h>

enum { BACKLOG = 4096, KNOWN_FLAGS = SCOPE_LISTEN_SHARED };

static int options_valid(const struct scope_listen_options *options)
{
	return SC_UNRESERVED(options) && options->backlog >= 0 &&
	       !(options->flags & ~(unsigned)KNOWN_FLAGS);
}

static int listen_at(const struct sc_address *address, const struct scope_listen_options *options,
		     unsigned kind, struct scope_listener **out_listener)
{
	int backlog = options && options->backlog ? options->backlog : BACKLOG;
	struct sc_fd *handle;
	int fd, rc;

	fd = sc_os_listen(address, backlog, options && (options->flags & SCOPE_LISTEN_SHARED));
	if (fd < 0)
		return fd;
	rc = sc_io_own(fd, kind, &handle);
	if (rc == 0)
		*out_listener = (struct scope_listener *)handle;
	return rc;
}

int scope_tcp_listen(const char *host, uint16_t port, const struct scope_listen_options *options,
		     struct scope_listener **out_listener)
{
	struct sc_address address;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_tcp_listen");
	if (!out_listener || (options && !options_valid(options)) ||
	    sc_os_address_parse(host, port, &address) < 0)
		return -EINVAL;
	return listen_at(&address, options, SC_FD_STREAM, out_listener);
}

int scope_unix_listen(const char *path, const struct scope_listen_options *options,
		      struct scope_listener **out_listener)
{
	struct sc_address address;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_unix_listen");
	if (!path || !out_listener || (options && !options_valid(options)))
		return -EINVAL;
	rc = sc_os_address_path(path, &address);
	return rc < 0 ? rc : listen_at(&address, options, 0, out_listener);
}

int scope_listener_port(const struct scope_listener *l)
{
	struct sc_address address;
	int rc;

	if (!l)
		return -EINVAL;
	rc = sc_os_socket_name(((const struct sc_fd *)l)->fd, 0, &address);
	return rc < 0 ? rc : sc_os_address_print(&address, NULL, 0);
}

void scope_listener_close(struct scope_listener *l)
{
	if (sc_self()->cur && l)
		sc_fd_close((struct sc_fd *)l);
}

/* ---- accepting ----------------------------------------------------------------------------- */

/* What went wrong with the connection and not with the listener: the next one may do. */
static int is_passing(int rc)
{
	switch (rc) {
	case -ECONNABORTED:
	case -EPROTO:
	case -ENETDOWN:
	case -ENOPROTOOPT:
	case -EHOSTDOWN:
	case -ENONET:
	case -EHOSTUNREACH:
	case -ENETUNREACH:
		return 1;
	}
	return 0;
}

static int accept_one(struct sc_fd *listener, struct scope_conn **out_conn)
{
	struct sc_use use;
	int fd, rc;

	rc = sc_io_begin(listener, SC_IN, &use);
	if (rc < 0)
		return rc;
	for (;;) {
		fd = use.ready ? sc_os.accept(listener->fd) : -EAGAIN;
		if (fd >= 0 || (fd != -EAGAIN && !is_passing(fd)))
			break;
		rc = fd == -EAGAIN ? sc_io_wait(&use, SC_IN_ACCEPT) : 0;
		if (rc < 0)
			return rc;
	}
	sc_fd_leave(&use, 0);
	return fd < 0 ? fd : sc_conn_new(fd, use.stream ? SC_FD_STREAM : 0, out_conn);
}

void sc_listener_refuse(struct scope_listener *l)
{
	struct sc_use use;

	/* Else it is being closed, or another task accepts from it. */
	if (sc_fd_enter((struct sc_fd *)l, SC_IN, &use) == 0) {
		sc_os_refuse(use.fd->fd);
		sc_fd_leave(&use, 0);
	}
}

int scope_accept(struct scope_listener *l, struct scope_conn **out_conn)
{
	struct sc_worker *worker = sc_self();
	int rc, began;

	if (worker->cur == 0)
		return sc_not_connected("scope_accept");
	if (!l || !out_conn)
		return -EINVAL;
	began = sc_region_begin(worker) == 0; /* else it is in many */
	rc = accept_one((struct sc_fd *)l, out_conn);
	if (began)
		sc_region_end(sc_self());
	return rc;
}
