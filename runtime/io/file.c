/* runtime/io/file.c: files, by libuv: rule N2.
 *
 * What only reads may be abandoned: its operation is from the heap, with room for what is read.
 * What changes something is waited for, in memory of the task.  A read is tried at once first,
 * without waiting for the disk.
 */
#include "io/engine.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <scope_file.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_AT_ONCE = 1 << 20, PERMISSIONS = 07777 };

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

/* ---- requests ------------------------------------------------------------------------------ */

struct request {
	struct sc_op op;
	struct scope_file *file; /* from the heap: held by it */
	const char *path, *to;
	const void *data;
	size_t size;
	uint64_t offset;
	int flags;
	unsigned mode;
	char bytes[]; /* from the heap: what is read */
};

static struct request *request_of(struct sc_op *op)
{
	return SC_CONTAINER(op, struct request, op);
}

static void on_end(uv_fs_t *fs)
{
	sc_op_ended(SC_CONTAINER(fs, struct sc_op, uv.fs));
}

static void drop(struct sc_op *op)
{
	struct request *request = request_of(op);

	uv_fs_req_cleanup(&op->uv.fs);
	if (request->file)
		let_go(request->file);
	sc_os.free(request);
}

/* Nobody waits for the file that was opened. */
static void drop_opened(struct sc_op *op)
{
	if (op->state == SC_OP_ABANDONED && op->uv.fs.result >= 0)
		sc_os.close((int)op->uv.fs.result);
	drop(op);
}

/* One that may be abandoned, of the function `what`. */
static struct request *new_request(const void *what, size_t size)
{
	struct request *request = sc_os.alloc(sizeof *request + size);

	if (request)
		*request = (struct request){.op = {.what = what, .drop = drop}, .size = size};
	return request;
}

/* One in memory of the task. */
static int64_t wait_for(struct request *request, sc_op_start *start)
{
	int rc = sc_op_run(&request->op, start);
	int64_t result = rc < 0 ? rc : request->op.uv.fs.result;

	uv_fs_req_cleanup(&request->op.uv.fs);
	return result;
}

/* ---- opening and closing ------------------------------------------------------------------- */

static int start_open(uv_loop_t *loop, struct sc_op *op)
{
	const struct request *request = request_of(op);

	return uv_fs_open(loop, &op->uv.fs, request->path, request->flags, (int)request->mode,
			  on_end);
}

static int open_or_abandon(const char *path, int flags)
{
	struct request *request = new_request((const void *)scope_file_open, 0);
	int rc;

	if (!request)
		return -ENOMEM;
	request->path = path;
	request->flags = flags;
	request->op.drop = drop_opened;
	rc = sc_op_run(&request->op, start_open);
	if (rc < 0)
		return rc;
	rc = (int)request->op.uv.fs.result;
	drop(&request->op);
	return rc;
}

/* What creates or empties a file is waited for. */
static int opened(const char *path, int flags, unsigned mode)
{
	struct request request = {.op = {.what = (const void *)scope_file_open},
				  .path = path, .flags = flags, .mode = mode};

	return flags & (O_CREAT | O_TRUNC) ? (int)wait_for(&request, start_open)
					   : open_or_abandon(path, flags);
}

