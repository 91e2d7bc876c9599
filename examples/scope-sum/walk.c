/* examples/scope-sum/walk.c: directories as scopes: lists them, makes slices of files.
 *
 * A directory is a task whose scope holds its subdirectories.  Its files go to the scope
 * of the whole run, so the walk does not wait for hashing.  A directory's descriptor is
 * closed before its subdirectories are joined: a tree 10,000 levels deep needs no more
 * descriptors than a flat one.  Links inside a tree are not followed.
 */
#include "sum.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As the kernel writes it; d_name is NUL-terminated. */
struct entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

static int walk_task(void *dir);

/* NULL: no memory.  For the command line `up` is NULL and `name` a path. */
static struct dir *dir_new(const struct dir *up, const char *name, size_t length)
{
	size_t before = up ? up->length : 0;
	bool slash = name[length - 1] != '/';
	struct dir *d = malloc(sizeof(*d) + before + length + 2);

	if (!d)
		return NULL;
	*d = (struct dir){
		.up = up, .given = !up, .fd = -1, .length = before + length + slash};
	if (up)
		memcpy(d->path, up->path, before);
	memcpy(d->path + before, name, length);
	if (slash)
		d->path[before + length] = '/';
	d->path[d->length] = '\0';
	return d;
}

/* The innermost directory at or above `d` that is the one of `st`, else NULL. */
static const struct dir *find_above(const struct dir *d, const struct stat *st)
{
	while (d && (d->dev != st->st_dev || d->ino != st->st_ino))
		d = d->up;
	return d;
}

static int fd_ahead(int at, const char *name, int *out_error)
{
	int fd = -1;

	*out_error = 0;
	if (atomic_fetch_add(&sum.handed, 1) < sum.handed_max) {
		fd = openat(at, name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0 && errno != EMFILE && errno != ENFILE)
			*out_error = errno;
	}
	if (fd < 0)
		atomic_fetch_sub(&sum.handed, 1);
	return fd;
}

static void add_subdirectory(struct scope *s, const struct dir *up, int at, const char *name)
{
	int error;
	int fd = fd_ahead(at, name, &error);

	if (error) {
		note_errno(up->path, name, error);
		return;
	}
	struct dir *d = dir_new(up, name, strlen(name));
	if (d) {
		d->fd = fd;
		if (!scope_spawn(s, walk_task, d))
			return;
		free(d);
	} else {
		note_errno(up->path, name, ENOMEM);
	}
	if (fd >= 0) {
		close(fd);
		atomic_fetch_sub(&sum.handed, 1);
	}
}

static const char *kind_name(unsigned char type)
{
	switch (type) {
	case DT_FIFO:
		return "FIFO; skipped";
	case DT_SOCK:
		return "socket; skipped";
	case DT_CHR:
	case DT_BLK:
		return "device; skipped";
	default:
		return "not a regular file; skipped";
	}
}

static unsigned char entry_type(const struct dir *dir, int at, const struct entry *e)
{
	struct stat st;

	if (e->type != DT_UNKNOWN && !(e->type == DT_REG && sum.progress))
		return e->type;
	if (fstatat(at, e->name, &st, AT_SYMLINK_NOFOLLOW)) {
		if (e->type == DT_UNKNOWN)
			note_errno(dir->path, e->name, errno);
		return e->type;
	}
	if (S_ISREG(st.st_mode))
		atomic_fetch_add_explicit(&sum.bytes_seen, (uint64_t)st.st_size,
					  memory_order_relaxed);
	return (unsigned char)IFTODT(st.st_mode);
}

static void add_entry(struct scope *s, struct dir *dir, int at, const struct entry *e,
		      struct batch *batch)
{
	const char *name = e->name;

	if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
		return;
	unsigned char type = entry_type(dir, at, e);
	if (type == DT_REG)
		batch_add(batch, name, strlen(name));
	else if (type == DT_DIR)
		add_subdirectory(s, dir, at, name);
	else if (type == DT_LNK) /* not followed, wherever it leads, as find does */
		atomic_fetch_add_explicit(&sum.links, 1, memory_order_relaxed);
	else if (type != DT_UNKNOWN)
		note_plain(dir->path, name, kind_name(type));
}

