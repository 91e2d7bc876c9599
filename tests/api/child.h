/* tests/api/child.h: programs that get signals: forked children, what they saw, how they ended.
 *
 * A program tells through a pipe when it wants its signal, and leaves what it saw in shared
 * memory, for it may die.
 */
#ifndef SC_TESTS_CHILD_H
#define SC_TESTS_CHILD_H

#include "harness.h"

#include <errno.h>
#include <scope.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- programs ------------------------------------------------------------------------ */

/* What a program leaves to its test. */
struct seen {
	int rc;       /* of scope_run */
	int signal;   /* out_signal */
	int told;     /* what the interrupted call gave */
	int handled;  /* calls of the program's own handler */
	int wrong;    /* a line where something was not as it must be */
	int returned; /* scope_run came back */
};

struct program {
	pid_t pid;
	int ready;          /* to read from */
	FILE *errors;       /* its standard error */
	char text[16384];   /* the same, when it has ended */
	struct seen *seen;
};

static struct seen *seen; /* in the program */
static int ready_fd;

#define MUST(condition) ((condition) ? (void)0 : (void)(seen->wrong = seen->wrong ?: __LINE__))

static inline void say_ready(void)
{
	MUST(write(ready_fd, "r", 1) == 1);
}

static inline void start(struct program *p, void (*program)(int), int arg)
{
	static struct rlimit none;
	int fd[2];

	p->seen = mmap(NULL, sizeof(*p->seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	cr_assert(p->seen != MAP_FAILED);
	cr_assert_eq(pipe(fd), 0);
	p->errors = tmpfile();
	cr_assert_not_null(p->errors);
	fflush(NULL);
	p->pid = fork();
	cr_assert_geq(p->pid, 0);
	if (p->pid == 0) {
		sigset_t all;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setrlimit(RLIMIT_CORE, &none);
		alarm(40);
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		dup2(fileno(p->errors), 2);
		close(fd[0]);
		ready_fd = fd[1];
		seen = p->seen;
		program(arg);
		_exit(0);
	}
	close(fd[1]);
	p->ready = fd[0];
}

static inline void wait_ready(struct program *p)
{
	char byte;

	cr_assert_eq(read(p->ready, &byte, 1), 1, "the program ended before it was ready");
}

static inline void collect(struct program *p)
{
	size_t length;

	rewind(p->errors);
	length = fread(p->text, 1, sizeof(p->text) - 1, p->errors);
	p->text[length] = '\0';
	fclose(p->errors);
	close(p->ready);
}

/* Its wait status. */
static inline int finish(struct program *p)
{
	int status;

	cr_assert_eq(waitpid(p->pid, &status, 0), p->pid);
	collect(p);
	cr_assert_eq(p->seen->wrong, 0, "line %d: %s", p->seen->wrong, p->text);
	return status;
}

static inline void expect_exit(struct program *p)
{
	int status = finish(p);

	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x: %s", (unsigned)status,
		  p->text);
	cr_assert(p->seen->returned);
}

static inline void run_seeing(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {.out_signal = &seen->signal};

	seen->signal = -1;
	seen->rc = scope_run(fn, arg, &config);
	seen->returned = 1;
}

static inline void pause_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* Presses the key until the program ends; the times it took.  Two signals that come at once
 * are one, so on a busy machine it may be more than were needed. */
static inline int press_until_dead(struct program *p, int signal, int *out_status)
{
	int times, i;

	for (times = 1; times <= 80; times++) {
		kill(p->pid, signal);
		for (i = 0; i < 20; i++) {
			if (waitpid(p->pid, out_status, WNOHANG) == p->pid)
				return times;
			pause_ms(20);
		}
	}
	kill(p->pid, SIGKILL);
	waitpid(p->pid, out_status, 0);
	return times;
}

/* The last report of a process reads the scopes of tasks that still run. */
static inline void skip_racy_report(void)
{
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
	cr_skip("the report of a process that is about to exit races with its tasks");
#endif
#endif
}

/* Tasks that no cancel ends. */
static inline int spinner(void *arg)
{
	volatile unsigned turn = 0;

	(void)arg;
	say_ready();
	for (;;)
		turn++;
	return 0;
}

static inline int spinning_main(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, spinner, NULL);
	return scope_close(&s);
}

static inline int64_t real_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SCOPE_SEC + t.tv_nsec;
}

#endif
