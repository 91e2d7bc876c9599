/* scope_net.h: waiting for descriptors; connections, listeners, datagrams. */
#ifndef SCOPE_NET_H
#define SCOPE_NET_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- any descriptor --------------------------------------------------------------------- */

/* What a descriptor is ready for: the values are those of poll(2), POLLIN and so on. */
enum scope_fd_event {
	SCOPE_FD_READ = 0x1,
	SCOPE_FD_URGENT = 0x2,
	SCOPE_FD_WRITE = 0x4,
	SCOPE_FD_ERROR = 0x8,  /* told unasked */
	SCOPE_FD_HANGUP = 0x10 /* told unasked */
};

/**
 * Waits until a descriptor is ready: a pipe, a socket, a terminal, a timer, whatever poll(2)
 * takes; a regular file always is.  It stays the program's, which reads and writes it, best
 * without blocking (O_NONBLOCK): another may have been faster.  An error or the end of the other
 * side counts as ready.  Two tasks may wait for one descriptor, one to read and one to write.
 *
 * events       SCOPE_FD_READ, SCOPE_FD_WRITE, SCOPE_FD_URGENT, or several: any of them
 * deadline_ns  absolute, monotonic; already past: polls; SCOPE_NEVER: no limit
 * Cancellation point: -ECANCELED leaves the descriptor as it is, and the data in the kernel.
 * Thread safety: any task of the run.
 * Cost: a system call and a park.
 * Returns 0, else nothing is known of it:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     events are 0 or not known
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ETIMEDOUT  it was not ready until deadline_ns
 *   -EBADF      it is not open, or was closed by scope_fd_close meanwhile
 *   -EBUSY      another task waits to read, or to write, it
 *   -ENOMEM     no memory
 * or what epoll_ctl(2) said: -EMFILE, -ENFILE, -ENOSPC.
 */
SCOPE_API int scope_fd_wait_until(int fd, unsigned events, int64_t deadline_ns);

/**
 * scope_fd_wait_until that tells what the descriptor is ready for.
 *
 * out_events   those of `events` that came, SCOPE_FD_ERROR and SCOPE_FD_HANGUP
 * Cancellation point: as scope_fd_wait_until.
 * Thread safety: any task of the run.
 * Returns what scope_fd_wait_until does, and then *out_events is untouched; and
 *   -EINVAL     out_events is NULL
 */
SCOPE_API int scope_fd_poll_until(int fd, unsigned events, int64_t deadline_ns,
				  unsigned *out_events);

/**
 * Closes a descriptor of the program; tasks that wait for it get -EBADF.  After a close(2)
 * instead they would wait for what never comes.
 *
 * Thread safety: any task of the run.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EBADF     it is not open
 */
SCOPE_API int scope_fd_close(int fd);

/* ---- connections ------------------------------------------------------------------------ */

/*
 * A connection is a stream of bytes in both directions: TCP, or a Unix socket; or in one: a pipe
 * of a process (scope_process.h).  One task at a time may read it and one write it.  Connections,
 * listeners and sockets of datagrams that are left open are closed at the end of scope_run.
 */
struct scope_conn;

/* An address of the internet with its port.  Copy it as you like. */
struct scope_address {
	uint64_t opaque[6];
};

/**
 * Makes an address from digits.
 *
 * host  "127.0.0.1", "::1"
 * Thread safety: any thread.
 * Returns 0, else *address is untouched:
 *   -EINVAL  address or host is NULL, or host is a name
 */
SCOPE_API int scope_address_set(struct scope_address *address, const char *host, uint16_t port);

/** The digits of an address into host, at most `size` bytes with the 0, 46 are enough; its port. */
SCOPE_API uint16_t scope_address_get(const struct scope_address *address, char *host, size_t size);

/**
 * Looks up the addresses of a name, in the order in which to try them.
 *
 * host           a name, or digits, which need no look-up
 * out_addresses  at least `most` of them
 * Cancellation point: -ECANCELED leaves the look-up to itself (getaddrinfo(3) on a thread of
 * libuv's pool, which files use too: see scope_file.h).
 * Thread safety: any task of the run.
 * Returns how many, else nothing is stored:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     host or out_addresses is NULL, or most is 0
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region; digits never give that
 *   -ENOENT     the name has no address
 * or -EAGAIN: no server answered; -EIO: their answer was of no use; -ENOMEM, -EMFILE.
 */
