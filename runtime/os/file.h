/* runtime/os/file.h: what libuv does not tell of files and terminals. */
#ifndef SC_OS_FILE_H
#define SC_OS_FILE_H

/* Whether it can be read at any place: no pipe, terminal or the like. */
int sc_os_file_has_places(int fd);

/* Another descriptor of the same open file, -errno. */
int sc_os_duplicate(int fd);

/* Opens the terminal that fd leads to once more; it does not block.  -EBADF, -ENOTTY, -errno. */
int sc_os_terminal(int fd);

#endif
