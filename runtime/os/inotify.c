/* runtime/os/inotify.c: changes of files, as the kernel tells them. */
#include "os/inotify.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

static const struct {
	uint32_t mask;
	unsigned what;
} changes[] = {
	{IN_MODIFY, SC_CHANGE_CONTENT},
	{IN_ATTRIB, SC_CHANGE_FACTS},
	{IN_CREATE | IN_MOVED_TO, SC_CHANGE_ADDED},
	{IN_DELETE | IN_MOVED_FROM, SC_CHANGE_REMOVED},
	{IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT, SC_CHANGE_GONE},
	{IN_Q_OVERFLOW, SC_CHANGE_LOST},
	{IN_IGNORED, SC_CHANGE_END},
};
enum { CHANGES = sizeof changes / sizeof *changes };

int sc_os_inotify(const char *path)
{
	const uint32_t mask = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_MOVED_TO | IN_DELETE |
			      IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF;
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	if (inotify_add_watch(fd, path, mask) >= 0)
		return fd;
	rc = errno == ENOSPC ? -EMFILE : -errno; /* the limit of watches, not a disk */
	close(fd);
	return rc;
}

size_t sc_os_inotify_parse(const void *bytes, unsigned *what, const char **name)
{
	const struct inotify_event *event = bytes;
	int i;

	*what = 0;
	for (i = 0; i < CHANGES; i++)
		if (event->mask & changes[i].mask)
			*what |= changes[i].what;
	*name = event->len ? event->name : "";
	return sizeof *event + event->len;
}
