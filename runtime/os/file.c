/* runtime/os/file.c: files and directories. */
#define _GNU_SOURCE
#include "os/file.h"
#include "os/linux.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NS_PER_SEC = 1000000000, PERMISSIONS = 07777 };

static int result_of(int rc)
{
	return rc < 0 ? -errno : rc;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Opening a pipe waits for its other side: a signal may interrupt that. */
int sc_os_file_open(const char *path, int flags, unsigned mode)
{
	int fd;

	do
		fd = result_of(open(path, flags | O_CLOEXEC, mode));
	while (fd == -EINTR);
	if (fd >= 0 && lseek(fd, 0, SEEK_CUR) < 0) {
		close(fd);
		return -ESPIPE;
	}
	return fd;
}

int64_t sc_linux_read_at(int fd, void *buffer, size_t size, uint64_t offset, int at_once)
{
	struct iovec to = {buffer, size};
	ssize_t n = preadv2(fd, &to, 1, (off_t)offset, at_once ? RWF_NOWAIT : 0);

	if (n >= 0)
		return n;
	/* A file system need not know how to read without waiting. */
	return at_once && errno == EOPNOTSUPP ? -EAGAIN : -errno;
}

int sc_os_file_write(int fd, const char *data, size_t size, uint64_t offset, size_t *out_done)
{
	*out_done = 0;
	while (*out_done < size) {
		ssize_t n = pwrite(fd, data + *out_done, size - *out_done,
				   (off_t)(offset + *out_done));

		if (n < 0)
			return -errno;
		*out_done += (size_t)n;
	}
	return 0;
}

int sc_os_file_sync(int fd)
{
	return result_of(fsync(fd));
}

static enum sc_file_kind kind_of(mode_t mode)
{
	if (S_ISREG(mode))
		return SC_FILE_REGULAR;
	if (S_ISDIR(mode))
		return SC_FILE_DIRECTORY;
	return S_ISLNK(mode) ? SC_FILE_LINK : SC_FILE_OTHER;
}

int sc_os_file_stat(const char *path, struct sc_file_stat *out)
{
	struct stat s;

	if (stat(path, &s))
		return -errno;
	*out = (struct sc_file_stat){
		.size = (uint64_t)s.st_size,
		.modified_ns = (int64_t)s.st_mtim.tv_sec * NS_PER_SEC + s.st_mtim.tv_nsec,
		.inode = s.st_ino,
		.device = s.st_dev,
		.mode = s.st_mode & PERMISSIONS,
		.kind = kind_of(s.st_mode),
		.owner = s.st_uid,
		.group = s.st_gid,
		.links = s.st_nlink};
	return 0;
}

/* ---- names --------------------------------------------------------------------------------- */

int sc_os_dir_make(const char *path, unsigned mode)
{
	return result_of(mkdir(path, mode));
}

int sc_os_file_remove(const char *path)
{
	return result_of(remove(path));
}

int sc_os_file_rename(const char *from, const char *to)
{
	return result_of(rename(from, to));
}

int sc_os_dir_read(const char *path,
		   int (*each)(const char *name, enum sc_file_kind kind, uint64_t inode,
			       void *arg),
		   void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (!dir)
		return -errno;
	while (rc == 0) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			rc = -errno;
			break;
		}
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			rc = each(entry->d_name, kind_of(DTTOIF(entry->d_type)), entry->d_ino, arg);
	}
	closedir(dir);
	return rc;
}