SCOPE_API int scope_resolve(const char *host, uint16_t port, struct scope_address *out_addresses,
			    size_t most);

/**
 * Connects to a host.  Of several addresses each is tried when the one before failed, or 250 ms
 * after it; the first connection that is made is kept, the others are closed (RFC 8305).  Small
 * writes are sent at once (TCP_NODELAY).
 *
 * host      a name, or digits
 * out_conn  the connection, until scope_conn_close
 * Cancellation point: -ECANCELED leaves nothing open.
 * Thread safety: any task of the run.
 * Returns 0, else there is no connection and *out_conn is untouched: the first error of connect(2),
 * and scope_last_error() tells of it, of several addresses of each with its own; or
 *   -ENOTCONN      not called from a task
 *   -EINVAL        host or out_conn is NULL
 *   -ECANCELED     the place is or was cancelled
 *   -ESHUTDOWN     it is a stopped place, in a soft region
 *   -ECONNREFUSED  nobody listens there
 *   -ENOENT        the name has no address
 * or what scope_resolve and socket(2) said.
 */
SCOPE_API int scope_tcp_connect(const char *host, uint16_t port, struct scope_conn **out_conn);

/**
 * Connects to a Unix socket.
 *
 * path      at most 107 bytes
 * out_conn  the connection, until scope_conn_close
 * Cancellation point: -ECANCELED leaves nothing open.
 * Thread safety: any task of the run.
 * Returns 0, else there is no connection and *out_conn is untouched:
 *   -ENOTCONN      not called from a task
 *   -EINVAL        path or out_conn is NULL
 *   -ENAMETOOLONG  path is too long
 *   -ECANCELED     the place is or was cancelled
 *   -ESHUTDOWN     it is a stopped place, in a soft region
 *   -ENOENT        there is no such file
 * or what socket(2) and connect(2) said.
 */
SCOPE_API int scope_unix_connect(const char *path, struct scope_conn **out_conn);

/**
 * Reads what is there, or waits until something is.
 *
 * out_done  bytes in buffer; 0: the other side sends no more; 0 after an error too
 * Cancellation point: -ECANCELED leaves the data in the kernel.
 * Thread safety: any task of the run, one at a time.
 * Cost: a system call, two at a pipe; a park if nothing is there.
 * Returns 0, else nothing was read:
 *   -ENOTCONN    not called from a task
 *   -EINVAL      c, buffer or out_done is NULL, or size is 0
 *   -ECANCELED   the place is or was cancelled
 *   -ESHUTDOWN   it is a stopped place, in a soft region
 *   -EBADF       the connection was closed meanwhile
 *   -EBUSY       another task reads
 *   -ECONNRESET  the other side broke it off
 * or what recv(2) said.
 */
SCOPE_API int scope_conn_read(struct scope_conn *c, void *buffer, size_t size, size_t *out_done);

/**
 * Writes all of it, and waits for room where there is none.  No SIGPIPE is raised.
 *
 * out_done  bytes that went out, after an error too; may be NULL
 * Cancellation point: -ECANCELED after some bytes went out, too.
 * Thread safety: any task of the run, one at a time.
 * Cost: a system call, four at a pipe; a park where there is no room.
 * Returns 0, else *out_done bytes went out:
 *   -ENOTCONN    not called from a task
 *   -EINVAL      c or data is NULL
 *   -ECANCELED   the place is or was cancelled
 *   -ESHUTDOWN   it is a stopped place, in a soft region
 *   -EBADF       the connection was closed meanwhile
 *   -EBUSY       another task writes
 *   -EPIPE       it was shut down, or the other side broke it off
 *   -ECONNRESET  the other side broke it off
 * or what send(2) said.
 */
SCOPE_API int scope_conn_write(struct scope_conn *c, const void *data, size_t size,
			       size_t *out_done);

/**
 * Writes bytes of a file, which the kernel copies: sendfile(2).  The file's own position neither
 * counts nor moves, so many tasks may send from one descriptor.  The worker is held while the disk
 * is read and as long as there is room: best a MiB at a time.  No SIGPIPE is raised.
 *
 * file      open for reading, of a kind that sendfile takes: a regular file
 * offset    of the first byte
 * out_done  bytes that went out, after an error too; fewer than `size` without one: the file has
 *           ended; may be NULL
 * Cancellation point: -ECANCELED after some bytes went out, too.
 * Thread safety: any task of the run, one at a time, as a write.
 * Cost: three system calls; a park where there is no room.
 * Returns 0, else *out_done bytes went out:
 *   -ENOTCONN    not called from a task
 *   -EINVAL      c is NULL, offset is negative, or `file` is of another kind: a directory
 *   -ESPIPE      `file` has no positions: a pipe, a socket
 *   -ECANCELED   the place is or was cancelled
 *   -ESHUTDOWN   it is a stopped place, in a soft region
 *   -EBADF       the connection was closed meanwhile, or `file` is not open for reading
 *   -EBUSY       another task writes
 *   -EPIPE       it was shut down, or the other side broke it off
 *   -ECONNRESET  the other side broke it off
 * or what sendfile(2) said.
 */
