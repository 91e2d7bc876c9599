/* tests/coverage/flush.c: writes the counters of a process that is about to die.
 *
 * A program that is measured is linked with --wrap for each of these functions.  gcov writes
 * when a process exits, and many tests are about processes that do not get there.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
void __real_abort(void) __attribute__((noreturn));
void __real__exit(int status) __attribute__((noreturn));
int __real_raise(int signal);
int __real_sigaction(int signal, const struct sigaction *action, struct sigaction *old);

/* Whoever survives counts on from zero. */
static void flush(void)
{
	__gcov_dump();
	__gcov_reset();
}

void __wrap_abort(void)
{
	flush();
	__real_abort();
}

void __wrap__exit(int status)
{
	flush();
	__real__exit(status);
}

/* What has a handler is survived, and may be one of very many. */
int __wrap_raise(int signal)
{
	struct sigaction action;

	if (__real_sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
		flush();
	return __real_raise(signal);
}

/* A handler that puts another one back will not see the end of its signal.  Handlers run on
 * signal stacks, or in threads that have none; runs are begun and ended by the first thread.
 * Weak: tests/fault/table.c has one of its own. */
__attribute__((weak)) int __wrap_sigaction(int signal, const struct sigaction *action,
					   struct sigaction *old)
{
	stack_t stack;

	if (action && (gettid() != getpid() ||
		       (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK))))
		flush();
	return __real_sigaction(signal, action, old);
}
