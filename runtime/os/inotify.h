/* runtime/os/inotify.h: changes of files, as the kernel tells them. */
#ifndef SC_OS_INOTIFY_H
#define SC_OS_INOTIFY_H

#include "base/base.h"

enum {
	SC_CHANGE_CONTENT = 1,
	SC_CHANGE_FACTS = 2,
	SC_CHANGE_ADDED = 4,
	SC_CHANGE_REMOVED = 8,
	SC_CHANGE_GONE = 16,
	SC_CHANGE_LOST = 32,
	SC_CHANGE_END = 64 /* no other comes after it */
};

/* A descriptor that does not block and tells the changes of a file or directory; -errno. */
int sc_os_inotify(const char *path);
/* The first change in what was read from it: its size there.  *what is 0 if it is none. */
size_t sc_os_inotify_parse(const void *bytes, unsigned *what, const char **name);

#endif
