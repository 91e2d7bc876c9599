/* runtime/io/dir.c: directories, read as a whole by libuv: rule N2. */
#include "io/engine.h"

#include <errno.h>
#include <scope_file.h>

/* From the heap: a read may be abandoned. */
struct scope_dir {
	struct sc_op op; /* with the names */
	const char *path;
	struct scope_dir_entry entry; /* of scope_dir_next */
};

static struct scope_dir *dir_of(struct sc_op *op)
{
	return SC_CONTAINER(op, struct scope_dir, op);
}

static void drop(struct sc_op *op)
{
	scope_dir_free(dir_of(op));
}

static void on_end(uv_fs_t *fs)
{
	sc_op_ended(SC_CONTAINER(fs, struct sc_op, uv.fs));
}

static int start(uv_loop_t *loop, struct sc_op *op)
{
	return uv_fs_scandir(loop, &op->uv.fs, dir_of(op)->path, 0, on_end);
}

int scope_dir_read(const char *path, struct scope_dir **out_dir)
{
	struct scope_dir *dir;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_dir_read");
	if (!path || !out_dir)
		return -EINVAL;
	dir = sc_os.alloc(sizeof *dir);
	if (!dir)
		return -ENOMEM;
	*dir = (struct scope_dir){.op = {.what = (const void *)scope_dir_read, .drop = drop},
				  .path = path};
	rc = sc_op_run(&dir->op, start);
	if (rc < 0)
		return rc;
	rc = (int)dir->op.uv.fs.result;
	if (rc < 0) {
		scope_dir_free(dir);
		return rc;
	}
	*out_dir = dir;
	return 0;
}

static enum scope_file_kind kind_of(uv_dirent_type_t type)
{
	return type == UV_DIRENT_FILE      ? SCOPE_FILE_REGULAR
	       : type == UV_DIRENT_DIR     ? SCOPE_FILE_DIRECTORY
	       : type == UV_DIRENT_LINK    ? SCOPE_FILE_LINK
	       : type == UV_DIRENT_UNKNOWN ? SCOPE_FILE_UNKNOWN
					   : SCOPE_FILE_OTHER;
}

const struct scope_dir_entry *scope_dir_next(struct scope_dir *dir)
{
	uv_dirent_t found;

	if (uv_fs_scandir_next(&dir->op.uv.fs, &found) < 0)
		return NULL;
	dir->entry = (struct scope_dir_entry){.name = found.name,
					      .kind = (uint32_t)kind_of(found.type)};
	return &dir->entry;
}

void scope_dir_free(struct scope_dir *dir)
{
	uv_dirent_t rest;

	if (!dir)
		return;
	/* Of a list that was read up to its last entry, and not beyond, libuv would forget
	 * that one. */
	while (uv_fs_scandir_next(&dir->op.uv.fs, &rest) >= 0)
		;
	uv_fs_req_cleanup(&dir->op.uv.fs);
	sc_os.free(dir);
}
