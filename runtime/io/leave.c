/* runtime/io/leave.c: the end of a process in which an abandoned operation hangs.
 *
 * At its own end libuv waits for its threads, so the opening of a pipe that nobody writes to, for
 * instance, would keep the process.  Then this ends it, after all that the program has registered
 * for its end, and before libuv's destructor.
 */
#include "io/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void leave(int status)
{
	if (!sc_engine_hangs())
		return;
	fflush(NULL);
	_exit(status);
}

#ifdef SC_PROGRAM

/* Linked into a program, and libuv perhaps too, whose destructor then comes before any of ours.
 * What is registered first is called last, and before all destructors. */
static void leave_with(int status, void *arg)
{
	(void)arg;
	leave(status);
}

__attribute__((constructor(101))) static void register_first(void)
{
	on_exit(leave_with, NULL);
}

void sc_expect_the_end(void)
{
}

#else

/* What a library registers first is called after the destructors; but its own comes before that of
 * libuv, which it needs.  Only what is registered is told the status. */
static int exit_status; /* by who calls exit */

static void note_status(int status, void *arg)
{
	(void)arg;
	exit_status = status;
}

/* Under the engine's lock. */
void sc_expect_the_end(void)
{
	static int expected;

	if (!expected)
		expected = on_exit(note_status, NULL) == 0;
}

__attribute__((destructor)) static void leave_with_noted(void)
{
	leave(exit_status);
}

#endif
