/* runtime/os/file.h: what libuv does not tell of files. */
#ifndef SC_OS_FILE_H
#define SC_OS_FILE_H

/* Whether it can be read at any place: no pipe, terminal or the like. */
int sc_os_file_has_places(int fd);

#endif
