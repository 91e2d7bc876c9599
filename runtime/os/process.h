/* runtime/os/process.h: processes: what the runtime asks of the system about them. */
#ifndef SC_OS_PROCESS_H
#define SC_OS_PROCESS_H

#include "base/base.h"

enum { SC_STREAMS = 3 };

struct sc_spawn {
	const char *const *argv;
	char *const *environment; /* NULL: this process's */
	const char *directory;    /* NULL: this process's */
	/* What becomes its descriptors 0 to 2; all above 2, for they are put there one by one. */
	int streams[SC_STREAMS];
	int group; /* it leads one */
};

enum { SC_STREAM_INHERIT = -1, SC_STREAM_NULL = -2, SC_STREAM_MERGE = -3 };

/* The number of the process, or -errno; also what kept its program from being loaded. */
int sc_os_spawn(const struct sc_spawn *spawn);
/* A descriptor that is readable once the process has ended; -errno. */
int sc_os_pidfd(int pid);
/* 1: it has ended, and is no more: its exit status, or -signal; 0: it has not; -ECHILD: somebody
 * else has taken the status. */
int sc_os_reap(int pidfd, int *out_status);
/* Ends a process that nobody knows of yet, and reaps it: waits for that. */
void sc_os_destroy(int pid);
/* -ESRCH: it has ended.  group: to all of the group that it leads, unless it was reaped. */
int sc_os_process_signal(int pid, int pidfd, int signal, int group);

/* A pipe; descriptors above 2, which a program that is started does not get.  The end that `ours`
 * names, 0 to read or 1 to write, does not block. */
int sc_os_pipe(int ends[2], int ours);
/* A copy above 2; -errno. */
int sc_os_copy(int fd);

#endif
