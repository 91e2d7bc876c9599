/* tests/fault/table.c: the table of the system with faults, libc with faults, and the points. */
#define _GNU_SOURCE
#include "fault.h"
#include "deque/deque.h"
#include "sched/sched.h"

#include <errno.h>
#include <netdb.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/uio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

/* One place in the runtime from which a call of a kind was refused. */
struct point {
	const void *site; /* its return address */
	uint32_t kind;
	uint32_t hits, visible, silent;
};

enum { MOST_POINTS = 512, LONGEST = 96, GUARD_INSTALL = 102 };

/* Shared by the processes of all tests. */
static struct {
	struct sc_lock lock;
	uint32_t count;
	struct point points[MOST_POINTS];
} * shared;

static uint32_t armed; /* atomic: the kind, FAULT_COUNT: none */
static int32_t left; /* atomic: calls of that kind that still succeed */
static int32_t sticky;
static struct point *last; /* atomic: what was refused last */
static int32_t live; /* atomic */
static int small_deques;
int fault_old_kernel;

static const char *const names[] = {
#define NAME(id, name) name,
	FAULT_KINDS(NAME)
#undef NAME
};

const char *fault_name(enum fault_kind kind)
{
	return names[kind];
}

__attribute__((constructor)) static void share(void)
{
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	armed = FAULT_COUNT;
}

static struct point *point_at(uint32_t kind, const void *site)
{
	struct point *point = NULL;
	uint32_t i;

	sc_lock_take(&shared->lock);
	for (i = 0; i < shared->count && !point; i++)
		if (shared->points[i].kind == kind && shared->points[i].site == site)
			point = &shared->points[i];
	if (!point && i < MOST_POINTS) {
		point = &shared->points[shared->count++];
		*point = (struct point){site, kind, 0, 0, 0};
	}
	sc_lock_drop(&shared->lock);
	return point;
}

static int refuse(uint32_t kind, const void *site)
{
	int32_t had;

	if (at_load_rlx(&armed) != kind)
		return 0;
	had = at_sub_rlx(&left, 1);
	if (sticky ? had > 0 : had != 0)
		return 0;
	{
		struct point *point = point_at(kind, site);

		at_add_rlx(&point->hits, 1);
		at_store_rlx(&last, point);
	}
	return 1;
}

#define REFUSE(kind) refuse(FAULT_##kind, __builtin_return_address(0))

void fault_arm(enum fault_kind kind, int nth, int stay)
{
	left = nth;
	sticky = stay;
	last = NULL;
	at_store_rlx(&armed, kind);
}

int fault_disarm(void)
{
	at_store_rlx(&armed, FAULT_COUNT);
	return left < 0;
}

void fault_outcome(int visible)
{
	if (last)
		at_add_rlx(visible ? &last->visible : &last->silent, 1);
}

int fault_live(void)
{
	return at_load_rlx(&live);
}

void fault_small_deques(int on)
{
	small_deques = on;
}

/* ---- the table ---------------------------------------------------------------------------- */

static void *fault_alloc(size_t size)
{
	void *memory = REFUSE(ALLOC) ? NULL : sc_os_system.alloc(size);

	at_add_rlx(&live, memory != NULL);
	return memory;
}

static void fault_free(void *memory)
{
	at_sub_rlx(&live, memory != NULL);
	sc_os_system.free(memory);
}

/* The slots of a join deque are the only reservation whose size is a power of two. */
static int big_deque(size_t size)
{
	return small_deques && (size & (size - 1)) == 0 && size > 4096 * sizeof(struct sc_slot);
}

static void *fault_reserve(size_t size)
{
	void *memory = NULL;

	if (!big_deque(size) && !REFUSE(RESERVE))
		memory = sc_os_system.reserve(size);
	at_add_rlx(&live, memory != NULL);
	return memory;
}

static void fault_release(void *memory, size_t size)
{
	at_sub_rlx(&live, 1);
	sc_os_system.release(memory, size);
}

static int fault_commit(void *memory, size_t size)
{
	return REFUSE(COMMIT) ? -ENOMEM : sc_os_system.commit(memory, size);
}

static int fault_guard(void *memory, size_t size)
{
	return REFUSE(GUARD) ? -ENOMEM : sc_os_system.guard(memory, size);
}

static uint32_t awaited; /* the first worker waits for the others to leave */

static int fault_thread_start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	at_store_rel(&awaited, 0);
	return REFUSE(THREAD) ? -EAGAIN : sc_os_system.thread_start(thread, entry, arg);
}

