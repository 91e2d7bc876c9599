/* tests/api/test_fork.c: a process forked by a task is outside the run: rule S2. */
#include "harness.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <scope.h>
#include <scope_observe.h>
#include <scope_parallel.h>

TestSuite(fork, .timeout = 60);

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static int no_chunk(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	return nothing(arg);
}

/* The number of the first call that takes the child for a task, 0 if none does. */
static int first_wrong(struct scope *s)
{
	struct scope t;

	alarm(10); /* a call that parks would never come back */
	if (scope_spawn(s, nothing, NULL) != -ENOTCONN)
		return 1;
	if (scope_checkpoint() != -ENOTCONN)
		return 2;
	if (scope_yield() != -ENOTCONN)
		return 3;
	if (scope_sleep_for(1) != -ENOTCONN)
		return 4;
	if (scope_open_with(&t, NULL) != -ENOTCONN)
		return 5;
	if (scope_both(nothing, NULL, nothing, NULL) != -ENOTCONN)
		return 6;
	if (scope_for(0, 10, 1, no_chunk, NULL) != -ENOTCONN)
		return 7;
	if (scope_fail(s, -EIO, NULL) != -ENOTCONN)
		return 8;
	if (scope_cancelled())
		return 9;
	scope_cancel(s);
	if (scope_wait_until(s, SCOPE_NEVER) != -ENOTCONN)
		return 10;
	return scope_close(s) == -ENOTCONN ? 0 : 11;
}

static int forks(void *arg)
{
	int status = -1, *out_status = arg;
	struct scope s;
	pid_t child;

	scope_open(&s);
	scope_spawn(&s, nothing, NULL);
	child = fork();
	if (child == 0)
		_exit(first_wrong(&s));
	if (child > 0)
		waitpid(child, &status, 0);
	*out_status = status;
	/* The parent's run goes on. */
	if (scope_yield() != 0)
		return -EPROTO;
	return scope_close(&s);
}

Test(fork, S2_a_forked_child_is_outside_enotconn)
{
	struct scope_config config = {.flags = SCOPE_NO_SIGNALS};
	int status = -1;

	cr_assert_eq(scope_run(forks, &status, &config), 0);
	cr_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
}
