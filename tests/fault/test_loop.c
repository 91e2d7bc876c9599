/* tests/fault/test_loop.c: each program with each call of each kind refused: once, for good. */
#define _GNU_SOURCE
#include "fault.h"
#include "files.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <scope_file.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(fault, .timeout = 150);

enum { MOST_CALLS = 5000, LONGEST_SECONDS = 20 };

/* What is under way, for whoever has to tell that it hangs. */
static struct {
	const char *program, *kind;
	unsigned workers;
	int nth, sticky;
} now;

static void on_alarm(int signal)
{
	char text[256];
	int length =
		snprintf(text, sizeof text, "hangs: %s with %u workers, call %d of %s refused%s\n",
			 now.program, now.workers, now.nth, now.kind,
			 now.sticky ? " and all later ones" : "");

	(void)signal;
	if (write(1, text, (size_t)length) < 0)
		_exit(1);
	_exit(1);
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

/* ---- what a run may not leave behind ------------------------------------------------------- */

static const int watched[] = {SIGSEGV, SIGBUS, SIGINT, SIGTERM};
enum { WATCHED = sizeof watched / sizeof *watched, MOST_SIGNALS = 65 };

struct traces {
	void (*handlers[WATCHED + 1])(int);
	char blocked[MOST_SIGNALS];
	stack_t stack;
	int threads, files;
};

static void (*handler_of(int signal))(int)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return action.sa_handler;
}

static struct traces traces(void)
{
	struct traces t;
	sigset_t mask;
	int i;

	memset(&t, 0, sizeof t);
	for (i = 0; i < WATCHED; i++)
		t.handlers[i] = handler_of(watched[i]);
	t.handlers[WATCHED] = handler_of(sc_os_expose_signal());
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (i = 1; i < MOST_SIGNALS; i++)
		t.blocked[i] = sigismember(&mask, i) == 1;
	sigaltstack(NULL, &t.stack);
	t.threads = entries("/proc/self/task");
	t.files = open_files();
	return t;
}

/* A joined thread may be seen for a moment longer. */
static void check_traces(const struct traces *before)
{
	struct traces after;
	int turn;

	for (turn = 0; turn < 10000; turn++) {
		after = traces();
		if (after.threads == before->threads)
			break;
	}
	cr_assert_eq(after.threads, before->threads, "%s: call %d of %s: %d threads are left",
		     now.program, now.nth, now.kind, after.threads - before->threads);
	cr_assert_eq(after.files, before->files, "%s: call %d of %s: files are left open",
		     now.program, now.nth, now.kind);
	cr_assert_arr_eq(after.handlers, before->handlers, sizeof after.handlers,
			 "%s: call %d of %s: a signal's disposition is not what it was",
			 now.program, now.nth, now.kind);
	cr_assert_arr_eq(after.blocked, before->blocked, sizeof after.blocked,
			 "%s: call %d of %s: the signal mask is not what it was", now.program,
			 now.nth, now.kind);
	cr_assert_eq(after.stack.ss_sp, before->stack.ss_sp,
		     "%s: call %d of %s: the signal stack is not what it was", now.program, now.nth,
		     now.kind);
}

/* ---- one run ------------------------------------------------------------------------------- */

static int run_program(const struct fault_program *program, unsigned workers)
{
	struct scope_config config = {.workers = program->by_default ? 0 : workers,
				      .flags = program->by_default ? 0 : SCOPE_VIRTUAL_CLOCK,
				      .report = no_report};

	memset(&fault_notes, 0, sizeof fault_notes);
	fault_small_deques(program->small_deques);
	alarm(LONGEST_SECONDS);
	return scope_run(program->main, NULL, &config);
}

/* A task without a drop that can have no stack leaves only the error (P8). */
static int may_lose_tasks(enum fault_kind kind)
{
	return (kind >= FAULT_RESERVE && kind <= FAULT_GUARD) ||
	       (kind >= FAULT_MMAP && kind <= FAULT_MADVISE);
}

/* The errors of starting that are not want of memory. */
static int may_start_with(enum fault_kind kind, int rc)
{
	if (fault_notes.started)
		return 0;
	return (rc == -EAGAIN && (kind == FAULT_THREAD || kind == FAULT_PTHREAD_CREATE)) ||
	       (rc == -EPERM && kind == FAULT_SIGALTSTACK) ||
	       (rc == -EINVAL && kind == FAULT_SIGACTION);
}

static void check_run(const struct fault_program *program, enum fault_kind kind, int rc)
{
	const struct fault_notes *n = &fault_notes;
	int known = n->ran + n->dropped;

	cr_assert_null(n->failure, "%s: call %d of %s: %s", now.program, now.nth, now.kind,
		       n->failure);
	cr_assert_eq(fault_live(), 0, "%s: call %d of %s: %d pieces of memory are left",
		     now.program, now.nth, now.kind, fault_live());
	cr_assert(known == n->accepted ||
			  (may_lose_tasks(kind) && known < n->accepted && n->refused),
		  "%s: call %d of %s: of %d tasks %d ran, %d were dropped", now.program, now.nth,
		  now.kind, n->accepted, n->ran, n->dropped);
	cr_assert(rc == program->result || rc == -ENOMEM || may_start_with(kind, rc),
		  "%s: call %d of %s: %d", now.program, now.nth, now.kind, rc);
}

