/* runtime/os/process.c: processes: starting, signalling and reaping them. */
#define _GNU_SOURCE
#include "os/process.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ABOVE = 3 }; /* the first that is no standard stream */

/* ---- starting ------------------------------------------------------------------------------ */

/* Positive errors, as posix_spawn has them. */
static int put_streams(posix_spawn_file_actions_t *actions, const struct sc_spawn *spawn)
{
	int error = 0, i;

	for (i = 0; i < SC_STREAMS && !error; i++) {
		int from = spawn->streams[i];

		if (from >= 0)
			error = posix_spawn_file_actions_adddup2(actions, from, i);
		else if (from == SC_STREAM_NULL)
			error = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR,
								 0);
		else if (from == SC_STREAM_MERGE)
			error = posix_spawn_file_actions_adddup2(actions, STDOUT_FILENO, i);
	}
	if (!error && spawn->directory)
		error = posix_spawn_file_actions_addchdir_np(actions, spawn->directory);
	return error;
}

/* Workers block signals, and a program may ignore SIGPIPE for itself: neither is for the child. */
static void put_attributes(posix_spawnattr_t *how, const struct sc_spawn *spawn)
{
	short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, defaults;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(how);
	posix_spawnattr_setsigmask(how, &none);
	posix_spawnattr_setsigdefault(how, &defaults);
	posix_spawnattr_setpgroup(how, 0);
	if (spawn->group)
		flags |= POSIX_SPAWN_SETPGROUP;
	posix_spawnattr_setflags(how, flags);
}

int sc_os_spawn(const struct sc_spawn *spawn)
{
	char *const *environment = spawn->environment ? spawn->environment : environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t how;
	int error;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	put_attributes(&how, spawn);
	error = put_streams(&actions, spawn);
	if (!error)
		error = posix_spawnp(&pid, spawn->argv[0], &actions, &how,
				     (char *const *)(uintptr_t)spawn->argv, environment);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&actions);
	return error ? -error : pid;
}

int sc_os_pidfd(int pid)
{
	int fd = pidfd_open(pid, 0);

	/* The kernel marks it close-on-exec by itself. */
	return fd < 0 ? -errno : fd;
}

/* ---- signals and the end ------------------------------------------------------------------- */

int sc_os_reap(int pidfd, int *out_status)
{
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG))
		return errno == EAGAIN ? 0 : -ECHILD;
	if (info.si_pid == 0)
		return 0;
	*out_status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
	return 1;
}

void sc_os_destroy(int pid)
{
	siginfo_t info;

	kill(pid, SIGKILL);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED) && errno == EINTR)
		;
}

int sc_os_process_signal(int pid, int pidfd, int signal, int group)
{
	int rc = group ? kill(-pid, signal) : pidfd_send_signal(pidfd, signal, NULL, 0);

	return rc ? -errno : 0;
}

/* ---- descriptors --------------------------------------------------------------------------- */

int sc_os_copy(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, ABOVE);

	return copy < 0 ? -errno : copy;
}

/* Where standard streams are closed, a new descriptor takes the place of one. */
static int lift(int *fd)
{
	int copy;

	if (*fd >= ABOVE)
		return 0;
	copy = sc_os_copy(*fd);
	if (copy < 0)
		return copy;
	close(*fd);
	*fd = copy;
	return 0;
}

int sc_os_pipe(int ends[2], int ours)
{
	int rc;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	rc = lift(&ends[0]);
	if (rc == 0)
		rc = lift(&ends[1]);
	if (rc == 0 && fcntl(ends[ours], F_SETFL, O_NONBLOCK))
		rc = -errno;
	if (rc < 0) {
		close(ends[0]);
		close(ends[1]);
	}
	return rc;
}