/* The listing is streamed: a directory of millions of names is never held as a whole. */
static int list(struct scope *s, struct dir *dir, int fd, char *buffer)
{
	struct batch batch;
	long n;

	batch_start(&batch, dir);
	while ((n = syscall(SYS_getdents64, fd, buffer, READ_SIZE)) > 0) {
		if (scope_cancelled())
			break;
		for (long at = 0; at < n;) {
			const struct entry *e = (const struct entry *)(buffer + at);

			add_entry(s, dir, fd, e, &batch);
			at += e->size;
		}
	}
	int error = n < 0 ? errno : 0;
	batch_send(&batch);
	return -error;
}

static int identify(struct dir *dir, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	const struct dir *twin = find_above(dir->up, &st);
	dir->dev = st.st_dev;
	dir->ino = st.st_ino;
	return twin ? -ELOOP : 0;
}

/* Opens the directory unless the parent did.  A descriptor or -errno. */
static int take_fd(struct dir *dir)
{
	int fd = dir->fd;

	if (fd < 0) {
		int follow = dir->given ? 0 : O_NOFOLLOW;
		size_t length = dir->length;

		return open_at(AT_FDCWD, dir->path, length > 1 ? length - 1 : length,
			       O_RDONLY | O_DIRECTORY | follow);
	}
	dir->fd = -1;
	atomic_fetch_sub(&sum.handed, 1);
	return fd;
}

static void list_into(struct scope *s, struct dir *dir)
{
	int fd = take_fd(dir);
	struct kit *k = NULL;
	int rc = fd;

	if (rc >= 0)
		rc = scope_cancelled() ? -ECANCELED : identify(dir, fd);
	if (!rc)
		k = kit_take();
	if (!rc)
		rc = k ? list(s, dir, fd, (char *)k->buffer) : -ENOMEM;
	if (rc == -ELOOP)
		note_error(dir->path, "", "loop: it is the same directory as one above it");
	else if (rc && rc != -ECANCELED)
		note_errno(dir->path, "", -rc);
	if (k)
		kit_give(k);
	if (fd >= 0)
		close(fd);
}

static int walk_task(void *arg)
{
	struct dir *dir = arg;
	struct scope s;

	scope_open(&s);
	list_into(&s, dir);
	int rc = scope_close(&s);
	if (!dir->used)
		free(dir);
	return rc == -ECANCELED ? 0 : rc;
}

static void add_argument(struct scope *s, struct batch *batch, const char *path)
{
	struct stat st;
	size_t length = strlen(path);
	int fd = -1;

	if (strcmp(path, "-")) {
		fd = open_at(AT_FDCWD, path, length, O_PATH);
		if (fd < 0 || fstat(fd, &st)) {
			note_errno("", path, fd < 0 ? -fd : errno);
			if (fd >= 0)
				close(fd);
			return;
		}
		close(fd);
	}
	if (fd < 0 || !S_ISDIR(st.st_mode)) {
		if (fd >= 0)
			atomic_fetch_add(&sum.bytes_seen, (uint64_t)st.st_size);
		batch_add(batch, path, length);
		return;
	}
	while (length > 1 && path[length - 1] == '/')
		length--;
	struct dir *d = dir_new(NULL, path, length);
	if (!d)
		note_errno("", path, ENOMEM);
	else if (scope_spawn(s, walk_task, d))
		free(d);
}

/* Returns when all is listed; the slices are in sum.hash by then. */
int walk_arguments(char **paths, int count)
{
	struct scope s;
	struct batch batch;

	scope_open(&s);
	batch_start(&batch, &as_given);
	for (int i = 0; i < count && !scope_cancelled(); i++)
		add_argument(&s, &batch, paths[i]);
	batch_send(&batch);
	return scope_close(&s);
}