/* Whether the thread that waits at `word` is a worker beyond the first, which is to leave. */
static int is_leaving(const uint32_t *word)
{
	unsigned i;

	for (i = 1; i < sc_sched.count; i++)
		if (word == &sc_sched.workers[i].parker)
			return at_load_acq(&sc_sched.stop) != 0;
	return 0;
}

/* The first worker waits for the others at the end, unless they were faster: they are held up
 * here until it does. */
static void fault_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
	int turn;

	if (word == &sc_sched.inside)
		at_store_rel(&awaited, 1);
	if (!REFUSE(WAIT))
		sc_os_system.wait(word, expected, deadline);
	if (!is_leaving(word))
		return;
	for (turn = 0; turn < 10000 && !at_load_acq(&awaited); turn++)
		sched_yield();
}

void fault_install(void)
{
	sc_os.alloc = fault_alloc;
	sc_os.free = fault_free;
	sc_os.reserve = fault_reserve;
	sc_os.release = fault_release;
	sc_os.commit = fault_commit;
	sc_os.guard = fault_guard;
	sc_os.thread_start = fault_thread_start;
	sc_os.wait = fault_wait;
}

/* ---- libc --------------------------------------------------------------------------------- */

/* The linker puts these in the place of libc's (--wrap, see the Makefile). */
#define WRAP(result, name, parameters)                                                             \
	result __real_##name parameters;                                                           \
	result __wrap_##name parameters;                                                           \
	result __wrap_##name parameters

static int fail_with(int error)
{
	errno = error;
	return -1;
}

