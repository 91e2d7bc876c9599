/* examples/scope-httpd/log.c: the access log, written in large pieces. */
#include "httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <scope_signal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MOST = 4 << 10 };

int log_open(struct log *log, const char *path)
{
	log->path = path;
	log->fd = -1;
	if (!path)
		return 0;
	if (strcmp(path, "-") == 0)
		log->fd = STDOUT_FILENO;
	else
		log->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return log->fd < 0 ? -errno : 0;
}

static void complain(const struct log *log, const char *what)
{
	fprintf(stderr, "scope-httpd: can't %s %s: %s\n", what, log->path, strerror(errno));
}

/* With the lock held.  What can't be written is lost, which is said once each time that it
 * begins. */
static void flush(struct log *log)
{
	size_t done = 0;
	ssize_t n = 1;

	while (n > 0 && done < log->used) {
		n = write(log->fd, log->buffer + done, log->used - done);
		if (n > 0)
			done += (size_t)n;
		else if (errno == EINTR)
			n = 1;
	}
	if (n <= 0 && !log->loses)
		complain(log, "write, and loses lines of,");
	if (log->used)
		log->loses = n <= 0;
	log->used = 0;
}

void log_flush(struct log *log)
{
	pthread_mutex_lock(&log->lock);
	flush(log);
	pthread_mutex_unlock(&log->lock);
}

void log_close(struct log *log)
{
	log_flush(log);
	if (log->fd >= 0 && log->fd != STDOUT_FILENO)
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
	int fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0) {
		complain(log, "open anew");
		return;
	}
	pthread_mutex_lock(&log->lock);
	flush(log);
	close(log->fd);
	log->fd = fd;
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
		if (log->fd != STDOUT_FILENO)
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
		flush(log);
	log->used += make_line(log->buffer + log->used, c, status, bytes);
	pthread_mutex_unlock(&log->lock);
}
