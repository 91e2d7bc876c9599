/* scope_file.h: files and directories, off the workers where the disk is waited for.
 *
 * What the disk has to be waited for runs on a thread of libuv's pool, and the task is parked.  A
 * cancelled task does not wait for what only reads: the call goes on by itself and never touches
 * memory of the task.  What changes something is waited for, and its result is returned; the next
 * checkpoint shows the cancel.
 *
 * The pool has four threads, or UV_THREADPOOL_SIZE of the environment.  They come with the first
 * call and stay, as does a pipe of libuv's; a call that never returns, of a file server that is
 * gone for instance, keeps its thread, but neither scope_run (orphan_grace_ns) nor exit(3), which
 * then leaves out destructors.
 */
#ifndef SCOPE_FILE_H
#define SCOPE_FILE_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An open file.  Those that are left open are closed when the process ends. */
struct scope_file;

/* A file, or what else is in a directory. */
enum scope_file_kind {
	SCOPE_FILE_OTHER = 0, /* a device, a socket, a pipe */
	SCOPE_FILE_REGULAR = 1,
	SCOPE_FILE_DIRECTORY = 2,
	SCOPE_FILE_LINK = 3,
	SCOPE_FILE_UNKNOWN = 4 /* of an entry only: the file system does not tell, but
				* scope_file_link_stat does */
};

/* C++ finds the function of this name first: there write `struct scope_file_stat`. */
struct scope_file_stat {
	uint64_t size;          /* in bytes */
	int64_t modified_ns;    /* since 1970 */
	uint64_t inode, device; /* both together: which file it is */
	uint32_t mode;          /* permissions, as of stat(2), without the kind */
	uint32_t kind;          /* enum scope_file_kind */
	uint32_t owner, group;
	uint64_t links;
	uint64_t reserved[4];
};

/**
 * Opens a file that can be read at any place: a regular one, a block device.
 *
 * flags     those of open(2): O_RDONLY, O_WRONLY or O_RDWR, with O_CREAT, O_TRUNC and others;
 *           the descriptor is close-on-exec.  Where a path may lead to anything add O_NONBLOCK:
 *           then a pipe in the file system is not waited for
 * mode      permissions of a file that is created
 * out_file  until scope_file_close
 * Cancellation point: -ECANCELED has opened nothing; with O_CREAT or O_TRUNC it is waited for.
 * Thread safety: any task of the run.
 * Cost: two switches between threads, 10 to 100 us.
 * Returns 0, else *out_file is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     path or out_file is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ENOENT     there is no such file
 *   -EEXIST     there is, with O_CREAT and O_EXCL
 *   -EISDIR     it is a directory, to be written to
 *   -ESPIPE     it is a pipe, a terminal or the like, which has no places; without
 *               O_NONBLOCK a pipe in the file system is waited for until its other side is
 *               opened first, and keeps a thread of the pool until then, cancelled or not
 *   -ENOMEM     no memory
 * or what open(2) said.
 */
SCOPE_API int scope_file_open(const char *path, int flags, unsigned mode,
			      struct scope_file **out_file);

/**
 * Closes it; NULL does nothing.  A call on it that was left to itself ends first, then the
 * descriptor goes.  Errors of writing that the system has not told by then are lost: see
 * scope_file_sync.  Not a cancellation point.
 *
 * Thread safety: no other task uses it.
 */
SCOPE_API void scope_file_close(struct scope_file *file);

/** Its descriptor, for other libraries; it stays the file's.  -EINVAL of NULL. */
SCOPE_API int scope_file_fd(const struct scope_file *file);

/**
 * Reads from a place in the file.  What is in memory already is read at once, without a switch
 * between threads.
 *
 * size      at most; what is more than 1 MiB is not read
 * offset    in bytes from its start
 * out_done  bytes in buffer, which may be fewer; 0: the end of the file, and after an error
 * Cancellation point: -ECANCELED leaves the read to itself, with memory of its own.
 * Thread safety: any task of the run, several at once.
 * Cost: a system call; if the disk is read 10 to 100 us more than that takes, and a copy.
 * Returns 0, else buffer is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     file, buffer or out_done is NULL, offset is over INT64_MAX
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBADF      it was not opened to be read
 *   -EISDIR     it is a directory
 *   -ENOMEM     no memory
 * or what pread(2) said.
 */
SCOPE_API int scope_file_read_at(struct scope_file *file, void *buffer, size_t size,
				 uint64_t offset, size_t *out_done);

/**
 * scope_file_read_at from where the one before ended, at first from the start.
 *
 * Cancellation point: -ECANCELED has not moved the place.
 * Thread safety: any task of the run, one at a time.
 * Returns what scope_file_read_at does.
 */
SCOPE_API int scope_file_read(struct scope_file *file, void *buffer, size_t size,
			      size_t *out_done);

