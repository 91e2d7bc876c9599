/* runtime/io/conn.c: connections: reading, writing, closing: rules N1, N3 and C6. */
#include "io/net.h"

#include <errno.h>

int sc_conn_new(int fd, unsigned kind, struct scope_conn **out)
{
	struct sc_fd *handle;
	int rc;

	if (kind & SC_FD_STREAM)
		sc_os_no_delay(fd);
	rc = sc_io_own(fd, kind, &handle);
	if (rc == 0)
		*out = (struct scope_conn *)handle;
	return rc;
}

int scope_conn_read(struct scope_conn *c, void *buffer, size_t size, size_t *out_done)
{
	struct sc_use use;
	int64_t n;
	int rc;

	if (!c || !buffer || size == 0 || !out_done)
		return -EINVAL;
	*out_done = 0;
	rc = sc_io_begin(sc_conn_fd(c), SC_IN, &use);
	if (rc < 0)
		return rc;
	while (!use.ready || (n = sc_os.recv(use.fd->fd, buffer, size)) == -EAGAIN) {
		rc = sc_io_wait(&use, SC_IN_READ);
		if (rc < 0)
			return rc;
	}
	sc_fd_leave(&use, n > 0 && (size_t)n < size);
	if (n < 0)
		return (int)n;
	*out_done = (size_t)n;
	return 0;
}

/* Writes what fits and waits for more room: 0 when all is written. */
static int write_all(struct sc_use *use, const char *data, size_t size, size_t *done)
{
	/* A stream that took less than all has no more room. */
	int full = !use->ready, rc;

	while (*done < size) {
		int64_t n = full ? -EAGAIN : sc_os.send(use->fd->fd, data + *done, size - *done);

		if (n == -EAGAIN) {
			rc = sc_io_wait(use, SC_IN_WRITE);
			if (rc < 0)
				return rc;
			full = 0;
			continue;
		}
		if (n < 0) {
			sc_fd_leave(use, 0);
			return (int)n;
		}
		*done += (size_t)n;
		full = use->stream;
	}
	sc_fd_leave(use, 0);
	return 0;
}

int scope_conn_write(struct scope_conn *c, const void *data, size_t size, size_t *out_done)
{
	struct sc_use use;
	size_t done = 0;
	int rc;

	if (out_done)
		*out_done = 0;
	if (!c || !data)
		return -EINVAL;
	rc = sc_io_begin(sc_conn_fd(c), SC_OUT, &use);
	if (rc < 0)
		return rc;
	rc = write_all(&use, data, size, &done);
	if (out_done)
		*out_done = done;
	return rc;
}

int scope_conn_shutdown(struct scope_conn *c)
{
	struct sc_use use;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_conn_shutdown");
	if (!c)
		return -EINVAL;
	rc = sc_fd_enter(sc_conn_fd(c), SC_OUT, &use);
	if (rc < 0)
		return rc;
	rc = sc_os_shutdown(use.fd->fd);
	sc_fd_leave(&use, 0);
	return rc;
}

void scope_conn_close(struct scope_conn *c)
{
	if (sc_self()->cur && c)
		sc_fd_close(sc_conn_fd(c));
}

int scope_conn_fd(const struct scope_conn *c)
{
	return c ? ((const struct sc_fd *)c)->fd : -EINVAL;
}

int scope_conn_peer(const struct scope_conn *c, struct scope_address *out_address)
{
	struct sc_address address;
	int rc;

	if (!c || !out_address)
		return -EINVAL;
	rc = sc_os_socket_name(((const struct sc_fd *)c)->fd, 1, &address);
	return rc < 0 ? rc : sc_address_out(&address, out_address);
}