WRAP(void *, mmap, (void *at, size_t size, int how, int flags, int fd, off_t offset))
{
	if (REFUSE(MMAP)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	return __real_mmap(at, size, how, flags, fd, offset);
}

WRAP(int, mprotect, (void *at, size_t size, int how))
{
	return REFUSE(MPROTECT) ? fail_with(ENOMEM) : __real_mprotect(at, size, how);
}

WRAP(int, madvise, (void *at, size_t size, int advice))
{
	if (fault_old_kernel && advice == GUARD_INSTALL)
		return fail_with(EINVAL);
	return REFUSE(MADVISE) ? fail_with(ENOMEM) : __real_madvise(at, size, advice);
}

WRAP(int, pthread_create, (pthread_t * id, const pthread_attr_t *a, void *(*fn)(void *), void *arg))
{
	return REFUSE(PTHREAD_CREATE) ? EAGAIN : __real_pthread_create(id, a, fn, arg);
}

WRAP(int, pthread_attr_init, (pthread_attr_t * attr))
{
	return REFUSE(ATTR_INIT) ? ENOMEM : __real_pthread_attr_init(attr);
}

WRAP(int, sigaction, (int signal, const struct sigaction *act, struct sigaction *old))
{
	/* To put one back can't fail. */
	return act && old && REFUSE(SIGACTION) ? fail_with(EINVAL)
					       : __real_sigaction(signal, act, old);
}

WRAP(int, sigaltstack, (const stack_t *stack, stack_t *old))
{
	/* Nor can it fail in a new thread. */
	return stack && old && getpid() == gettid() && REFUSE(SIGALTSTACK)
		       ? fail_with(EPERM)
		       : __real_sigaltstack(stack, old);
}

WRAP(int, pthread_atfork, (void (*before)(void), void (*parent)(void), void (*child)(void)))
{
	return REFUSE(ATFORK) ? ENOMEM : __real_pthread_atfork(before, parent, child);
}

WRAP(int, pthread_getattr_np, (pthread_t id, pthread_attr_t *attr))
{
	return REFUSE(GETATTR) ? ENOMEM : __real_pthread_getattr_np(id, attr);
}

WRAP(int, pthread_attr_getstack, (const pthread_attr_t *attr, void **stack, size_t *size))
{
	return REFUSE(GETSTACK) ? EINVAL : __real_pthread_attr_getstack(attr, stack, size);
}

WRAP(int, getrlimit, (__rlimit_resource_t resource, struct rlimit *limit))
{
	return REFUSE(GETRLIMIT) ? fail_with(EINVAL) : __real_getrlimit(resource, limit);
}

WRAP(ssize_t, getrandom, (void *bytes, size_t size, unsigned flags))
{
	return REFUSE(GETRANDOM) ? fail_with(EAGAIN) : __real_getrandom(bytes, size, flags);
}

WRAP(FILE *, fopen, (const char *path, const char *mode))
{
	if (REFUSE(FOPEN)) {
		errno = EMFILE;
		return NULL;
	}
	return __real_fopen(path, mode);
}

WRAP(char *, fgets, (char *line, int size, FILE *file))
{
	return REFUSE(FGETS) ? NULL : __real_fgets(line, size, file);
}

/* The runtime opens nothing for writing: no mode is passed. */
WRAP(int, open, (const char *path, int flags, ...))
{
	return REFUSE(OPEN) ? fail_with(EMFILE) : __real_open(path, flags);
}

WRAP(int, fstat, (int fd, struct stat *status))
{
	return REFUSE(FSTAT) ? fail_with(EIO) : __real_fstat(fd, status);
}

/* Descriptors and sockets: the kernel has no memory left. */
WRAP(int, epoll_create1, (int flags))
{
	return REFUSE(EPOLL_CREATE) ? fail_with(EMFILE) : __real_epoll_create1(flags);
}

WRAP(int, eventfd, (unsigned count, int flags))
{
	return REFUSE(EVENTFD) ? fail_with(ENOMEM) : __real_eventfd(count, flags);
}

WRAP(int, epoll_ctl, (int set, int op, int fd, struct epoll_event *event))
{
	/* To take one out can't fail. */
	return op != EPOLL_CTL_DEL && REFUSE(EPOLL_CTL) ? fail_with(ENOMEM)
							: __real_epoll_ctl(set, op, fd, event);
}

WRAP(int, poll, (struct pollfd * one, nfds_t count, int limit))
{
	return REFUSE(POLL) ? fail_with(ENOMEM) : __real_poll(one, count, limit);
}

WRAP(int, socket, (int family, int type, int protocol))
{
	return REFUSE(SOCKET) ? fail_with(ENOMEM) : __real_socket(family, type, protocol);
}

WRAP(int, bind, (int fd, const struct sockaddr *to, socklen_t size))
{
	return REFUSE(BIND) ? fail_with(ENOMEM) : __real_bind(fd, to, size);
}

WRAP(int, listen, (int fd, int backlog))
{
	return REFUSE(LISTEN) ? fail_with(ENOMEM) : __real_listen(fd, backlog);
}

WRAP(int, connect, (int fd, const struct sockaddr *to, socklen_t size))
{
	return REFUSE(CONNECT) ? fail_with(ENOMEM) : __real_connect(fd, to, size);
}

WRAP(int, accept4, (int fd, struct sockaddr *from, socklen_t *size, int flags))
{
	return REFUSE(ACCEPT) ? fail_with(ENOMEM) : __real_accept4(fd, from, size, flags);
}

WRAP(int, getsockname, (int fd, struct sockaddr *name, socklen_t *size))
{
	return REFUSE(GETSOCKNAME) ? fail_with(ENOMEM) : __real_getsockname(fd, name, size);
}

WRAP(int, getpeername, (int fd, struct sockaddr *name, socklen_t *size))
{
	return REFUSE(GETPEERNAME) ? fail_with(ENOMEM) : __real_getpeername(fd, name, size);
}

WRAP(int, getsockopt, (int fd, int level, int option, void *value, socklen_t *size))
{
	return REFUSE(GETSOCKOPT) ? fail_with(ENOMEM)
				  : __real_getsockopt(fd, level, option, value, size);
}

WRAP(int, shutdown, (int fd, int how))
{
	return REFUSE(SHUTDOWN) ? fail_with(ENOMEM) : __real_shutdown(fd, how);
}

/* What the runtime calls past libc's functions. */
WRAP(long, syscall, (long number, ...))
{
	long part[6];
	va_list rest;
	size_t i;

	va_start(rest, number);
	for (i = 0; i < 6; i++)
		part[i] = va_arg(rest, long);
	va_end(rest);
	if ((number == SYS_recvfrom && REFUSE(RECV)) || (number == SYS_sendto && REFUSE(SEND)))
		return fail_with(ENOMEM);
	return __real_syscall(number, part[0], part[1], part[2], part[3], part[4], part[5]);
}

WRAP(ssize_t, sendfile, (int fd, int file, off_t *offset, size_t size))
{
	return REFUSE(SENDFILE) ? fail_with(ENOMEM) : __real_sendfile(fd, file, offset, size);
}

WRAP(ssize_t, sendto, (int fd, const void *data, size_t size, int flags,
		       const struct sockaddr *to, socklen_t length))
{
	return REFUSE(SENDTO) ? fail_with(ENOMEM)
			      : __real_sendto(fd, data, size, flags, to, length);
}

WRAP(ssize_t, recvfrom, (int fd, void *buffer, size_t size, int flags, struct sockaddr *from,
			 socklen_t *length))
{
	return REFUSE(RECVFROM) ? fail_with(ENOMEM)
				: __real_recvfrom(fd, buffer, size, flags, from, length);
}

WRAP(int, pipe2, (int ends[2], int flags))
{
	return REFUSE(PIPE) ? fail_with(EMFILE) : __real_pipe2(ends, flags);
}

WRAP(int, fcntl, (int fd, int command, long arg))
{
	return REFUSE(FCNTL) ? fail_with(EMFILE) : __real_fcntl(fd, command, arg);
}

/* These tell the error. */
WRAP(int, posix_spawn_file_actions_adddup2, (posix_spawn_file_actions_t * actions, int fd, int to))
{
	return REFUSE(SPAWN_DUP) ? ENOMEM
				 : __real_posix_spawn_file_actions_adddup2(actions, fd, to);
}

WRAP(int, posix_spawn_file_actions_addopen, (posix_spawn_file_actions_t * actions, int fd,
					     const char *path, int how, mode_t mode))
{
	return REFUSE(SPAWN_OPEN) ? ENOMEM
				  : __real_posix_spawn_file_actions_addopen(actions, fd, path, how,
									    mode);
}

WRAP(int, posix_spawn_file_actions_addchdir_np, (posix_spawn_file_actions_t * actions,
						 const char *path))
{
	return REFUSE(SPAWN_CHDIR) ? ENOMEM
				   : __real_posix_spawn_file_actions_addchdir_np(actions, path);
}

WRAP(int, posix_spawnp, (pid_t * pid, const char *name, const posix_spawn_file_actions_t *actions,
			 const posix_spawnattr_t *how, char *const argv[], char *const envp[]))
{
	return REFUSE(SPAWN) ? EAGAIN : __real_posix_spawnp(pid, name, actions, how, argv, envp);
}

WRAP(int, pidfd_open, (pid_t pid, unsigned flags))
{
	return REFUSE(PIDFD_OPEN) ? fail_with(EMFILE) : __real_pidfd_open(pid, flags);
}

WRAP(off_t, lseek, (int fd, off_t offset, int from))
{
	return REFUSE(LSEEK) ? fail_with(ESPIPE) : __real_lseek(fd, offset, from);
}

WRAP(ssize_t, preadv2, (int fd, const struct iovec *to, int count, off_t offset, int flags))
{
	return REFUSE(PREADV) ? fail_with(EIO) : __real_preadv2(fd, to, count, offset, flags);
}

WRAP(int, inotify_init1, (int flags))
{
	return REFUSE(INOTIFY) ? fail_with(EMFILE) : __real_inotify_init1(flags);
}

WRAP(int, inotify_add_watch, (int fd, const char *path, uint32_t mask))
{
	return REFUSE(INOTIFY_ADD) ? fail_with(ENOSPC) : __real_inotify_add_watch(fd, path, mask);
}

WRAP(int, isatty, (int fd))
{
	if (!REFUSE(ISATTY))
		return __real_isatty(fd);
	errno = ENOTTY;
	return 0;
}

/* Of one number only, and what it tells is not what is asked for. */
WRAP(int, ioctl, (int fd, unsigned long request, void *arg))
{
	return REFUSE(IOCTL) ? fail_with(EIO) : __real_ioctl(fd, request, arg);
}

WRAP(int, ttyname_r, (int fd, char *name, size_t size))
{
	return REFUSE(TTYNAME) ? ENOTTY : __real_ttyname_r(fd, name, size);
}

/* ---- libuv ---------------------------------------------------------------------------------- */

WRAP(int, uv_loop_init, (uv_loop_t * loop))
{
	return REFUSE(UV_LOOP_INIT) ? UV_EMFILE : __real_uv_loop_init(loop);
}

WRAP(int, uv_getaddrinfo,
     (uv_loop_t * loop, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb, const char *node,
      const char *service, const struct addrinfo *hints))
{
	return REFUSE(UV_GETADDRINFO) ? UV_ENOMEM
				       : __real_uv_getaddrinfo(loop, req, cb, node, service, hints);
}

WRAP(int, uv_fs_open,
     (uv_loop_t * loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb))
{
	return REFUSE(UV_OPEN) ? UV_ENOMEM : __real_uv_fs_open(loop, req, path, flags, mode, cb);
}

WRAP(int, uv_fs_read,
     (uv_loop_t * loop, uv_fs_t *req, uv_file file, const uv_buf_t *bufs, unsigned count,
      int64_t offset, uv_fs_cb cb))
{
	return REFUSE(UV_READ) ? UV_ENOMEM
				       : __real_uv_fs_read(loop, req, file, bufs, count, offset,
							   cb);
}

WRAP(int, uv_fs_write,
     (uv_loop_t * loop, uv_fs_t *req, uv_file file, const uv_buf_t *bufs, unsigned count,
      int64_t offset, uv_fs_cb cb))
{
	return REFUSE(UV_WRITE) ? UV_ENOMEM
				       : __real_uv_fs_write(loop, req, file, bufs, count, offset,
							    cb);
}

WRAP(int, uv_fs_fsync, (uv_loop_t * loop, uv_fs_t *req, uv_file file, uv_fs_cb cb))
{
	return REFUSE(UV_FSYNC) ? UV_ENOMEM : __real_uv_fs_fsync(loop, req, file, cb);
}

WRAP(int, uv_fs_stat, (uv_loop_t * loop, uv_fs_t *req, const char *path, uv_fs_cb cb))
{
	return REFUSE(UV_STAT) ? UV_ENOMEM : __real_uv_fs_stat(loop, req, path, cb);
}

WRAP(int, uv_fs_lstat, (uv_loop_t * loop, uv_fs_t *req, const char *path, uv_fs_cb cb))
{
	return REFUSE(UV_LSTAT) ? UV_ENOMEM : __real_uv_fs_lstat(loop, req, path, cb);
}

WRAP(int, uv_fs_mkdir, (uv_loop_t * loop, uv_fs_t *req, const char *path, int mode, uv_fs_cb cb))
{
	return REFUSE(UV_MKDIR) ? UV_ENOMEM : __real_uv_fs_mkdir(loop, req, path, mode, cb);
}

WRAP(int, uv_fs_unlink, (uv_loop_t * loop, uv_fs_t *req, const char *path, uv_fs_cb cb))
{
	return REFUSE(UV_UNLINK) ? UV_ENOMEM : __real_uv_fs_unlink(loop, req, path, cb);
}

WRAP(int, uv_fs_rmdir, (uv_loop_t * loop, uv_fs_t *req, const char *path, uv_fs_cb cb))
{
	return REFUSE(UV_RMDIR) ? UV_ENOMEM : __real_uv_fs_rmdir(loop, req, path, cb);
}

WRAP(int, uv_fs_rename,
     (uv_loop_t * loop, uv_fs_t *req, const char *path, const char *to, uv_fs_cb cb))
{
	return REFUSE(UV_RENAME) ? UV_ENOMEM : __real_uv_fs_rename(loop, req, path, to, cb);
}

WRAP(int, uv_fs_scandir,
     (uv_loop_t * loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb))
{
	return REFUSE(UV_SCANDIR) ? UV_ENOMEM : __real_uv_fs_scandir(loop, req, path, flags, cb);
}

WRAP(int, uv_tty_init, (uv_loop_t * loop, uv_tty_t *tty, uv_file fd, int unused))
{
	return REFUSE(TTY_INIT) ? UV_EMFILE : __real_uv_tty_init(loop, tty, fd, unused);
}

WRAP(int, uv_tty_set_mode, (uv_tty_t * tty, uv_tty_mode_t mode))
{
	/* To put it back can't fail. */
	return mode != UV_TTY_MODE_NORMAL && REFUSE(TTY_MODE) ? UV_EIO
							      : __real_uv_tty_set_mode(tty, mode);
}

WRAP(int, uv_tty_get_winsize, (uv_tty_t * tty, int *width, int *height))
{
	return REFUSE(TTY_SIZE) ? UV_EIO : __real_uv_tty_get_winsize(tty, width, height);
}

/* ---- the points --------------------------------------------------------------------------- */

void fault_points(void (*each)(const char *kind, const char *function, unsigned hits,
			       unsigned visible, unsigned silent))
{
	char function[LONGEST];
	uint32_t i;

	for (i = 0; i < shared->count; i++) {
		const struct point *point = &shared->points[i];

		sc_os_symbol(point->site, 0, function, sizeof function);
		each(names[point->kind], function, point->hits, point->visible, point->silent);
	}
}
