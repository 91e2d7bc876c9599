/* examples/scope-httpd/log.c: the access log, written in large pieces.
 *
 * Requests do not wait for who reads it, such as the other end of a pipe: what that does not take
 * in time is lost and counted.
 */
#include "httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <scope_signal.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MOST = 4 << 10, LAST_WAIT_MS = 1000 };

static const char too_slow[] = "what reads it is too slow";

/* ---- the descriptor -------------------------------------------------------------------------- */

/* For PIPE_BUF bytes, if it is a pipe. */
static bool has_room(int fd, int wait_ms)
{
	struct pollfd one = {.fd = fd, .events = POLLOUT};

	return poll(&one, 1, wait_ms) != 0;
}

void say(const char *format, ...)
{
	va_list arguments;

	if (!has_room(STDERR_FILENO, 0))
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
}

static void complain(const struct log *log, const char *what, const char *why)
{
	say("scope-httpd: can't %s %s: %s\n", what, log->path, why);
}

/* A descriptor that does not block, or -errno.  That of standard output is not to be changed, for
 * other programs have it too: what it is opened for is opened once more.  A socket can't be. */
static int open_file(const char *path)
{
	enum { HOW = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC };
	int fd;

	if (strcmp(path, "-")) {
		fd = open(path, HOW | O_CREAT, 0644);
	} else {
		fd = open("/proc/self/fd/1", HOW);
		if (fd < 0)
			fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
	}
	return fd < 0 ? -errno : fd;
}

/* ---- what was not written ---------------------------------------------------------------------
 * With the lock held, as what follows. */

static void lose(struct log *log, uint64_t lines, const char *why)
{
	if (!log->loses)
		complain(log, "write, and loses lines of,", why);
	log->loses = true;
	log->lost += lines;
}

static void lose_from(struct log *log, size_t at, const char *why)
{
	uint64_t lines = 0;
	size_t i;

	for (i = at; i < log->used; i++)
		lines += log->buffer[i] == '\n';
	lose(log, lines, why);
	log->used = at;
}

uint64_t log_lost(struct log *log)
{
	uint64_t lost;

	pthread_mutex_lock(&log->lock);
	lost = log->lost;
	pthread_mutex_unlock(&log->lock);
	return lost;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* As much as is taken, each piece within that time.  What is not stays for the next time, but for
 * errors, which would come again. */
static void flush(struct log *log, int wait_ms)
{
	size_t done = 0, size;
	ssize_t n = 0;

	while (done < log->used && has_room(log->fd, wait_ms)) {
		size = log->used - done;
		if (size > PIPE_BUF && !log->is_file)
			size = PIPE_BUF;
		n = write(log->fd, log->buffer + done, size);
		if (n < 0 && errno != EINTR)
			break;
		done += n < 0 ? 0 : (size_t)n;
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		lose_from(log, done, strerror(errno));
	else if (done > 0 && done == log->used)
		log->loses = false;
	log->used -= done;
	memmove(log->buffer, log->buffer + done, log->used);
}

static void log_flush(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	flush(log, 0);
	pthread_mutex_unlock(&log->lock);
}

static void use(struct log *log, int fd)
{
	struct stat st;

	log->fd = fd;
	log->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int log_open(struct log *log, const char *path)
{
	int fd;

	log->path = path;
	if (!path)
		return 0;
	fd = open_file(path);
	if (fd < 0)
		return fd;
	use(log, fd);
	return 0;
}

void log_close(struct log *log)
{
	if (log->fd < 0)
		return;
	flush(log, LAST_WAIT_MS);
	if (log->used > 0)
		lose_from(log, 0, too_slow);
	close(log->fd);
	log->fd = -1;
}

int log_keep(void *arg)
{
	int rc;

	while ((rc = scope_sleep_for(SCOPE_SEC)) == 0)
		log_flush(arg);
	return rc;
}

static void reopen(struct log *log)
{
	int fd = open_file(log->path);

	if (fd < 0) {
		complain(log, "open anew", strerror(-fd));
		return;
	}
	pthread_mutex_lock(&log->lock);
	flush(log, 0);
	close(log->fd);
	use(log, fd);
	pthread_mutex_unlock(&log->lock);
}

int log_reopen(void *arg)
{
	struct log *log = arg;
	struct scope_signal *hangups;
	int rc = scope_signal_open(SIGHUP, &hangups);

	if (rc < 0)
		return rc;
	while ((rc = scope_signal_next(hangups)) == 0)
		reopen(log);
	scope_signal_close(hangups);
	return rc;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* What a client sent, so that it stays within its quotes and its line. */
static size_t put_quoted(char *out, size_t room, struct span text)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t i, at = 0;

	for (i = 0; i < text.size && at + 4 <= room; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
			out[at++] = (char)c;
			continue;
		}
		out[at++] = '\\';
		out[at++] = 'x';
		out[at++] = digits[c >> 4];
		out[at++] = digits[c & 15];
	}
	return at;
}

static size_t put_header(char *out, size_t room, const struct request *r, enum header header)
{
	struct span text = r->value[header];

	return put_quoted(out, room, text.at ? text : SPAN("-"));
}

static size_t make_line(char *out, const struct client *c, int status, int64_t bytes)
{
	const struct desk *desk = c->desk;
	const struct request *r = &desk->request;
	size_t at = (size_t)snprintf(out, 128, "%s - - [%s] \"", c->address, desk->log_date);

	if (r->complete) {
		at += (size_t)snprintf(out + at, 64, "%s ",
				       llhttp_method_name((llhttp_method_t)r->parser.method));
		at += put_quoted(out + at, 2048, r->target);
		at += (size_t)snprintf(out + at, 64, " HTTP/%d.%d", r->parser.http_major,
				       r->parser.http_minor);
	} else {
		out[at++] = '-';
	}
	at += (size_t)snprintf(out + at, 64, "\" %d %lld \"", status, (long long)bytes);
	at += put_header(out + at, 512, r, HEADER_REFERER);
	memcpy(out + at, "\" \"", 3);
	at += 3;
	at += put_header(out + at, 512, r, HEADER_USER_AGENT);
	memcpy(out + at, "\"\n", 2);
	return at + 2;
}

void log_request(struct log *log, const struct client *c, int status, int64_t bytes)
{
	if (!log->path)
		return;
	pthread_mutex_lock(&log->lock);
	if (sizeof log->buffer - log->used < LINE_MOST)
		flush(log, 0);
	if (sizeof log->buffer - log->used < LINE_MOST)
		lose(log, 1, too_slow);
	else
		log->used += make_line(log->buffer + log->used, c, status, bytes);
	pthread_mutex_unlock(&log->lock);
}
