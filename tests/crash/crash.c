/* tests/crash/crash.c: starts a child program and compares its end with what was expected. */
#define _GNU_SOURCE
#include "crash.h"

#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LONGEST_SECONDS = 30 };

static void __attribute__((noreturn)) be_child(void (*program)(void), const int fd[2])
{
	static const int mine[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTERM, SIGINT};
	struct rlimit none = {0, 0};
	size_t i;

	/* A test harness's handlers are not the program's. */
	for (i = 0; i < sizeof mine / sizeof *mine; i++)
		signal(mine[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	dup2(fd[1], STDERR_FILENO);
	close(fd[0]);
	close(fd[1]);
	alarm(LONGEST_SECONDS);
	program();
	_exit(0);
}

/* Fills text with what the child wrote to its standard error; its wait status. */
static int run_child(void (*program)(void), char *text, size_t size)
{
	size_t used = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		be_child(program, fd);
	close(fd[1]);
	while (used < size - 1 && (n = read(fd[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static int matches(const char *regexp, const char *text)
{
	regex_t compiled;
	int found;

	cr_assert_eq(regcomp(&compiled, regexp, REG_EXTENDED | REG_NEWLINE | REG_NOSUB), 0, "%s",
		     regexp);
	found = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return found;
}

void crash_expect(void (*program)(void), int how, const char *const regexps[])
{
	static char text[65536];
	int status = run_child(program, text, sizeof text);

	if (how < 0)
		cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == -how,
			  "status %x instead of signal %d; it said:\n%s", (unsigned)status, -how,
			  text);
	else
		cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == how,
			  "status %x instead of exit %d; it said:\n%s", (unsigned)status, how,
			  text);
	for (; *regexps; regexps++) {
		int wanted = **regexps != '!';

		cr_expect_eq(matches(*regexps + !wanted, text), wanted, "\"%s\"; it said:\n%s",
			     *regexps, text);
	}
}

void run_and_exit(scope_task_fn *main_task, const struct scope_config *config)
{
	int rc = scope_run(main_task, NULL, config);

	_exit(rc < 0 ? 100 - rc : rc);
}

void fail_if(int condition, const char *text)
{
	if (!condition)
		return;
	fprintf(stderr, "the program failed: %s\n", text);
	_exit(99);
}