/* Fails the Nth call of the kind, for each N until a run does not come to it. */
static void fail_each(const struct fault_program *program, enum fault_kind kind, unsigned workers,
		      int sticky)
{
	struct traces before = traces();
	int nth, rc, came;

	now.program = program->name;
	now.kind = fault_name(kind);
	now.workers = workers;
	now.sticky = sticky;
	for (nth = 0, came = 1; came; nth++) {
		now.nth = nth;
		fault_arm(kind, nth, sticky);
		rc = run_program(program, workers);
		came = fault_disarm();
		check_run(program, kind, rc);
		if (came && !sticky)
			fault_outcome(fault_notes.refused || rc != program->result);
		if (nth % 16 == 0 || !came)
			check_traces(&before);
		cr_assert_lt(nth, MOST_CALLS);
		/* Where all fail there is no end of them, but nothing new to see either. */
		if (kind == FAULT_WAIT && nth >= 40)
			break;
	}
	alarm(0);
	cr_assert_eq(run_program(program, workers), program->result, "a run without faults");
	alarm(0);
	check_traces(&before); /* the next loop begins with what there is now */
}

static int asks_libuv(void *arg)
{
	struct scope_file_stat about;

	(void)arg;
	return scope_file_stat("/", &about);
}

/* Names of functions are read once, and kept; libuv's threads and a pipe stay. */
static void begin(void)
{
	struct scope_config config = {.workers = 1, .report = no_report};
	char name[64];

	signal(SIGALRM, on_alarm);
	setenv("UV_THREADPOOL_SIZE", "2", 1);
	cr_assert_eq(scope_run(asks_libuv, NULL, &config), 0);
	sc_os_symbol((const void *)(uintptr_t)asks_libuv, 0, name, sizeof name);
	while (entries("/proc/self/task") > 2 + 1 + 2)
		sched_yield(); /* a joined thread may be seen for a moment longer */
	fault_install();
}

/* What nothing but the program of this name asks for. */
static void fail_in(const char *name, enum fault_kind kind)
{
	const struct fault_program *program = fault_programs;
	unsigned workers;

	while (strcmp(program->name, name) != 0)
		program++;
	begin();
	for (workers = 1; workers <= 2; workers++) {
		fail_each(program, kind, workers, 0);
		fail_each(program, kind, workers, 1);
	}
}

static void fail_all(enum fault_kind kind)
{
	unsigned i, workers;

	begin();
	for (i = 0; i < fault_program_count; i++)
		for (workers = 1; workers <= 2; workers++) {
			if (fault_programs[i].by_default && workers > 1)
				continue;
			fail_each(&fault_programs[i], kind, workers, 0);
			fail_each(&fault_programs[i], kind, workers, 1);
		}
}

Test(fault, every_allocation_fails)
{
	fail_all(FAULT_ALLOC);
}

Test(fault, every_reservation_fails)
{
	fail_all(FAULT_RESERVE);
}

Test(fault, every_commit_fails)
{
	fail_all(FAULT_COMMIT);
}

Test(fault, every_guard_fails)
{
	fail_all(FAULT_GUARD);
}

Test(fault, every_thread_fails)
{
	fail_all(FAULT_THREAD);
}

Test(fault, every_wait_returns_early)
{
	fail_all(FAULT_WAIT);
}

Test(fault, every_mmap_fails)
{
	fail_all(FAULT_MMAP);
}

Test(fault, every_mprotect_fails)
{
	fail_all(FAULT_MPROTECT);
}

Test(fault, every_madvise_fails)
{
	fail_all(FAULT_MADVISE);
}

Test(fault, every_pthread_create_fails)
{
	fail_all(FAULT_PTHREAD_CREATE);
}

Test(fault, every_pthread_attr_init_fails)
{
	fail_all(FAULT_ATTR_INIT);
}

Test(fault, every_sigaction_fails)
{
	fail_all(FAULT_SIGACTION);
}

Test(fault, every_sigaltstack_fails)
{
	fail_all(FAULT_SIGALTSTACK);
}

Test(fault, every_pthread_getattr_fails)
{
	fail_all(FAULT_GETATTR);
}

Test(fault, every_pthread_attr_getstack_fails)
{
	fail_all(FAULT_GETSTACK);
}

Test(fault, every_getrlimit_fails)
{
	fail_all(FAULT_GETRLIMIT);
}

Test(fault, every_fopen_fails)
{
	fail_all(FAULT_FOPEN);
}

Test(fault, every_fgets_fails)
{
	fail_all(FAULT_FGETS);
}

Test(fault, every_epoll_create_fails)
{
	fail_in("networks", FAULT_EPOLL_CREATE);
}

Test(fault, every_eventfd_fails)
{
	fail_in("networks", FAULT_EVENTFD);
}

Test(fault, every_epoll_ctl_fails)
{
	fail_in("networks", FAULT_EPOLL_CTL);
}

