/* tests/fault/fault.h: a system that refuses the Nth call of a kind, and notes where it was. */
#ifndef SC_TESTS_FAULT_H
#define SC_TESTS_FAULT_H

#include "harness.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "os/os.h"

#include <scope.h>

/* Calls that may fail: entries of the runtime's table, then what os/ asks of libc below it.
 * FAULT_WAIT does not fail: it returns at once, as the contract allows. */
#define FAULT_KINDS(X)                                                                             \
	X(ALLOC, "sc_os.alloc")                                                                    \
	X(RESERVE, "sc_os.reserve")                                                                \
	X(COMMIT, "sc_os.commit")                                                                  \
	X(GUARD, "sc_os.guard")                                                                    \
	X(THREAD, "sc_os.thread_start")                                                            \
	X(WAIT, "sc_os.wait")                                                                      \
	X(MMAP, "mmap")                                                                            \
	X(MPROTECT, "mprotect")                                                                    \
	X(MADVISE, "madvise")                                                                      \
	X(PTHREAD_CREATE, "pthread_create")                                                        \
	X(ATTR_INIT, "pthread_attr_init")                                                          \
	X(SIGACTION, "sigaction")                                                                  \
	X(SIGALTSTACK, "sigaltstack")                                                              \
	X(ATFORK, "pthread_atfork")                                                                \
	X(GETATTR, "pthread_getattr_np")                                                           \
	X(GETSTACK, "pthread_attr_getstack")                                                       \
	X(GETRLIMIT, "getrlimit")                                                                  \
	X(GETRANDOM, "getrandom")                                                                  \
	X(FOPEN, "fopen")                                                                          \
	X(FGETS, "fgets")                                                                          \
	X(OPEN, "open")                                                                            \
	X(FSTAT, "fstat")                                                                          \
	X(EPOLL_CREATE, "epoll_create1")                                                           \
	X(EVENTFD, "eventfd")                                                                      \
	X(EPOLL_CTL, "epoll_ctl")                                                                  \
	X(POLL, "poll")                                                                            \
	X(SOCKET, "socket")                                                                        \
	X(BIND, "bind")                                                                            \
	X(LISTEN, "listen")                                                                        \
	X(CONNECT, "connect")                                                                      \
	X(ACCEPT, "accept4")                                                                       \
	X(GETSOCKNAME, "getsockname")                                                              \
	X(GETPEERNAME, "getpeername")                                                              \
	X(GETSOCKOPT, "getsockopt")                                                                \
	X(SHUTDOWN, "shutdown")                                                                    \
	X(RECV, "recv")                                                                            \
	X(SEND, "send")                                                                            \
	X(SENDFILE, "sendfile")                                                                    \
	X(SENDTO, "sendto")                                                                        \
	X(RECVFROM, "recvfrom")                                                                    \
	X(PIPE, "pipe2")                                                                           \
	X(FCNTL, "fcntl")                                                                          \
	X(SPAWN_DUP, "posix_spawn_file_actions_adddup2")                                           \
	X(SPAWN_OPEN, "posix_spawn_file_actions_addopen")                                          \
	X(SPAWN_CHDIR, "posix_spawn_file_actions_addchdir_np")                                     \
	X(SPAWN, "posix_spawnp")                                                                   \
	X(PIDFD_OPEN, "pidfd_open")                                                                \
	X(LSEEK, "lseek")                                                                          \
	X(PREADV, "preadv2")                                                                       \
	X(UV_LOOP_INIT, "uv_loop_init")                                                            \
	X(UV_GETADDRINFO, "uv_getaddrinfo")                                                        \
	X(UV_OPEN, "uv_fs_open")                                                                   \
	X(UV_READ, "uv_fs_read")                                                                   \
	X(UV_WRITE, "uv_fs_write")                                                                 \
	X(UV_FSYNC, "uv_fs_fsync")                                                                 \
	X(UV_STAT, "uv_fs_stat")                                                                   \
	X(UV_LSTAT, "uv_fs_lstat")                                                                 \
	X(UV_MKDIR, "uv_fs_mkdir")                                                                 \
	X(UV_UNLINK, "uv_fs_unlink")                                                               \
	X(UV_RMDIR, "uv_fs_rmdir")                                                                 \
	X(UV_RENAME, "uv_fs_rename")                                                               \
	X(UV_SCANDIR, "uv_fs_scandir")                                                             \
	X(ISATTY, "isatty")                                                                        \
	X(IOCTL, "ioctl")                                                                          \
	X(TTYNAME, "ttyname_r")                                                                    \
	X(TTY_INIT, "uv_tty_init")                                                                 \
	X(TTY_MODE, "uv_tty_set_mode")                                                             \
	X(TTY_SIZE, "uv_tty_get_winsize")                                                          \
	X(INOTIFY, "inotify_init1")                                                                \
	X(INOTIFY_ADD, "inotify_add_watch")

enum fault_kind {
#define KIND(id, name) FAULT_##id,
	FAULT_KINDS(KIND)
#undef KIND
		FAULT_COUNT
};

const char *fault_name(enum fault_kind kind);

/* From now on the runtime uses a table with faults, none of which is armed. */
void fault_install(void);
/* The nth call (from 0) of that kind fails, or that and all later ones. */
void fault_arm(enum fault_kind kind, int nth, int sticky);
/* Nothing fails any more.  True if the nth call came. */
int fault_disarm(void);
/* Whether the last armed fault was seen by anybody: by the caller of scope_run or a task.  Told
 * once for each run that it was armed for. */
void fault_outcome(int visible);
/* What was refused in all tests of this process and its children so far: calls `each` for every
 * function with the number of refusals, and with those runs in which a single one was visible, or
 * silent.  A function may come more than once. */
void fault_points(void (*each)(const char *kind, const char *function, unsigned hits,
			       unsigned visible, unsigned silent));
/* Pieces of memory and address space that were not given back. */
int fault_live(void);
/* 1: madvise knows nothing of guard regions. */
extern int fault_old_kernel;
/* 1: join deques are as small as they can be. */
void fault_small_deques(int on);

/* ---- programs ---- */

struct fault_program {
	const char *name;
	scope_task_fn *main;
	unsigned flags; /* of scope_config */
	int result; /* without a fault */
	int small_deques;
	int by_default; /* workers are left to the runtime, and so is the clock */
};

extern const struct fault_program fault_programs[];
extern const unsigned fault_program_count;

/* What the tasks of a run noted; set to 0 before it. */
struct fault_notes {
	const char *failure; /* atomic: the first check that failed */
	int accepted, ran, dropped; /* atomic: tasks */
	int refused; /* atomic: calls that said -ENOMEM */
	int started; /* the root task ran */
};
extern struct fault_notes fault_notes;

#endif
