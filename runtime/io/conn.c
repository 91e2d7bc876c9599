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

static int64_t receive(int fd, void *buffer, size_t size, struct sc_address *from)
{
	return from ? sc_os_recv_from(fd, buffer, size, from) : sc_os.recv(fd, buffer, size);
}

int sc_conn_recv(struct sc_fd *fd, void *buffer, size_t size, size_t *out_done,
		 struct sc_address *from)
{
	struct sc_use use;
	int64_t n;
	int rc;

	*out_done = 0;
	rc = sc_io_begin(fd, SC_IN, &use);
	if (rc < 0)
		return rc;
	while (!use.ready || (n = receive(fd->fd, buffer, size, from)) == -EAGAIN) {
		rc = sc_io_wait(&use, SC_IN_READ);
		if (rc < 0)
			return rc;
	}
	sc_fd_leave(&use, !from && n > 0 && (size_t)n < size);
	if (n < 0)
		return (int)n;
	*out_done = (size_t)n;
	return 0;
}

int scope_conn_read(struct scope_conn *c, void *buffer, size_t size, size_t *out_done)
{
	if (!c || !buffer || size == 0 || !out_done)
		return -EINVAL;
	return sc_conn_recv(sc_conn_fd(c), buffer, size, out_done, NULL);
}

/* What is to be written: bytes, or those of a file from `offset` on. */
struct load {
	const char *data; /* NULL: of the file */
	int file;
	int64_t offset;
	size_t size, done;
};

static int64_t send_some(int fd, const struct load *load)
{
	size_t left = load->size - load->done;

	if (load->data)
		return sc_os.send(fd, load->data + load->done, left);
	return sc_os.send_file(fd, load->file, load->offset + (int64_t)load->done, left);
}

/* Goes on after a system call that gave n, and waits for more room where there is none: 0 when all
 * is written, or the file has ended. */
static SC_NOINLINE int write_rest(struct sc_use *use, struct load *load, int64_t n)
{
	int rc;

	for (;;) {
		if (n == -EAGAIN) {
			rc = sc_io_wait(use, SC_IN_WRITE);
			if (rc < 0)
				return rc;
		} else if (n <= 0) {
			sc_fd_leave(use, 0);
			return (int)n;
		} else {
			load->done += (size_t)n;
			if (load->done == load->size)
				break;
			/* A stream that took less than all has no more room; a file may come in
			 * parts. */
			if (use->stream && load->data) {
				n = -EAGAIN;
				continue;
			}
		}
		n = send_some(use->fd->fd, load);
	}
	sc_fd_leave(use, 0);
	return 0;
}

SC_INLINE int write_load(struct scope_conn *c, struct load *load, size_t *out_done)
{
	struct sc_use use;
	int64_t n = load->size ? -EAGAIN : 0;
	int rc = sc_io_begin(sc_conn_fd(c), SC_OUT, &use);

	if (rc < 0)
		return rc;
	if (SC_LIKELY(use.ready && n))
		n = send_some(use.fd->fd, load);
	if (SC_LIKELY(n == (int64_t)load->size)) {
		sc_fd_leave(&use, 0);
		load->done = load->size;
	} else {
		rc = write_rest(&use, load, n);
	}
	if (out_done)
		*out_done = load->done;
	return rc;
}

int scope_conn_write(struct scope_conn *c, const void *data, size_t size, size_t *out_done)
{
	struct load load = {.data = data, .size = size};

	if (out_done)
		*out_done = 0;
	return c && data ? write_load(c, &load, out_done) : -EINVAL;
}

int scope_conn_sendfile(struct scope_conn *c, int file, int64_t offset, size_t size,
			size_t *out_done)
{
	struct load load = {.file = file, .offset = offset, .size = size};

	if (out_done)
		*out_done = 0;
	return c && offset >= 0 ? write_load(c, &load, out_done) : -EINVAL;
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
