/* runtime/os/socket.c: sockets and their addresses. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/linux.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* -errno, or what the expression gave; again if a signal came first. */
#define RETRY(call)                                                                                \
	({                                                                                         \
		int64_t result_;                                                                   \
		do                                                                                 \
			result_ = (call);                                                          \
		while (result_ < 0 && errno == EINTR);                                             \
		result_ < 0 ? -errno : result_;                                                    \
	})

static int result_of(int rc)
{
	return rc < 0 ? -errno : rc;
}

/* ---- entries of the table ------------------------------------------------------------------ */

/* Past libc's functions, where a thread may be cancelled: each call of one enters and leaves
 * that by two locked instructions.  The checkers know those functions. */
#if defined(SC_ASAN) || defined(SC_TSAN)
#define RECV(fd, buffer, size) recv(fd, buffer, size, 0)
#define SEND(fd, data, size)   send(fd, data, size, MSG_NOSIGNAL)
#else
#define RECV(fd, buffer, size) syscall(SYS_recvfrom, fd, buffer, size, 0, NULL, NULL)
#define SEND(fd, data, size)   syscall(SYS_sendto, fd, data, size, MSG_NOSIGNAL, NULL, 0)
#endif

/* A pipe is no socket, which costs it one more system call. */
int64_t sc_linux_recv(int fd, void *buffer, size_t size)
{
	int64_t n = RETRY(RECV(fd, buffer, size));

	return n == -ENOTSOCK ? RETRY(read(fd, buffer, size)) : n;
}

/* Where nothing says that no SIGPIPE is wanted, it is held back, and taken before it is delivered;
 * but not if one waited before, for a program that blocks it. */
struct held_signal {
	sigset_t pipe, old;
	int waited;
};

static void hold_sigpipe(struct held_signal *held)
{
	sigset_t waiting;

	sigemptyset(&held->pipe);
	sigaddset(&held->pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &held->pipe, &held->old);
	held->waited = sigismember(&held->old, SIGPIPE) && sigpending(&waiting) == 0 &&
		       sigismember(&waiting, SIGPIPE);
}

static void release_sigpipe(struct held_signal *held, int may_have_come)
{
	static const struct timespec at_once;

	if (may_have_come && !held->waited)
		sigtimedwait(&held->pipe, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &held->old, NULL);
}

static int64_t write_pipe(int fd, const void *data, size_t size)
{
	struct held_signal held;
	int64_t n;

	hold_sigpipe(&held);
	n = RETRY(write(fd, data, size));
	release_sigpipe(&held, n == -EPIPE);
	return n;
}

int64_t sc_linux_send(int fd, const void *data, size_t size)
{
	int64_t n = RETRY(SEND(fd, data, size));

	return n == -ENOTSOCK ? write_pipe(fd, data, size) : n;
}

/* The signal comes with a count too, if a part went out before the other side broke off. */
int64_t sc_linux_send_file(int fd, int file, int64_t offset, size_t size)
{
	struct held_signal held;
	off_t from = offset;
	int64_t n;

	hold_sigpipe(&held);
	n = RETRY(sendfile(fd, file, &from, size));
	release_sigpipe(&held, n != (int64_t)size && n != -EAGAIN);
	return n;
}