SCOPE_API int scope_conn_sendfile(struct scope_conn *c, int file, int64_t offset, size_t size,
				  size_t *out_done);

/**
 * Tells the other side that no more will be written; it can still be read from.
 *
 * Thread safety: any task of the run, as a write.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task, or the other side broke it off
 *   -EINVAL    c is NULL
 *   -EBUSY     another task writes
 *   -ENOTSOCK  it is a pipe: close it instead
 */
SCOPE_API int scope_conn_shutdown(struct scope_conn *c);

/**
 * Closes a connection.  Tasks that read or write it get -EBADF; a call that is in the kernel at
 * that moment ends first, then the descriptor goes.  NULL is allowed; does nothing outside
 * scope_run.  Not a cancellation point.
 *
 * Thread safety: any task of the run; no call on it begins any more.
 */
SCOPE_API void scope_conn_close(struct scope_conn *c);

/** Its descriptor, for setsockopt(2) or other libraries; it does not block, and stays the
 * connection's.  -EINVAL of NULL. */
SCOPE_API int scope_conn_fd(const struct scope_conn *c);

/**
 * The address of the other side.
 *
 * Thread safety: any task of the run.
 * Returns 0, else *out_address is untouched:
 *   -EINVAL        c or out_address is NULL
 *   -ENOTCONN      the other side broke it off
 *   -EAFNOSUPPORT  it is a Unix socket
 */
SCOPE_API int scope_conn_peer(const struct scope_conn *c, struct scope_address *out_address);

/* ---- listeners -------------------------------------------------------------------------- */

struct scope_listener;

enum scope_listen_flags {
	SCOPE_LISTEN_SHARED = 1 /* several may listen at this port (SO_REUSEPORT) */
};

struct scope_listen_options {
	int backlog;          /* connections that nobody accepted yet; 0: 4,096 */
	unsigned flags;       /* enum scope_listen_flags */
	uint64_t reserved[4]; /* must be 0 */
};

/**
 * Listens at a port.
 *
 * host          digits of an address of this machine; NULL: all of them, of IPv4 and IPv6
 * port          0: one that is free, see scope_listener_port
 * options       NULL: the defaults; read only during the call
 * out_listener  until scope_listener_close
 * Thread safety: any task of the run.
 * Returns 0, else nobody listens and *out_listener is untouched:
 *   -ENOTCONN    not called from a task
 *   -EINVAL      host is a name, out_listener is NULL, or options are not valid
 *   -EADDRINUSE  somebody listens there
 * or what socket(2), bind(2) and listen(2) said.
 */
SCOPE_API int scope_tcp_listen(const char *host, uint16_t port,
			       const struct scope_listen_options *options,
			       struct scope_listener **out_listener);

/**
 * Listens at a Unix socket, a file that must not be there yet and is left there.
 *
 * path          at most 107 bytes
 * options       NULL: the defaults; read only during the call
 * out_listener  until scope_listener_close
 * Thread safety: any task of the run.
 * Returns 0, else nobody listens and *out_listener is untouched:
 *   -ENOTCONN      not called from a task
 *   -EINVAL        path or out_listener is NULL, or options are not valid
 *   -ENAMETOOLONG  path is too long
 *   -EADDRINUSE    the file is there
 * or what socket(2), bind(2) and listen(2) said.
 */
SCOPE_API int scope_unix_listen(const char *path, const struct scope_listen_options *options,
				struct scope_listener **out_listener);

/** The port that it listens at; 0 of a Unix socket; -EINVAL of NULL. */
SCOPE_API int scope_listener_port(const struct scope_listener *l);

/** Closes a listener, as scope_conn_close.  Tasks that accept get -EBADF. */
SCOPE_API void scope_listener_close(struct scope_listener *l);

