/* runtime/os/file.c: files, where libuv is not asked. */
#define _GNU_SOURCE
#include "os/file.h"
#include "os/linux.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

int sc_os_file_has_places(int fd)
{
	return lseek(fd, 0, SEEK_CUR) >= 0;
}

int64_t sc_linux_read_now(int fd, void *buffer, size_t size, uint64_t offset)
{
	struct iovec to = {buffer, size};
	ssize_t n = preadv2(fd, &to, 1, (off_t)offset, RWF_NOWAIT);

	if (n >= 0)
		return n;
	/* A file system need not know how to read without waiting. */
	return errno == EOPNOTSUPP ? -EAGAIN : -errno;
}
