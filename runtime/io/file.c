/* runtime/io/file.c: files on the pool of threads: rule N2.
 *
 * What only reads has a request of its own, with a copy of what it is asked and room for the
 * answer: a task that is cancelled abandons it.  What changes something is waited for, so it uses
 * the caller's memory.  A read is tried at once first, without waiting for the disk.
 */
#include "os/file.h"
#include "scope/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <scope_file.h>
#include <scope_offload.h>
#include <string.h>

enum { MOST_AT_ONCE = 1 << 20 };

_Static_assert((int)SCOPE_FILE_REGULAR == SC_FILE_REGULAR &&
		       (int)SCOPE_FILE_DIRECTORY == SC_FILE_DIRECTORY &&
		       (int)SCOPE_FILE_LINK == SC_FILE_LINK,
	       "kinds are those of os/");

/* An abandoned read holds it. */
struct scope_file {
	struct sc_lock lock;
	unsigned holders;  /* lock */
	int fd;            /* const */
	uint64_t position; /* the task that reads or writes without saying where */
};

static void hold(struct scope_file *file)
{
	sc_lock_take(&file->lock);
	file->holders++;
	sc_lock_drop(&file->lock);
}

static void let_go(struct scope_file *file)
{
	int last;

	sc_lock_take(&file->lock);
	last = --file->holders == 0;
	sc_lock_drop(&file->lock);
	if (!last)
		return;
	sc_os.close(file->fd);
	sc_os.free(file);
}

/* ---- what is abandoned --------------------------------------------------------------------- */

/* A question about a path, or a part of a file. */
struct request {
	struct scope_file *file;     /* held by it, or NULL */
	struct sc_file_stat stat; /* out */
	uint64_t offset;
	size_t size;
	int flags;
	unsigned mode;
	char bytes[]; /* the path; or out: what was read */
};

static struct request *new_request(size_t size)
{
	struct request *request = sc_os.alloc(sizeof *request + size);

	if (request)
		*request = (struct request){.size = size};
	return request;
}

static struct request *ask_about(const char *path)
{
	const size_t size = strlen(path) + 1;
	struct request *request = new_request(size);

	if (request)
		memcpy(request->bytes, path, size);
	return request;
}

static void free_request(void *arg, int result)
{
	struct request *request = arg;

	(void)result;
	if (request->file)
		let_go(request->file);
	sc_os.free(request);
}

/* Nobody waits for the file that was opened. */
static void close_late(void *arg, int result)
{
	if (result >= 0)
		sc_os.close(result);
	free_request(arg, result);
}

/* Of another result than -ECANCELED and -ESHUTDOWN the request is left to the caller: `mine`. */
static int offload(scope_task_fn *fn, void *request, void (*drop)(void *arg, int result), int *mine)
{
	const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON, .drop = drop};
	int rc = scope_offload(fn, request, &options);

	*mine = rc != -ECANCELED && rc != -ESHUTDOWN;
	return rc;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static int open_file(void *arg)
{
	struct request *request = arg;

	return sc_os_file_open(request->bytes, request->flags, request->mode);
}

/* What creates or empties a file is waited for. */
static int opened(const char *path, int flags, unsigned mode)
{
	struct request *request = ask_about(path);
	int fd, mine = 1;

	if (!request)
		return -ENOMEM;
	request->flags = flags;
	request->mode = mode;
	if (flags & (O_CREAT | O_TRUNC))
		fd = scope_offload(open_file, request, NULL);
	else
		fd = offload(open_file, request, close_late, &mine);
	if (mine)
		free_request(request, fd);
	return fd;
}

int scope_file_open(const char *path, int flags, unsigned mode, struct scope_file **out_file)
{
	struct scope_file *file;
	int fd;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_open");
	if (!path || !out_file)
		return -EINVAL;
	fd = opened(path, flags, mode);
	if (fd < 0)
		return fd;
	file = sc_os.alloc(sizeof *file);
	if (!file) {
		sc_os.close(fd);
		return -ENOMEM;
	}
	*file = (struct scope_file){.fd = fd, .holders = 1};
	*out_file = file;
	return 0;
}

void scope_file_close(struct scope_file *file)
{
	if (file)
		let_go(file);
}

