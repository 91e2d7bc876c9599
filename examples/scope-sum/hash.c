/* examples/scope-sum/hash.c: the SHA-256 of one file, as a task. */
#include "sum.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

static void failed(struct file *f, const char *what)
{
	f->state = FILE_FAILED;
	note_error(f->slice->dir->path, f->name, what);
}

static void failed_errno(struct file *f, int error)
{
	f->state = FILE_FAILED;
	note_errno(f->slice->dir->path, f->name, error);
}

/* A task that gives way keeps its file open, so it may do so only while few are open. */
static bool cancelled(void)
{
	if (atomic_load_explicit(&sum.hashing, memory_order_relaxed) > sum.parked_max)
		return scope_cancelled();
	return scope_checkpoint() != 0;
}

/* Names from outside a tree are followed and read whatever they are; inside a tree only
 * what is a regular file, even if it was replaced since the walk saw it. */
static int open_file(const struct file *f)
{
	if (f->slice->dir->length)
		return open_at(f->slice->fd, f->name, f->length, O_RDONLY | O_NOFOLLOW);
	if (!strcmp(f->name, "-")) {
		int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? -errno : fd;
	}
	return open_at(AT_FDCWD, f->name, f->length, O_RDONLY);
}

/* Files of /proc and /sys have sizes that say nothing, but always the same ones. */
static bool size_changed(int fd, const struct stat *before)
{
	struct stat after;

	return !fstat(fd, &after) && after.st_size != before->st_size;
}

enum read_end { READ_ALL, READ_CANCELLED, READ_ERROR, READ_CHANGED };

/* Reads to the end of the file; an error is left in *out_error.  A short read that reaches
 * the size known before is the end too, which saves small files a system call.  The size
 * is looked at again when more comes than it said: someone may append faster than this
 * can read. */
static enum read_end read_all(int fd, const struct stat *st, struct kit *k, int *out_error)
{
	bool regular = S_ISREG(st->st_mode), sized = regular && st->st_size > 0;
	uint64_t size = (uint64_t)st->st_size, total = 0;
	size_t since = 0;

	for (;;) {
		if (!regular && (scope_cancelled() || wait_ready(fd, POLLIN)))
			return READ_CANCELLED;
		ssize_t n = read(fd, k->buffer, READ_SIZE);
		if (n < 0 && (errno == EINTR || (errno == EAGAIN && !regular)))
			continue;
		if (n < 0) {
			*out_error = errno;
			return READ_ERROR;
		}
		EVP_DigestUpdate(k->context, k->buffer, (size_t)n);
		total += (uint64_t)n;
		atomic_fetch_add_explicit(&sum.bytes_done, (uint64_t)n, memory_order_relaxed);
		if (regular && total == size && n < READ_SIZE)
			return READ_ALL;
		if (n == 0)
			return sized && size_changed(fd, st) ? READ_CHANGED : READ_ALL;
		if (sized && total > size) {
			if (size_changed(fd, st))
				return READ_CHANGED;
			sized = false;
		}
		since += (size_t)n;
		if (since >= CANCEL_STRIDE) {
			since = 0;
			if (cancelled())
				return READ_CANCELLED;
		}
	}
}

static void hash_open_file(struct file *f, int fd, const struct stat *st)
{
	int error = 0;
	struct kit *k = kit_take();

	if (!k) {
		failed_errno(f, ENOMEM);
		return;
	}
	switch (read_all(fd, st, k, &error)) {
	case READ_ALL:
		if (EVP_DigestFinal_ex(k->context, f->digest, NULL) == 1)
			f->state = FILE_DONE;
		else
			failed(f, "the digest failed");
		break;
	case READ_CHANGED:
		failed(f, "size changed while it was read");
		break;
	case READ_ERROR:
		failed_errno(f, error);
		break;
	case READ_CANCELLED:
		break;
	}
	kit_give(k);
}

/* True if the open file is to be hashed; else it was reported. */
static bool wanted(struct file *f, int fd, struct stat *st)
{
	bool in_tree = f->slice->dir->length != 0;

	if (fstat(fd, st)) {
		failed_errno(f, errno);
	} else if (S_ISDIR(st->st_mode)) {
		failed_errno(f, EISDIR);
	} else if (in_tree && !S_ISREG(st->st_mode)) {
		f->state = FILE_LEFT_OUT;
		note_plain(f->slice->dir->path, f->name, "not a regular file; skipped");
	} else if (sum.out_exists && st->st_dev == sum.out_dev && st->st_ino == sum.out_ino) {
		f->state = FILE_LEFT_OUT;
		note_plain(f->slice->dir->path, f->name, "is the output file; skipped");
	} else {
		return true;
	}
	return false;
}

int hash_task(void *file)
{
	struct file *f = file;
	struct stat st;

	if (scope_cancelled())
		return 0;
	atomic_fetch_add_explicit(&sum.hashing, 1, memory_order_relaxed);
	int fd = open_file(f);
	if (fd >= 0) {
		if (wanted(f, fd, &st)) {
			if (S_ISREG(st.st_mode) && st.st_size > CANCEL_STRIDE)
				posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
			hash_open_file(f, fd, &st);
		}
		close(fd);
	} else if (fd != -ECANCELED) {
		failed_errno(f, -fd);
	}
	atomic_fetch_sub_explicit(&sum.hashing, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&sum.files_done, 1, memory_order_relaxed);
	return 0;
}
