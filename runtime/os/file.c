/* runtime/os/file.c: files, where libuv is not asked. */
#define _GNU_SOURCE
#include "os/file.h"
#include "os/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

int sc_os_file_has_places(int fd)
{
	return lseek(fd, 0, SEEK_CUR) >= 0;
}

int sc_os_is_terminal(int fd)
{
	return isatty(fd);
}

int sc_os_duplicate(int fd)
{
	int other = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return other < 0 ? -errno : other;
}

int sc_os_terminal(int fd)
{
	int number, error, anew;
	char path[PATH_MAX];

	if (!isatty(fd))
		return -errno;
	if (ioctl(fd, TIOCGPTN, &number) == 0) /* who shows one to a user */
		return -ENOTTY;
	error = ttyname_r(fd, path, sizeof path);
	if (error)
		return -error;
	anew = open(path, (fcntl(fd, F_GETFL) & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return anew < 0 ? -errno : anew;
}

_Static_assert(sizeof(struct termios) <= sizeof(struct sc_modes), "modes fit");

void sc_os_modes_keep(int fd, struct sc_modes *out)
{
	tcgetattr(fd, (struct termios *)out->bits);
}

void sc_os_modes_put_back(int fd, const struct sc_modes *modes)
{
	tcsetattr(fd, TCSANOW, (const struct termios *)modes->bits);
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