int scope_file_fd(const struct scope_file *file)
{
	return file ? file->fd : -EINVAL;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_file(void *arg)
{
	struct request *request = arg;

	return (int)sc_os.read_at(request->file->fd, request->bytes, request->size, request->offset,
				  0);
}

static int read_later(struct scope_file *file, void *buffer, size_t size, uint64_t offset)
{
	struct request *request = new_request(size);
	int n, mine;

	if (!request)
		return -ENOMEM;
	request->offset = offset;
	request->file = file;
	hold(file);
	n = offload(read_file, request, free_request, &mine);
	if (n > 0)
		memcpy(buffer, request->bytes, (size_t)n);
	if (mine)
		free_request(request, n);
	return n;
}

int scope_file_read_at(struct scope_file *file, void *buffer, size_t size, uint64_t offset,
		       size_t *out_done)
{
	int rc, n;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_read_at");
	if (!file || !buffer || !out_done)
		return -EINVAL;
	*out_done = 0;
	rc = sc_check(sc_self());
	if (rc < 0)
		return rc;
	size = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;
	n = (int)sc_os.read_at(file->fd, buffer, size, offset, 1);
	if (n == -EAGAIN)
		n = read_later(file, buffer, size, offset);
	if (n < 0)
		return n;
	*out_done = (size_t)n;
	return 0;
}

int scope_file_read(struct scope_file *file, void *buffer, size_t size, size_t *out_done)
{
	int rc = scope_file_read_at(file, buffer, size, file ? file->position : 0, out_done);

	if (rc == 0)
		file->position += *out_done;
	return rc;
}

/* ---- what is waited for -------------------------------------------------------------------- */

/* In the frame of the task. */
struct change {
	struct scope_file *file;
	const char *path, *to;
	const void *data;
	size_t size, done;
	uint64_t offset;
	unsigned mode;
};

static int write_file(void *arg)
{
	struct change *change = arg;

	return sc_os_file_write(change->file->fd, change->data, change->size, change->offset,
				&change->done);
}

int scope_file_write_at(struct scope_file *file, const void *data, size_t size, uint64_t offset,
			size_t *out_done)
{
	struct change change = {.file = file, .data = data, .size = size, .offset = offset};
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_write_at");
	if (!file || !data)
		return -EINVAL;
	rc = scope_offload(write_file, &change, NULL);
	if (out_done)
		*out_done = change.done;
	return rc;
}

int scope_file_write(struct scope_file *file, const void *data, size_t size, size_t *out_done)
{
	size_t done = 0;
	int rc = scope_file_write_at(file, data, size, file ? file->position : 0, &done);

	if (file)
		file->position += done;
	if (out_done)
		*out_done = done;
	return rc;
}

static int sync_file(void *arg)
{
	return sc_os_file_sync(((struct change *)arg)->file->fd);
}

int scope_file_sync(struct scope_file *file)
{
	struct change change = {.file = file};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_sync");
	return file ? scope_offload(sync_file, &change, NULL) : -EINVAL;
}

static int make_dir(void *arg)
{
	struct change *change = arg;

	return sc_os_dir_make(change->path, change->mode);
}

int scope_dir_make(const char *path, unsigned mode)
{
	struct change change = {.path = path, .mode = mode};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_dir_make");
	return path ? scope_offload(make_dir, &change, NULL) : -EINVAL;
}

static int remove_file(void *arg)
{
	return sc_os_file_remove(((struct change *)arg)->path);
}

int scope_file_remove(const char *path)
{
	struct change change = {.path = path};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_remove");
	return path ? scope_offload(remove_file, &change, NULL) : -EINVAL;
}

static int rename_file(void *arg)
{
	struct change *change = arg;

	return sc_os_file_rename(change->path, change->to);
}

int scope_file_rename(const char *from, const char *to)
{
	struct change change = {.path = from, .to = to};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_rename");
	return from && to ? scope_offload(rename_file, &change, NULL) : -EINVAL;
}

/* ---- asking -------------------------------------------------------------------------------- */

static int stat_file(void *arg)
{
	struct request *request = arg;

	return sc_os_file_stat(request->bytes, &request->stat);
}

int scope_file_stat(const char *path, struct scope_file_stat *out_stat)
{
	struct request *request;
	int rc, mine;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_stat");
	if (!path || !out_stat)
		return -EINVAL;
	request = ask_about(path);
	if (!request)
		return -ENOMEM;
	rc = offload(stat_file, request, free_request, &mine);
	if (rc == 0)
		*out_stat = (struct scope_file_stat){.size = request->stat.size,
						     .modified_ns = request->stat.modified_ns,
						     .inode = request->stat.inode,
						     .device = request->stat.device,
						     .mode = request->stat.mode,
						     .kind = (uint32_t)request->stat.kind,
						     .owner = request->stat.owner,
						     .group = request->stat.group,
						     .links = request->stat.links};
	if (mine)
		free_request(request, rc);
	return rc;
}
