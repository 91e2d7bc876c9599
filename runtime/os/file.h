/* runtime/os/file.h: files and directories: what the runtime asks of the system about them. */
#ifndef SC_OS_FILE_H
#define SC_OS_FILE_H

#include "base/base.h"

enum sc_file_kind { SC_FILE_OTHER, SC_FILE_REGULAR, SC_FILE_DIRECTORY, SC_FILE_LINK };

struct sc_file_stat {
	uint64_t size;
	int64_t modified_ns; /* since 1970 */
	uint64_t inode, device;
	uint32_t mode; /* permissions */
	enum sc_file_kind kind;
	uint32_t owner, group;
	uint64_t links;
};

/* All of these may wait for a disk; results are 0 or more, or -errno. */

/* A descriptor; -ESPIPE: what it is has no places. */
int sc_os_file_open(const char *path, int flags, unsigned mode);
/* All of it; how much was written is in *out_done whatever the result. */
int sc_os_file_write(int fd, const char *data, size_t size, uint64_t offset, size_t *out_done);
int sc_os_file_sync(int fd);
int sc_os_file_stat(const char *path, struct sc_file_stat *out);
int sc_os_dir_make(const char *path, unsigned mode);
int sc_os_file_remove(const char *path);
int sc_os_file_rename(const char *from, const char *to);
/* Calls `each` for each name but "." and ".." until that returns nonzero, which is the result. */
int sc_os_dir_read(const char *path,
		   int (*each)(const char *name, enum sc_file_kind kind, uint64_t inode,
			       void *arg),
		   void *arg);

#endif
