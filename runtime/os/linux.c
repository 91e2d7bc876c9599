/* runtime/os/linux.c: the table of the real system: heap, clock, threads, waiting. */
#define _GNU_SOURCE
#include "os/os.h"
#include "os/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	NS_PER_SEC = 1000000000,
	SPIN_TURNS = 64,               /* pauses before a spin loop gives the CPU away */
	THREAD_STACK_SIZE = 1024 * 1024, /* of workers and the monitor: no task runs on it */
};

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static uint64_t random_seed(void)
{
	uint64_t seed;

	/* Early in boot the source may have nothing yet: time and layout must do. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint64_t)now() * 0x9e3779b97f4a7c15u ^ (uintptr_t)&seed;
	return seed;
}

/* ---- threads ---- */

struct start {
	void (*entry)(void *);
	void *arg;
};

static void *run_thread(void *argument)
{
	struct start start = *(struct start *)argument;

	sc_os.free(argument);
	start.entry(start.arg);
	return NULL;
}

/* Everything else is for threads that the program made for it.  A blocked synchronous
 * signal would kill the process without its handler. */
static void worker_mask(sigset_t *mask)
{
	static const int open[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	size_t i;

	sigfillset(mask);
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		sigdelset(mask, open[i]);
	sigdelset(mask, sc_os_expose_signal());
}

_Static_assert(sizeof(sigset_t) <= sizeof(struct sc_mask), "a mask fits");

void sc_os_mask_threads(struct sc_mask *old)
{
	sigset_t mask;

	worker_mask(&mask);
	pthread_sigmask(SIG_SETMASK, &mask, (sigset_t *)old->bits);
}

void sc_os_unmask_threads(const struct sc_mask *old)
{
	pthread_sigmask(SIG_SETMASK, (const sigset_t *)old->bits, NULL);
}

static int thread_start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	struct start *start = sc_os.alloc(sizeof(*start));
	pthread_attr_t attr;
	sigset_t mask, old;
	pthread_t id;
	int error;

	if (!start)
		return -ENOMEM;
	*start = (struct start){entry, arg};
	error = pthread_attr_init(&attr);
	if (error)
		goto fail_attr;
	pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
	worker_mask(&mask);
	/* Inherited, so that no signal comes between the thread's start and its own mask. */
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	error = pthread_create(&id, &attr, run_thread, start);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	if (error)
		goto fail_attr;
	thread->handle = (uintptr_t)id;
	return 0;

fail_attr:
	sc_os.free(start);
	return -error;
}

static void thread_join(struct sc_thread *thread)
{
	pthread_join((pthread_t)thread->handle, NULL);
}

static struct sc_thread thread_self(void)
{
	return (struct sc_thread){(uintptr_t)pthread_self()};
}

static void thread_signal(struct sc_thread thread)
{
	pthread_kill((pthread_t)thread.handle, sc_os_expose_signal());
}

/* ---- waiting ---- */

/* ThreadSanitizer runs a handler only when the thread is back from the kernel, and of a wait
 * without a limit the kernel makes a new one after a signal (SA_RESTART). */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LATE_SIGNALS 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define LATE_SIGNALS 1
#endif
#ifndef LATE_SIGNALS
#define LATE_SIGNALS 0
#endif

static void wait_word(const uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct timespec limit;

	if (deadline < 0)
		deadline = 0;
	limit.tv_sec = deadline / NS_PER_SEC;
	limit.tv_nsec = deadline % NS_PER_SEC;
	/* The bitset form takes an absolute time on the monotonic clock. */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected,
		deadline == INT64_MAX && !LATE_SIGNALS ? NULL : &limit, NULL,
		FUTEX_BITSET_MATCH_ANY);
}

static void wake_word(const uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

static void relax(unsigned turn)
{
	if (turn >= SPIN_TURNS) {
		sched_yield();
		return;
	}
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#define TABLE                                                                                      \
	{                                                                                          \
		.alloc = malloc, .free = free, .reserve = sc_linux_reserve,                        \
		.commit = sc_linux_commit, .discard = sc_linux_discard,                            \
		.release = sc_linux_release, .guard = sc_linux_guard, .unguard = sc_linux_unguard, \
		.now = now, .thread_start = thread_start, .thread_join = thread_join,              \
		.thread_self = thread_self, .thread_signal = thread_signal, .wait = wait_word,     \
		.wake = wake_word, .relax = relax, .random = random_seed,                          \
		.recv = sc_linux_recv, .send = sc_linux_send, .send_file = sc_linux_send_file,     \
		.accept = sc_linux_accept, .ready = sc_linux_ready, .close = sc_linux_close,       \
		.connect = sc_linux_connect, .read_now = sc_linux_read_now,                        \
		.poll_open = sc_linux_poll_open, .poll_close = sc_linux_poll_close,                \
		.poll_watch = sc_linux_poll_watch, .poll_forget = sc_linux_poll_forget,            \
		.poll_wait = sc_linux_poll_wait, .poll_wake = sc_linux_poll_wake,                  \
	}

struct sc_os sc_os = TABLE;
const struct sc_os sc_os_system = TABLE;

/* ---- facts ---- */

size_t sc_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

size_t sc_os_main_stack_size(void)
{
	const size_t least = 256 * 1024, most = 64 * 1024 * 1024;
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) || limit.rlim_cur > most)
		return most;
	return limit.rlim_cur < least ? least : (size_t)limit.rlim_cur;
}

int sc_os_stack_bounds(char **low, char **high)
{
	pthread_attr_t attr;
	void *address;
	size_t size;
	int error;

	error = pthread_getattr_np(pthread_self(), &attr);
	if (error)
		return -error;
	error = pthread_attr_getstack(&attr, &address, &size);
	pthread_attr_destroy(&attr);
	if (error)
		return -error;
	*low = address;
	*high = (char *)address + size;
	return 0;
}

size_t sc_os_address_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	return (size_t)limit.rlim_cur;
}

int sc_os_write(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(fd, text, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		length -= (size_t)n;
	}
	return 0;
}

void sc_os_write_stderr(const char *text, size_t length)
{
	sc_os_write(STDERR_FILENO, text, length);
}

/* A pipe takes nothing from where nothing is. */
static int peek_by_pipe(char *to, const char *from, size_t size)
{
	size_t done = 0;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -EFAULT;
	while (done < size) {
		size_t part = size - done < PIPE_BUF ? size - done : PIPE_BUF;

		if (write(ends[1], from + done, part) != (ssize_t)part ||
		    read(ends[0], to + done, part) != (ssize_t)part)
			break;
		done += part;
	}
	close(ends[0]);
	close(ends[1]);
	return done == size ? 0 : -EFAULT;
}

/* The kernel copies from this process as from any other: it looks at each page first, and no
 * checker takes it for an access.  A sandbox may forbid that. */
int sc_os_peek(void *to, const void *from, size_t size)
{
	struct iovec local = {to, size}, remote = {(void *)(uintptr_t)from, size};
	ssize_t n = syscall(SYS_process_vm_readv, getpid(), &local, 1UL, &remote, 1UL, 0UL);

	if (n == (ssize_t)size)
		return 0;
	if (n >= 0 || (errno != ENOSYS && errno != EPERM))
		return -EFAULT;
	return peek_by_pipe(to, from, size);
}

void sc_os_fork_install(void (*child)(void))
{
	static int installed;

	/* Without memory for it a forked child is not told apart: nothing else depends on it. */
	if (!installed)
		installed = pthread_atfork(NULL, NULL, child) == 0;
}