int sc_linux_accept(int fd)
{
	return (int)RETRY(accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int sc_linux_ready(int fd, unsigned events)
{
	struct pollfd one = {.fd = fd, .events = (short)events};
	int rc;

	if (fd < 0) /* which poll(2) passes over */
		return -EBADF;
	rc = (int)RETRY(poll(&one, 1, 0));
	if (rc < 0)
		return rc;
	return one.revents & POLLNVAL ? -EBADF : one.revents;
}

void sc_linux_close(int fd)
{
	close(fd);
}

/* ---- addresses ----------------------------------------------------------------------------- */

_Static_assert(sizeof(struct sockaddr_un) <= sizeof ((struct sc_address *)0)->bytes &&
		       sizeof(struct sockaddr_in6) <= sizeof ((struct sc_address *)0)->bytes,
	       "an address fits");

static const struct sockaddr *raw(const struct sc_address *address)
{
	return (const struct sockaddr *)address->bytes;
}

int sc_os_address_parse(const char *host, uint16_t port, struct sc_address *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out->bytes;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out->bytes;

	memset(out, 0, sizeof *out);
	if (host && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		out->size = sizeof *v4;
		return 0;
	}
	memset(out, 0, sizeof *out);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	out->size = sizeof *v6;
	return !host || inet_pton(AF_INET6, host, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
}

int sc_os_address_copy(const void *system, size_t size, struct sc_address *out)
{
	if (size > sizeof out->bytes)
		return -EAFNOSUPPORT;
	memset(out, 0, sizeof *out);
	out->size = (uint32_t)size;
	memcpy(out->bytes, system, size);
	return 0;
}

int sc_os_address_path(const char *path, struct sc_address *out)
{
	struct sockaddr_un *un = (struct sockaddr_un *)out->bytes;

	memset(out, 0, sizeof *out);
	if (strlen(path) >= sizeof un->sun_path)
		return -ENAMETOOLONG;
	un->sun_family = AF_UNIX;
	strcpy(un->sun_path, path);
	out->size = sizeof *un;
	return 0;
}

uint16_t sc_os_address_print(const struct sc_address *address, char *text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address->bytes;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address->bytes;
	int family = address->size >= sizeof *v4 ? raw(address)->sa_family : AF_UNSPEC;

	if (size)
		text[0] = '\0';
	if (family == AF_INET)
		inet_ntop(family, &v4->sin_addr, text, (socklen_t)size);
	else if (family == AF_INET6)
		inet_ntop(family, &v6->sin6_addr, text, (socklen_t)size);
	if (family == AF_INET)
		return ntohs(v4->sin_port);
	return family == AF_INET6 ? ntohs(v6->sin6_port) : 0;
}

int sc_os_socket_name(int fd, int of_peer, struct sc_address *out)
{
	socklen_t size = sizeof out->bytes;
	int rc;

	memset(out, 0, sizeof *out);
	rc = of_peer ? getpeername(fd, (struct sockaddr *)out->bytes, &size)
		     : getsockname(fd, (struct sockaddr *)out->bytes, &size);
	out->size = size;
	return result_of(rc);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static void set(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof value);
}

static int new_socket(const struct sc_address *address, int type)
{
	return result_of(socket(raw(address)->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static int is_any(const struct sc_address *address)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address->bytes;

	return raw(address)->sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* A bound socket.  The unspecified address stands for those of IPv4 too, and is that of IPv4
 * where the kernel knows no other. */
static int bound(const struct sc_address *address, int type, int share_port)
{
	struct sc_address v4;
	int fd = new_socket(address, type), rc;

	if (fd == -EAFNOSUPPORT && is_any(address)) {
		sc_os_address_parse("0.0.0.0", sc_os_address_print(address, NULL, 0), &v4);
		return bound(&v4, type, share_port);
	}
	if (fd < 0)
		return fd;
	if (type == SOCK_STREAM && raw(address)->sa_family != AF_UNIX)
		set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (share_port)
		set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	if (is_any(address))
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	rc = result_of(bind(fd, raw(address), address->size));
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int sc_os_listen(const struct sc_address *address, int backlog, int share_port)
{
	int fd = bound(address, SOCK_STREAM, share_port), rc;

	if (fd < 0)
		return fd;
	rc = result_of(listen(fd, backlog));
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int sc_os_datagram(const struct sc_address *address)
{
	return bound(address, SOCK_DGRAM, 0);
}

int sc_linux_connect(const struct sc_address *address, int *out_fd)
{
	int fd = new_socket(address, SOCK_STREAM), rc;

	if (fd < 0)
		return fd;
	rc = result_of(connect(fd, raw(address), address->size));
	if (rc == -EINTR)
		rc = -EINPROGRESS;
	if (rc == 0 || rc == -EINPROGRESS)
		*out_fd = fd;
	else
		close(fd);
	return rc;
}

int sc_os_socket_error(int fd)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

void sc_os_no_delay(int fd)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

int sc_os_shutdown(int fd)
{
	return result_of(shutdown(fd, SHUT_WR));
}

void sc_os_refuse(int fd)
{
	shutdown(fd, SHUT_RDWR);
}

int64_t sc_os_send_to(int fd, const void *data, size_t size, const struct sc_address *to)
{
	return RETRY(sendto(fd, data, size, MSG_NOSIGNAL, raw(to), to->size));
}

int64_t sc_os_recv_from(int fd, void *buffer, size_t size, struct sc_address *from)
{
	socklen_t length = sizeof from->bytes;
	int64_t n = RETRY(recvfrom(fd, buffer, size, 0, (struct sockaddr *)from->bytes, &length));

	from->size = length;
	return n;
}