Test(fault, every_poll_fails)
{
	fail_in("networks", FAULT_POLL);
}

Test(fault, every_socket_fails)
{
	fail_in("networks", FAULT_SOCKET);
}

Test(fault, every_bind_fails)
{
	fail_in("networks", FAULT_BIND);
}

Test(fault, every_listen_fails)
{
	fail_in("networks", FAULT_LISTEN);
}

Test(fault, every_connect_fails)
{
	fail_in("networks", FAULT_CONNECT);
}

Test(fault, every_accept_fails)
{
	fail_in("networks", FAULT_ACCEPT);
}

Test(fault, every_getsockname_fails)
{
	fail_in("networks", FAULT_GETSOCKNAME);
}

Test(fault, every_getpeername_fails)
{
	fail_in("networks", FAULT_GETPEERNAME);
}

Test(fault, every_getsockopt_fails)
{
	fail_in("networks", FAULT_GETSOCKOPT);
}

Test(fault, every_shutdown_fails)
{
	fail_in("networks", FAULT_SHUTDOWN);
}

Test(fault, every_recv_fails)
{
	fail_in("networks", FAULT_RECV);
}

Test(fault, every_send_fails)
{
	fail_in("networks", FAULT_SEND);
}

Test(fault, every_sendfile_fails)
{
	fail_in("networks", FAULT_SENDFILE);
}

Test(fault, every_sendto_fails)
{
	fail_in("networks", FAULT_SENDTO);
}

Test(fault, every_recvfrom_fails)
{
	fail_in("networks", FAULT_RECVFROM);
}

Test(fault, every_pipe2_fails)
{
	fail_in("processes", FAULT_PIPE);
}

Test(fault, every_fcntl_fails)
{
	fail_in("processes", FAULT_FCNTL);
}

Test(fault, every_adddup2_fails)
{
	fail_in("processes", FAULT_SPAWN_DUP);
}

Test(fault, every_addopen_fails)
{
	fail_in("processes", FAULT_SPAWN_OPEN);
}

Test(fault, every_addchdir_fails)
{
	fail_in("processes", FAULT_SPAWN_CHDIR);
}

Test(fault, every_posix_spawnp_fails)
{
	fail_in("processes", FAULT_SPAWN);
}

Test(fault, every_pidfd_open_fails)
{
	fail_in("processes", FAULT_PIDFD_OPEN);
}

Test(fault, every_lseek_fails)
{
	fail_in("files", FAULT_LSEEK);
}

Test(fault, every_preadv2_fails)
{
	fail_in("files", FAULT_PREADV);
}

Test(fault, every_uv_loop_init_fails)
{
	fail_in("files", FAULT_UV_LOOP_INIT);
}

Test(fault, every_uv_getaddrinfo_fails)
{
	fail_in("networks", FAULT_UV_GETADDRINFO);
}

Test(fault, every_uv_fs_open_fails)
{
	fail_in("files", FAULT_UV_OPEN);
}

Test(fault, every_uv_fs_read_fails)
{
	fail_in("files", FAULT_UV_READ);
}

Test(fault, every_uv_fs_write_fails)
{
	fail_in("files", FAULT_UV_WRITE);
}

Test(fault, every_uv_fs_fsync_fails)
{
	fail_in("files", FAULT_UV_FSYNC);
}

Test(fault, every_uv_fs_stat_fails)
{
	fail_in("files", FAULT_UV_STAT);
}

Test(fault, every_uv_fs_lstat_fails)
{
	fail_in("files", FAULT_UV_LSTAT);
}

Test(fault, every_uv_fs_mkdir_fails)
{
	fail_in("files", FAULT_UV_MKDIR);
}

Test(fault, every_uv_fs_unlink_fails)
{
	fail_in("files", FAULT_UV_UNLINK);
}

Test(fault, every_uv_fs_rmdir_fails)
{
	fail_in("files", FAULT_UV_RMDIR);
}

Test(fault, every_uv_fs_rename_fails)
{
	fail_in("files", FAULT_UV_RENAME);
}

Test(fault, every_uv_fs_scandir_fails)
{
	fail_in("files", FAULT_UV_SCANDIR);
}

Test(fault, every_isatty_fails)
{
	fail_in("terminals", FAULT_ISATTY);
}

Test(fault, every_ioctl_fails)
{
	fail_in("terminals", FAULT_IOCTL);
}

Test(fault, every_ttyname_r_fails)
{
	fail_in("terminals", FAULT_TTYNAME);
}

Test(fault, every_uv_tty_init_fails)
{
	fail_in("terminals", FAULT_TTY_INIT);
}

Test(fault, every_uv_tty_set_mode_fails)
{
	fail_in("terminals", FAULT_TTY_MODE);
}

Test(fault, every_uv_tty_get_winsize_fails)
{
	fail_in("terminals", FAULT_TTY_SIZE);
}

Test(fault, every_inotify_init_fails)
{
	fail_in("files", FAULT_INOTIFY);
}

Test(fault, every_inotify_add_watch_fails)
{
	fail_in("files", FAULT_INOTIFY_ADD);
}
