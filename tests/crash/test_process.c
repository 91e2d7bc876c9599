/* tests/crash/test_process.c: tasks that end the process or leave it: exit, abort, fork. */
#define _GNU_SOURCE
#include "crash.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(process, .timeout = 60);

static int sleeps(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

/* Runs fn as one of several tasks of two workers; the others sleep and compute. */
static scope_task_fn *the_one;
static volatile int quiet;

static int computes(void *arg)
{
	(void)arg;
	while (!quiet)
		;
	return 0;
}

static int among_others(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 10; i++)
		scope_spawn_with(&s, sleeps, NULL, &options);
	scope_spawn_with(&s, the_one, NULL, &options);
	scope_spawn(&s, computes, NULL);
	return scope_close(&s);
}

static void run_among_others(scope_task_fn *fn)
{
	struct scope_config config = {.workers = 2};

	the_one = fn;
	run_and_exit(among_others, &config);
}

/* ---- exit --------------------------------------------------------------------------------- */

static void at_exit(void)
{
	/* On the stack of the task that called exit: still a task. */
	fprintf(stderr, "handlers of atexit ran, checkpoint %d\n", scope_checkpoint());
}

static int exits(void *arg)
{
	(void)arg;
	atexit(at_exit);
	exit(7);
}

static void exit_from_task(void)
{
	run_among_others(exits);
}

Test(process, exit_from_a_task_ends_the_process_with_its_status)
{
	DIES(exit_from_task, BY_EXIT(7), "^handlers of atexit ran, checkpoint 0$", "!libscope");
}

static void exit_from_root_program(void)
{
	run_and_exit(exits, NULL);
}

Test(process, exit_from_the_root_task_ends_the_process_with_its_status)
{
	DIES(exit_from_root_program, BY_EXIT(7), "^handlers of atexit ran, checkpoint 0$",
	     "!libscope");
}

/* ---- abort -------------------------------------------------------------------------------- */

static int aborts(void *arg)
{
	(void)arg;
	abort();
}

static void abort_in_task(void)
{
	run_among_others(aborts);
}

Test(process, abort_in_a_task_ends_the_process_by_its_signal)
{
	DIES(abort_in_task, BY_SIGNAL(SIGABRT), "!libscope");
}

static void on_abort(int signal)
{
	char path[] = "the program's own handler ran\n";

	(void)signal;
	if (write(2, path, sizeof path - 1) < 0)
		_exit(98);
}

static void abort_with_handler(void)
{
	signal(SIGABRT, on_abort);
	run_among_others(aborts);
}

Test(process, abort_in_a_task_calls_the_programs_handler_first)
{
	DIES(abort_with_handler, BY_SIGNAL(SIGABRT), "^the program's own handler ran$");
}

/* ---- fork --------------------------------------------------------------------------------- */

/* The child is outside the run, and may end in any way, or start a run of its own. */
static int forks(void *arg)
{
	struct scope s;
	int status;
	pid_t pid;

	(void)arg;
	scope_open(&s);
	pid = fork();
	if (pid == 0) {
		alarm(10);
		fail_if(scope_spawn(&s, sleeps, NULL) != -ENOTCONN, "spawn in a forked child");
		fail_if(scope_close(&s) != -ENOTCONN, "close in a forked child");
		exit(5);
	}
	fail_if(waitpid(pid, &status, 0) != pid, "waitpid");
	fprintf(stderr, "child ended with %x\n", (unsigned)status);
	quiet = 1;
	scope_cancel(&s);
	fail_if(scope_close(&s) != 0, "close in the parent");
	exit(6);
}

static void fork_from_task(void)
{
	run_among_others(forks);
}

Test(process, fork_from_a_task_leaves_the_run_to_the_parent)
{
	DIES(fork_from_task, BY_EXIT(6), "^child ended with 500$", "!failed");
}

/* ---- threads that are no workers ---------------------------------------------------------- */

static struct scope shared;

static void *foreign(void *unused)
{
	(void)unused;
	fprintf(stderr, "spawn %d, close %d, checkpoint %d, sleep %d, run %d\n",
		scope_spawn(&shared, sleeps, NULL), scope_close(&shared), scope_checkpoint(),
		scope_sleep_for(1), scope_run(sleeps, NULL, NULL));
	scope_cancel(&shared);
	return NULL;
}

static int has_foreign_thread(void *arg)
{
	pthread_t thread;

	(void)arg;
	scope_open(&shared);
	pthread_create(&thread, NULL, foreign, NULL);
	pthread_join(thread, NULL);
	fail_if(scope_cancel_called(&shared), "a foreign thread cancelled");
	return scope_close(&shared);
}

static void foreign_thread(void)
{
	run_and_exit(has_foreign_thread, NULL);
}

Test(process, S2_a_foreign_thread_is_refused_and_changes_nothing)
{
	DIES(foreign_thread, BY_EXIT(0),
	     "^spawn -107, close -107, checkpoint -107, sleep -107, run -16$");
}
