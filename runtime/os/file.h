/* runtime/os/file.h: what libuv does not tell of files and terminals. */
#ifndef SC_OS_FILE_H
#define SC_OS_FILE_H

#include "base/base.h"

/* Whether it can be read at any place: no pipe, terminal or the like. */
int sc_os_file_has_places(int fd);

/* Whether it is a terminal. */
int sc_os_is_terminal(int fd);

/* Another descriptor of the same open file, -errno. */
int sc_os_duplicate(int fd);

/* Opens the terminal that fd leads to once more; it does not block.  -EBADF, -ENOTTY, -errno. */
int sc_os_terminal(int fd);

/* The modes of a terminal as they are, and as they were: at once, whatever is still to be shown. */
struct sc_modes {
	uint64_t bits[8];
};
void sc_os_modes_keep(int fd, struct sc_modes *out);
void sc_os_modes_put_back(int fd, const struct sc_modes *modes);

#endif