/**
 * Waits for a connection.  Soft: ends at a graceful shutdown, as if in a region of
 * scope_soft_begin.  What goes wrong with a connection before it is accepted is passed over.
 *
 * out_conn  the connection, until scope_conn_close
 * Cancellation point: -ECANCELED leaves connections to be accepted by another call.
 * Thread safety: any task of the run, one at a time.
 * Returns 0, else nothing was accepted and *out_conn is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     l or out_conn is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was a stopped place
 *   -EBADF      the listener was closed meanwhile
 *   -EBUSY      another task accepts
 *   -EMFILE     the process has no descriptor left
 * or what accept(2) said.
 */
SCOPE_API int scope_accept(struct scope_listener *l, struct scope_conn **out_conn);

struct scope_serve_options {
	const struct scope_options *scope; /* of the scope that the connections' tasks are in: its
					    * max_tasks, its policy, its deadline; NULL: none */
	const char *name;     /* of these tasks in reports; NULL: "connection" */
	uint64_t reserved[4]; /* must be 0 */
};

/**
 * Accepts connections and runs `handler` in a task for each: until a graceful shutdown, a cancel
 * or an error.  A connection is closed when its handler returns, if that did not close it.  A
 * handler's nonzero result is an error, which ends all the others too, unless the policy of the
 * scope says otherwise.  Where descriptors or memory run short it says so, waits 100 ms, and goes
 * on.  Stacks are another matter: where stack_limit of scope_config is set, max_tasks keeps the
 * number of connections below it; else one that can have none while all others wait without a
 * deadline ends the server with -ENOMEM.
 *
 * options  NULL: the defaults; must live until this returns
 * Cancellation point: -ECANCELED after all handlers have returned.
 * Thread safety: any task of the run, one at a time for each listener.
 * Returns 0 after a graceful shutdown, when all handlers have returned: since that began nobody
 * could connect any more, and l can only be closed; else what scope_close does with their errors;
 * the listener stays open:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     l or handler is NULL, or options are not valid
 *   -ECANCELED  the place was cancelled
 *   -EBADF      the listener was closed, and all handlers have returned
 *   -EBUSY      another task accepts
 *   -ENOMEM     no memory to begin with
 */
SCOPE_API int scope_serve(struct scope_listener *l, int (*handler)(struct scope_conn *c, void *arg),
			  void *arg, const struct scope_serve_options *options);

/* ---- datagrams -------------------------------------------------------------------------- */

struct scope_udp;

/**
 * Opens a socket of datagrams (UDP) at a port.
 *
 * host     digits of an address of this machine; NULL: all of them, of IPv4 and IPv6
 * port     0: one that is free, see scope_udp_port
 * out_udp  until scope_udp_close
 * Thread safety: any task of the run.
 * Returns 0, else *out_udp is untouched:
 *   -ENOTCONN    not called from a task
 *   -EINVAL      host is a name, or out_udp is NULL
 *   -EADDRINUSE  the port is taken
 * or what socket(2) and bind(2) said.
 */
SCOPE_API int scope_udp_open(const char *host, uint16_t port, struct scope_udp **out_udp);

/** Its port; -EINVAL of NULL. */
SCOPE_API int scope_udp_port(const struct scope_udp *udp);

/**
 * Sends a datagram.
 *
 * Cancellation point: -ECANCELED sent nothing.
 * Thread safety: any task of the run, one at a time.
 * Returns 0, else nothing was sent:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     udp, data or to is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EMSGSIZE   it is too long for a datagram
 * or what sendto(2) said, -EBADF and -EBUSY as scope_conn_write.
 */
SCOPE_API int scope_udp_send(struct scope_udp *udp, const void *data, size_t size,
			     const struct scope_address *to);

/**
 * Receives a datagram, of which what does not fit is lost.
 *
 * out_done  its bytes in buffer
 * out_from  who sent it; may be NULL
 * Cancellation point: -ECANCELED received nothing.
 * Thread safety: any task of the run, one at a time.
 * Returns 0, else nothing was received:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     udp, buffer or out_done is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBADF      the socket was closed meanwhile
 *   -EBUSY      another task receives
 * or what recvfrom(2) said.
 */
SCOPE_API int scope_udp_recv(struct scope_udp *udp, void *buffer, size_t size, size_t *out_done,
			     struct scope_address *out_from);

/** Closes it, as scope_conn_close. */
SCOPE_API void scope_udp_close(struct scope_udp *udp);

#ifdef __cplusplus
}
#endif

#endif