/**
 * Writes all of it to a place in the file, or with O_APPEND to its end.
 *
 * offset    in bytes from its start; beyond the end: with zeroes between
 * out_done  bytes that were written, after an error too; may be NULL
 * Cancellation point: a write that has begun is waited for; where the system takes it in parts, as
 * over 2 GiB, a cancel comes between them.
 * Thread safety: any task of the run, several at once.
 * Cost: two switches between threads, 10 to 100 us.
 * Returns 0, else *out_done bytes were written:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     file or data is NULL, offset and size lead beyond INT64_MAX
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBADF      it was not opened to be written
 * or what pwrite(2) said, -ENOSPC and -EIO for instance.
 */
SCOPE_API int scope_file_write_at(struct scope_file *file, const void *data, size_t size,
				  uint64_t offset, size_t *out_done);

/**
 * scope_file_write_at where the read or write before ended, at first at the start.
 *
 * Cancellation point: as scope_file_write_at.
 * Thread safety: any task of the run, one at a time.
 * Returns what scope_file_write_at does.
 */
SCOPE_API int scope_file_write(struct scope_file *file, const void *data, size_t size,
			       size_t *out_done);

/**
 * Waits until all that was written is on the disk (fsync(2)).
 *
 * Cancellation point: one that has begun is waited for.
 * Thread safety: any task of the run.
 * Returns 0, else it may be lost at a power failure:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     file is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 * or what fsync(2) said.
 */
SCOPE_API int scope_file_sync(struct scope_file *file);

/**
 * Tells what a file is: one by its path, of a symbolic link what that leads to.
 *
 * out_stat  reserved[] is set to 0
 * Cancellation point: -ECANCELED leaves it to itself.
 * Thread safety: any task of the run.
 * Cost: two switches between threads, 10 to 100 us.
 * Returns 0, else *out_stat is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     path or out_stat is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ENOENT     there is no such file
 *   -ENOTDIR    on the way there is something that is no directory
 *   -ENOMEM     no memory
 * or what stat(2) said.
 */
SCOPE_API int scope_file_stat(const char *path, struct scope_file_stat *out_stat);

/**
 * scope_file_stat of what has this path itself: a symbolic link is not followed but told of, as
 * SCOPE_FILE_LINK.  So whoever walks a tree stays in it.
 *
 * out_stat  reserved[] is set to 0
 * Cancellation point: -ECANCELED leaves it to itself.
 * Thread safety: any task of the run.
 * Cost: two switches between threads, 10 to 100 us.
 * Returns what scope_file_stat does.
 */
SCOPE_API int scope_file_link_stat(const char *path, struct scope_file_stat *out_stat);

/**
 * Makes a directory.
 *
 * mode  permissions, less the umask
 * Cancellation point: one that has begun is waited for.
 * Thread safety: any task of the run.
 * Returns 0, else nothing was made:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     path is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EEXIST     there is something of this name
 *   -ENOENT     the directory that it is to be in is not there
 * or what mkdir(2) said.
 */
SCOPE_API int scope_dir_make(const char *path, unsigned mode);

/**
 * Removes the name of a file, or an empty directory.
 *
 * Cancellation point: one that has begun is waited for.
 * Thread safety: any task of the run.
 * Returns 0, else it is still there:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     path is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ENOENT     there is nothing of this name
 *   -ENOTEMPTY  it is a directory with something in it
 * or what remove(3) said.
 */
SCOPE_API int scope_file_remove(const char *path);

/**
 * Gives a file or directory another name; a file that has it is replaced in one step.
 *
 * Cancellation point: one that has begun is waited for.
 * Thread safety: any task of the run.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     from or to is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ENOENT     there is nothing of this name
 * or what rename(2) said.
 */
SCOPE_API int scope_file_rename(const char *from, const char *to);

/* ---- directories ------------------------------------------------------------------------ */

/* What was in a directory when it was read. */
struct scope_dir;

struct scope_dir_entry {
	const char *name; /* until the next entry is asked for, or scope_dir_free */
	uint32_t kind;    /* enum scope_file_kind; a link is SCOPE_FILE_LINK */
	uint32_t pad;
};

/**
 * Reads a directory, all of it, without "." and "..".
 *
 * out_dir  until scope_dir_free
 * Cancellation point: -ECANCELED leaves it to itself.
 * Thread safety: any task of the run.
 * Cost: two switches between threads, 10 to 100 us; memory for all names.
 * Returns 0, else *out_dir is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     path or out_dir is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -ENOENT     there is no such directory
 *   -ENOTDIR    it is none
 *   -ENOMEM     no memory
 * or what scandir(3) said.
 */
SCOPE_API int scope_dir_read(const char *path, struct scope_dir **out_dir);

/** The next entry, in the order of their names; NULL: that was all. */
SCOPE_API const struct scope_dir_entry *scope_dir_next(struct scope_dir *dir);

/** Frees it with all its names; NULL does nothing. */
SCOPE_API void scope_dir_free(struct scope_dir *dir);

#ifdef __cplusplus
}
#endif

#endif