int scope_file_open(const char *path, int flags, unsigned mode, struct scope_file **out_file)
{
	struct scope_file *file;
	int fd, rc = 0;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_open");
	if (!path || !out_file)
		return -EINVAL;
	fd = opened(path, flags, mode);
	if (fd < 0)
		return fd;
	file = sc_os.alloc(sizeof *file);
	if (!file)
		rc = -ENOMEM;
	else if (!sc_os_file_has_places(fd))
		rc = -ESPIPE;
	if (rc < 0) {
		sc_os.close(fd);
		sc_os.free(file);
		return rc;
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

static int start_read(uv_loop_t *loop, struct sc_op *op)
{
	struct request *request = request_of(op);
	const uv_buf_t to = uv_buf_init(request->bytes, (unsigned)request->size);

	return uv_fs_read(loop, &op->uv.fs, request->file->fd, &to, 1, (int64_t)request->offset,
			  on_end);
}

static int read_later(struct scope_file *file, void *buffer, size_t size, uint64_t offset)
{
	struct request *request = new_request((const void *)scope_file_read_at, size);
	int n;

	if (!request)
		return -ENOMEM;
	request->offset = offset;
	request->file = file;
	hold(file);
	n = sc_op_run(&request->op, start_read);
	if (n < 0)
		return n;
	n = (int)request->op.uv.fs.result;
	if (n > 0)
		memcpy(buffer, request->bytes, (size_t)n);
	drop(&request->op);
	return n;
}

int scope_file_read_at(struct scope_file *file, void *buffer, size_t size, uint64_t offset,
		       size_t *out_done)
{
	int rc, n;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_read_at");
	if (!file || !buffer || !out_done || offset > INT64_MAX)
		return -EINVAL;
	*out_done = 0;
	rc = sc_check(sc_self());
	if (rc < 0)
		return rc;
	size = size < MOST_AT_ONCE ? size : MOST_AT_ONCE;
	n = (int)sc_os.read_now(file->fd, buffer, size, offset);
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

static int start_write(uv_loop_t *loop, struct sc_op *op)
{
	const struct request *request = request_of(op);
	/* libuv takes no const; it only reads. */
	const uv_buf_t from = {(char *)(uintptr_t)request->data, request->size};

	return uv_fs_write(loop, &op->uv.fs, request->file->fd, &from, 1, (int64_t)request->offset,
			   on_end);
}

/* The system may take a part of what is large, or of what no longer fits. */
static int write_all(struct scope_file *file, const char *data, size_t size, uint64_t offset,
		     size_t *done)
{
	int64_t n;

	do {
		struct request request = {.op = {.what = (const void *)scope_file_write_at},
					  .file = file,
					  .data = data + *done,
					  .size = size - *done,
					  .offset = offset + *done};

		n = wait_for(&request, start_write);
		if (n < 0)
			return (int)n;
		*done += (size_t)n;
	} while (n > 0 && *done < size);
	return 0;
}

int scope_file_write_at(struct scope_file *file, const void *data, size_t size, uint64_t offset,
			size_t *out_done)
{
	size_t done = 0;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_write_at");
	if (!file || !data || offset > INT64_MAX || size > INT64_MAX - offset)
		return -EINVAL;
	rc = write_all(file, data, size, offset, &done);
	if (out_done)
		*out_done = done;
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

static int start_sync(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_fsync(loop, &op->uv.fs, request_of(op)->file->fd, on_end);
}

int scope_file_sync(struct scope_file *file)
{
	struct request request = {.op = {.what = (const void *)scope_file_sync}, .file = file};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_sync");
	return file ? (int)wait_for(&request, start_sync) : -EINVAL;
}

static int start_mkdir(uv_loop_t *loop, struct sc_op *op)
{
	const struct request *request = request_of(op);

	return uv_fs_mkdir(loop, &op->uv.fs, request->path, (int)request->mode, on_end);
}

int scope_dir_make(const char *path, unsigned mode)
{
	struct request request = {.op = {.what = (const void *)scope_dir_make},
				  .path = path, .mode = mode};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_dir_make");
	return path ? (int)wait_for(&request, start_mkdir) : -EINVAL;
}

static int start_unlink(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_unlink(loop, &op->uv.fs, request_of(op)->path, on_end);
}

static int start_rmdir(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_rmdir(loop, &op->uv.fs, request_of(op)->path, on_end);
}

static int remove_by(const char *path, sc_op_start *start)
{
	struct request request = {.op = {.what = (const void *)scope_file_remove}, .path = path};

	return (int)wait_for(&request, start);
}

int scope_file_remove(const char *path)
{
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_remove");
	if (!path)
		return -EINVAL;
	rc = remove_by(path, start_unlink);
	return rc == -EISDIR ? remove_by(path, start_rmdir) : rc;
}

static int start_rename(uv_loop_t *loop, struct sc_op *op)
{
	const struct request *request = request_of(op);

	return uv_fs_rename(loop, &op->uv.fs, request->path, request->to, on_end);
}

int scope_file_rename(const char *from, const char *to)
{
	struct request request = {.op = {.what = (const void *)scope_file_rename},
				  .path = from, .to = to};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_rename");
	return from && to ? (int)wait_for(&request, start_rename) : -EINVAL;
}

/* ---- asking -------------------------------------------------------------------------------- */

static int start_stat(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_stat(loop, &op->uv.fs, request_of(op)->path, on_end);
}

static int start_link_stat(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_lstat(loop, &op->uv.fs, request_of(op)->path, on_end);
}

static enum scope_file_kind kind_of(uint64_t mode)
{
	return S_ISREG(mode)   ? SCOPE_FILE_REGULAR
	       : S_ISDIR(mode) ? SCOPE_FILE_DIRECTORY
	       : S_ISLNK(mode) ? SCOPE_FILE_LINK
			       : SCOPE_FILE_OTHER;
}

/* For the function `what`. */
static int ask(const void *what, sc_op_start *start, const char *path,
	       struct scope_file_stat *out_stat)
{
	struct request *request;
	const uv_stat_t *stat;
	int rc;

	if (!path || !out_stat)
		return -EINVAL;
	request = new_request(what, 0);
	if (!request)
		return -ENOMEM;
	request->path = path;
	rc = sc_op_run(&request->op, start);
	if (rc < 0)
		return rc;
	rc = (int)request->op.uv.fs.result;
	stat = &request->op.uv.fs.statbuf;
	if (rc == 0)
		*out_stat = (struct scope_file_stat){
			.size = stat->st_size,
			.modified_ns = (int64_t)stat->st_mtim.tv_sec * SCOPE_SEC +
				       stat->st_mtim.tv_nsec,
			.inode = stat->st_ino,
			.device = stat->st_dev,
			.mode = (uint32_t)stat->st_mode & PERMISSIONS,
			.kind = (uint32_t)kind_of(stat->st_mode),
			.owner = (uint32_t)stat->st_uid,
			.group = (uint32_t)stat->st_gid,
			.links = stat->st_nlink};
	drop(&request->op);
	return rc;
}

int scope_file_stat(const char *path, struct scope_file_stat *out_stat)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_stat");
	return ask((const void *)scope_file_stat, start_stat, path, out_stat);
}

int scope_file_link_stat(const char *path, struct scope_file_stat *out_stat)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_file_link_stat");
	return ask((const void *)scope_file_link_stat, start_link_stat, path, out_stat);
}
