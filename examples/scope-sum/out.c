/* examples/scope-sum/out.c: output in whole lines; a file appears complete or not at all.
 *
 * A pipe or terminal gets writes of at most PIPE_BUF bytes that end with a line, each when
 * poll says that it has room: such a write is atomic and does not block, so an interrupt
 * comes between two lines even when nobody reads.
 */
#include "sum.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024 };

static char *temporary_beside(const char *target)
{
	const char *slash = strrchr(target, '/');
	struct text t = {0};

	if (slash)
		text_put(&t, target, (size_t)(slash - target) + 1);
	text_put(&t, ".scope-sum.XXXXXX", sizeof(".scope-sum.XXXXXX"));
	if (t.bad)
		text_free(&t);
	return t.data;
}

/* What -o will do is known before hours of hashing: a missing directory is told at once,
 * and the old file is not hashed as a part of the tree. */
int out_probe(const char *name)
{
	struct stat st;

	if (!stat(name, &st)) {
		if (S_ISDIR(st.st_mode)) {
			note_errno("", name, EISDIR);
			return -EISDIR;
		}
		sum.out_exists = S_ISREG(st.st_mode);
		sum.out_dev = st.st_dev;
		sum.out_ino = st.st_ino;
		if (!sum.out_exists)
			return 0;
	}
	char *path = strdup(name);
	if (!path)
		return -ENOMEM;
	char *slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	int rc = faccessat(AT_FDCWD, slash ? path : ".", W_OK | X_OK, AT_EACCESS) ? -errno : 0;
	free(path);
	if (rc)
		note_errno("", name, -rc);
	return rc;
}

/* The file keeps its mode; a new one gets what the umask leaves. */
static mode_t wanted_mode(const char *target)
{
	struct stat st;

	if (!stat(target, &st))
		return st.st_mode & 07777;
	mode_t mask = umask(0);
	umask(mask);
	return 0666 & ~mask;
}

static int open_temporary(struct out *o)
{
	char *real = realpath(o->name, NULL);

	o->target = real ? real : strdup(o->name);
	o->temporary = o->target ? temporary_beside(o->target) : NULL;
	if (!o->temporary)
		return -ENOMEM;
	o->fd = mkostemp(o->temporary, O_CLOEXEC);
	if (o->fd < 0)
		return -errno;
	return fchmod(o->fd, wanted_mode(o->target)) ? -errno : 0;
}

static void release(struct out *o)
{
	free(o->target);
	free(o->temporary);
	free(o->buffer);
}

int out_open(struct out *o, const char *name)
{
	struct stat st;
	int rc = 0;

	*o = (struct out){.fd = STDOUT_FILENO, .name = name ? name : "standard output"};
	o->buffer = malloc(CHUNK);
	if (!o->buffer) {
		rc = -ENOMEM;
	} else if (name && !stat(name, &st) && !S_ISREG(st.st_mode)) {
		o->fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		rc = o->fd < 0 ? -errno : 0;
	} else if (name) {
		rc = open_temporary(o);
	}
	if (rc) {
		note_errno("", o->name, -rc);
		if (o->temporary && o->fd > STDERR_FILENO) {
			unlink(o->temporary);
			close(o->fd);
		}
		release(o);
		return rc;
	}
	bool regular = !fstat(o->fd, &st) && S_ISREG(st.st_mode);
	o->chunk = regular ? CHUNK : PIPE_BUF;
	return 0;
}

/* Starts nothing once cancelled; a line too long for one write is then still completed if
 * the reader takes it. */
static int put(struct out *o, const char *data, size_t length)
{
	if (scope_cancelled())
		return -ECANCELED;
	while (length) {
		size_t piece = length < o->chunk ? length : o->chunk;

		if (o->chunk == PIPE_BUF && wait_ready(o->fd, POLLOUT))
			return -ECANCELED;
		ssize_t n = write(o->fd, data, piece);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			int error = errno;
			note_errno("", o->name, error);
			return -error;
		}
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

static int flush(struct out *o)
{
	size_t used = o->used;

	o->used = 0;
	int rc = put(o, o->buffer, used);
	/* Starts the disk early, so that the last fsync is short. */
	if (!rc && o->temporary)
		sync_file_range(o->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return rc;
}

int out_write(struct out *o, const char *line, size_t length)
{
	int rc = 0;

	if (o->used + length > o->chunk)
		rc = flush(o);
	if (!rc && length > o->chunk)
		return put(o, line, length);
	if (!rc) {
		memcpy(o->buffer + o->used, line, length);
		o->used += length;
	}
	return rc;
}

static int publish(struct out *o)
{
	if (fsync(o->fd))
		return -errno;
	if (scope_cancelled())
		return -ECANCELED;
	return rename(o->temporary, o->target) ? -errno : 0;
}

int out_finish(struct out *o, int rc)
{
	if (!rc)
		rc = flush(o);
	else if (rc == -ENOMEM)
		note_errno("", o->name, ENOMEM);
	if (!rc && o->temporary) {
		rc = publish(o);
		if (rc && rc != -ECANCELED)
			note_errno("", o->name, -rc);
	}
	if (rc && o->temporary)
		unlink(o->temporary);
	/* Some file systems tell of a full disk only now; a temporary was synced. */
	if (close(o->fd) && !rc && !o->temporary) {
		rc = -errno;
		note_errno("", o->name, -rc);
	}
	release(o);
	return rc;
}
