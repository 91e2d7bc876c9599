/* scope_process.h: other programs as members of a scope. */
#ifndef SCOPE_PROCESS_H
#define SCOPE_PROCESS_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_conn; /* scope_net.h */

/* A process, in memory of the caller that stays until the scope it is in was closed. */
struct scope_process {
	uint64_t opaque[32];
};

/* What a standard stream of the process is. */
enum scope_stream_kind {
	SCOPE_STREAM_INHERIT = 0, /* that of this process */
	SCOPE_STREAM_NULL = 1,    /* /dev/null */
	SCOPE_STREAM_FD = 2,      /* the descriptor `fd`, which stays the caller's */
	SCOPE_STREAM_PIPE = 3,    /* a pipe, whose other end is *out_conn */
	SCOPE_STREAM_MERGE = 4    /* of the third: what the second is */
};

struct scope_stream {
	unsigned kind; /* enum scope_stream_kind */
	int fd;
	/* PIPE: to write to the standard input, to read from the others, until scope_conn_close;
	 * what the process wrote can be read after its end too. */
	struct scope_conn **out_conn;
};

enum scope_process_flags {
	/* It leads a process group, all of which gets the signals; after a cancel what is left of
	 * the group when it has ended has the rest of the grace, at most 5 s, then SIGKILL too. */
	SCOPE_PROCESS_GROUP = 1
};

struct scope_process_options {
	struct scope_stream streams[3]; /* standard input, output, error */
	char *const *environment;       /* "NAME=value", the last one NULL; NULL: this process's */
	const char *directory;          /* where it starts; NULL: that of this process */
	unsigned flags;                 /* enum scope_process_flags */
	int signal;                     /* what a cancel sends it first; 0: SIGTERM */
	int64_t grace_ns;               /* from that signal to SIGKILL; 0: 5 s */
	uint64_t reserved[4];           /* must be 0 */
};

/**
 * Starts a program as a member of a scope.  Its task lasts until the process has ended and was
 * reaped, so the scope's close waits for it, whatever its status, which is no error.  When the
 * place of that task is cancelled, the process is sent a signal, after a grace SIGKILL, and is
 * waited for: whoever returns from the close has left no process behind.  Of the descriptors of
 * this process it gets the standard streams and those that are not close-on-exec.  No signal is
 * blocked in it, and SIGPIPE ends it.
 *
 * argv         its name, searched for in PATH if it has no slash, and arguments, the last one
 *              NULL; read only during the call
 * options      NULL: the defaults; read only during the call
 * out_process  until s is closed, and as long as anyone uses it
 * Cancellation point: -ECANCELED leaves no process.
 * Thread safety: any task of the run.
 * Cost: some 300 us; the worker is held until the program was loaded.
 * Returns 0, else there is no process and nothing is open:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     s, argv, its name or out_process is NULL, or options are not valid
 *   -ECANCELED  the place or `s` is or was cancelled
 *   -ESHUTDOWN  the place is or was stopped, and the caller in a soft region
 *   -ENOENT     there is no such program or directory
 *   -EACCES     it must not be executed
 *   -EBADF      the descriptor of a stream is not open
 *   -EMFILE     this process has no descriptor left
 *   -ENOMEM     no memory; if for the task, also an error of the scope
 *   -ESTALE     the scope is closed
 * or what posix_spawn(3) and pidfd_open(2) said.
 */
SCOPE_API int scope_process_spawn(struct scope *s, const char *const *argv,
				  const struct scope_process_options *options,
				  struct scope_process *out_process);

/**
 * Waits until the process has ended.
 *
 * deadline_ns  absolute, monotonic; already past: asks; SCOPE_NEVER: no limit
 * out_status   its exit status, 0 to 255; or -N if signal N ended it
 * Cancellation point: -ECANCELED leaves the process as it is.
 * Thread safety: any task of the run, and several.
 * Returns 0, else *out_status is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     p or out_status is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -ETIMEDOUT  it had not ended until deadline_ns
 *   -ECHILD     it has ended, and the program has taken its status elsewhere: it ignores SIGCHLD,
 *               or waits for any child
 */
SCOPE_API int scope_process_wait_until(struct scope_process *p, int64_t deadline_ns,
				       int *out_status);

/**
 * scope_process_wait_until without a limit.
 *
 * Cancellation point: -ECANCELED leaves the process as it is.
 * Thread safety: any task of the run, and several.
 * Returns what scope_process_wait_until does.
 */
SCOPE_API int scope_process_wait(struct scope_process *p, int *out_status);

/**
 * Sends it a signal; never to another process that has its number.
 *
 * signal  0: asks whether it is there
 * Thread safety: any task of the run.
 * Returns 0, else it was not sent:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    p is NULL, or there is no such signal
 *   -ESRCH     it has ended
 * or -EPERM: it has become another user's.
 */
SCOPE_API int scope_process_kill(struct scope_process *p, int signal);

/** Its number; that may be another's when the process has ended.  -EINVAL of NULL. */
SCOPE_API int scope_process_pid(const struct scope_process *p);

/**
 * Runs a program: starts it, waits for its end.
 *
 * argv, options  as scope_process_spawn; no pipes
 * out_status     as scope_process_wait_until
 * Cancellation point: -ECANCELED has ended the process, as scope_process_spawn says.
 * Thread safety: any task of the run.
 * Returns 0, else *out_status is untouched: what scope_process_spawn does, and
 *   -EINVAL     out_status is NULL, or a stream is a pipe
 *   -ECANCELED  the place is or was cancelled
 *   -ECHILD     it has ended, and the program has taken its status elsewhere
 */
SCOPE_API int scope_process_run(const char *const *argv,
				const struct scope_process_options *options, int *out_status);

#ifdef __cplusplus
}
#endif

#endif
