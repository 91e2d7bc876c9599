/* tests/crash/test_misuse.c: what libscope-debug.a says about scopes used wrongly: S5, S9-S11. */
#ifdef SC_DEBUG
#define _GNU_SOURCE
#include "crash.h"

#include "base/atomic.h"

#include <string.h>

TestSuite(misuse, .timeout = 60);

#define LINE           " \\(tests/crash/test_misuse\\.c:[0-9]+\\)"
#define BY(path, site) "^libscope: misuse by task " path ", spawned at " site ": "
#define UNKNOWN        BY("\\(unknown\\)", "\\(unknown\\)")
#define NO_SCOPE                                                                                   \
	"0x[0-9a-f]+, which is no scope: it was overwritten, or never opened, or the function "    \
	"that it belonged to has returned$"
#define CLOSED "which is closed: its owner closes it last, and once$"

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* A case: the task that does it, run inlined and by itself on another worker. */
static scope_task_fn *culprit_fn;
static void *culprit_arg;

static int culprit(void *arg)
{
	return culprit_fn(arg);
}

static int root(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, culprit, culprit_arg);
	return scope_close(&s);
}

static void run_culprit(scope_task_fn *fn, unsigned workers)
{
	struct scope_config config = {.workers = workers};

	culprit_fn = fn;
	run_and_exit(root, &config);
}

/* Defines the program NAME that runs fn as /root/culprit. */
#define PROGRAM(name, fn)                                                                          \
	static void name(void)                                                                     \
	{                                                                                          \
		run_culprit(fn, 1);                                                                \
	}

#define CULPRIT BY("/root/culprit", "root" LINE)

/* ---- closing ------------------------------------------------------------------------------ */

static int closes_twice(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_close(&s);
	return scope_close(&s);
}

PROGRAM(closed_twice, closes_twice)

Test(misuse, S9_a_scope_closed_twice)
{
	DIES(closed_twice, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_close of scope opened at closes_twice" LINE ", " CLOSED);
}

static int closes_in_wrong_order(void *arg)
{
	struct scope_options named = {.name = "inner"};
	struct scope outer, inner;

	(void)arg;
	scope_open(&outer);
	scope_open_with(&inner, &named);
	scope_close(&outer);
	return 0;
}

PROGRAM(misnested, closes_in_wrong_order)

Test(misuse, S9_a_close_in_the_wrong_order)
{
	DIES(misnested, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_close of scope opened at closes_in_wrong_order" LINE
		     ", while the scope \"inner\" opened at closes_in_wrong_order" LINE
		     ", opened later, is open: close scopes in the reverse order of opening$");
}

static int closes_its_own(void *arg)
{
	return scope_close(arg);
}

static int has_member_close(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, closes_its_own, &s);
	return scope_close(&s);
}

PROGRAM(closed_by_member, has_member_close)

Test(misuse, S9_a_close_by_a_member)
{
	DIES(closed_by_member, BY_SIGNAL(SIGABRT),
	     BY("/root/culprit/closes_its_own",
		"has_member_close" LINE) "scope_close of scope opened at has_member_close" LINE
					", of which it is a member: it would wait for itself; only "
					"the task that opened a "
					"scope closes it$");
}

static struct scope *of_other; /* atomic: a scope that another task holds open */

static int holds_scope(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	at_store_rlx(&of_other, &s);
	scope_sleep_until(SCOPE_NEVER);
	return scope_close(&s);
}

static int closes_others(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, holds_scope, NULL, &options);
	while (!at_load_rlx(&of_other))
		scope_yield();
	scope_spawn(&s, closes_its_own, of_other);
	return scope_close(&s);
}

PROGRAM(closed_by_stranger, closes_others)

Test(misuse, S9_a_close_by_a_stranger)
{
	DIES(closed_by_stranger, BY_SIGNAL(SIGABRT),
	     BY("/root/culprit/closes_its_own",
		"closes_others" LINE) "scope_close of scope opened at holds_scope" LINE
				     ", of task /root/culprit/holds_scope, spawned at "
				     "closes_others" LINE
				     ": only the task that opened a scope closes it$");
}

/* ---- use after close, and after the frame -------------------------------------------------- */

static int spawns_into_closed(void *arg)
{
	struct scope s, t;

	(void)arg;
	scope_open(&s);
	scope_close(&s);
	scope_open(&t);
	scope_spawn(&s, nothing, NULL);
	return scope_close(&t);
}

PROGRAM(spawn_into_closed, spawns_into_closed)

static int spawns_into_refused(void *arg)
{
	struct scope_options options = {.reserved = {1}};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	return scope_spawn(&s, nothing, NULL);
}

PROGRAM(spawn_into_refused, spawns_into_refused)

Test(misuse, S5_a_spawn_into_a_scope_that_was_refused)
{
	DIES(spawn_into_refused, BY_SIGNAL(SIGABRT),
	     CULPRIT "spawn into a scope that scope_open_with refused, " CLOSED);
}

Test(misuse, S5_a_spawn_into_a_closed_scope)
{
	DIES(spawn_into_closed, BY_SIGNAL(SIGABRT),
	     CULPRIT "spawn into scope opened at spawns_into_closed" LINE ", " CLOSED);
}

static int cancels_closed(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_close(&s);
	scope_cancel(&s);
	return 0;
}

static int fails_closed(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_close(&s);
	return scope_fail(&s, -EIO, "late");
}

static int waits_for_closed(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_close(&s);
	return scope_wait_until(&s, 0);
}

PROGRAM(cancel_of_closed, cancels_closed)
PROGRAM(fail_of_closed, fails_closed)
PROGRAM(wait_for_closed, waits_for_closed)

Test(misuse, S5_other_calls_on_a_closed_scope)
{
	DIES(cancel_of_closed, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_cancel of scope opened at cancels_closed" LINE ", " CLOSED);
	DIES(fail_of_closed, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_fail of scope opened at fails_closed" LINE ", " CLOSED);
	DIES(wait_for_closed, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_wait_until of scope opened at waits_for_closed" LINE ", " CLOSED);
}

static struct scope *dangling;

static __attribute__((noinline)) void open_and_close_in_frame(void)
{
	struct scope s;

	scope_open(&s);
	scope_close(&s);
	/* The compiler is not to know. */
	__asm__ volatile("" : "=r"(dangling) : "0"(&s) : "memory");
}

static __attribute__((noinline)) void reuse_frame(void)
{
	char bytes[2048];

	memset(bytes, 0x5a, sizeof bytes);
	__asm__ volatile("" : : "r"(bytes) : "memory");
}

static int uses_after_frame(void *arg)
{
	(void)arg;
	open_and_close_in_frame();
	reuse_frame();
	return scope_spawn(dangling, nothing, NULL);
}

PROGRAM(used_after_frame, uses_after_frame)

Test(misuse, S5_a_scope_used_after_its_frame)
{
	DIES(used_after_frame, BY_SIGNAL(SIGABRT), CULPRIT "spawn into " NO_SCOPE);
}

static __attribute__((noinline)) void open_in_frame(void)
{
	struct scope s;

	scope_open(&s);
	__asm__ volatile("" : : "r"(&s) : "memory");
}

static int leaves_open_in_helper(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	open_in_frame();
	reuse_frame();
	return scope_close(&s);
}

PROGRAM(left_open_in_helper, leaves_open_in_helper)

Test(misuse, S10_a_helper_that_left_its_scope_open)
{
	DIES(left_open_in_helper, BY_SIGNAL(SIGABRT),
	     UNKNOWN
	     "scope_close of scope opened at leaves_open_in_helper" LINE
	     ", while the one at 0x[0-9a-f]+, opened later, is open, and that was overwritten or "
	     "the function that it belonged to has returned$");
}

static int never_opened(void *arg)
{
	struct scope s;

	(void)arg;
	memset(&s, 0, sizeof s);
	return scope_spawn(&s, nothing, NULL);
}

PROGRAM(spawn_into_unopened, never_opened)

Test(misuse, S5_a_scope_that_was_never_opened)
{
	DIES(spawn_into_unopened, BY_SIGNAL(SIGABRT), CULPRIT "spawn into " NO_SCOPE);
}

/* ---- leaks -------------------------------------------------------------------------------- */

static int leaks(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, nothing, NULL);
	__asm__ volatile("" : : "r"(&s) : "memory");
	return 0;
}

PROGRAM(leaked, leaks)

static void leaked_by_root(void)
{
	run_and_exit(leaks, NULL);
}

static int leaks_elsewhere(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, leaks, NULL, &options);
	return scope_close(&s);
}

PROGRAM(leaked_on_own_stack, leaks_elsewhere)

Test(misuse, S11_a_task_that_leaves_a_scope_open)
{
	DIES(leaked, BY_SIGNAL(SIGABRT),
	     CULPRIT "return with scope opened at leaks" LINE
		     ", still open: close a scope in the task that opened it, on every way out$");
	DIES(leaked_by_root, BY_SIGNAL(SIGABRT),
	     BY("/leaks", "scope_run") "return with scope opened at leaks" LINE ", still open");
	DIES(leaked_on_own_stack, BY_SIGNAL(SIGABRT),
	     BY("/root/culprit/leaks",
		"leaks_elsewhere" LINE) "return with scope opened at leaks" LINE ", still open");
}

/* ---- overwritten memory -------------------------------------------------------------------- */

/* A neighbour that is written beyond its end, or before its start. */
struct neighbours {
	char below[64];
	struct scope scope;
	char above[64];
};

static int writes_beyond(void *arg)
{
	struct neighbours n;
	char *bytes = n.below;

	(void)arg;
	scope_open(&n.scope);
	scope_spawn(&n.scope, nothing, NULL);
	__asm__ volatile("" : "+r"(bytes));
	memset(bytes, 'x', 64 + 8);
	return scope_close(&n.scope);
}

static int writes_before(void *arg)
{
	struct neighbours n;
	char *bytes = n.above;

	(void)arg;
	scope_open(&n.scope);
	__asm__ volatile("" : "+r"(bytes));
	memset(bytes - 72, 'x', 64 + 72);
	return scope_close(&n.scope);
}

PROGRAM(written_beyond, writes_beyond)
PROGRAM(written_before, writes_before)

Test(misuse, S5_a_scope_overwritten_by_its_neighbour)
{
	DIES(written_beyond, BY_SIGNAL(SIGABRT), UNKNOWN "scope_close of " NO_SCOPE);
	DIES(written_before, BY_SIGNAL(SIGABRT), UNKNOWN "scope_close of " NO_SCOPE);
}

static int overwrites_parents(void *arg)
{
	memset(arg, 'x', 24);
	return 0;
}

static int has_it_overwritten(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, overwrites_parents, &s, &options);
	scope_yield();
	return scope_close(&s);
}

PROGRAM(overwritten_by_task, has_it_overwritten)

Test(misuse, S5_a_scope_overwritten_by_its_task)
{
	DIES(overwritten_by_task, BY_SIGNAL(SIGABRT),
	     BY("\\(unknown\\)/overwrites_parents",
		"has_it_overwritten" LINE) "end of a task of " NO_SCOPE);
}

/* ---- nothing to work on -------------------------------------------------------------------- */

static void without_scope_run(void)
{
	struct scope s;

	scope_open(&s);
	fail_if(scope_spawn(&s, nothing, NULL) != -ENOTCONN, "spawn");
	fail_if(scope_close(&s) != -ENOTCONN, "close");
	fail_if(scope_sleep_for(1) != -ENOTCONN, "sleep");
}

static void close_without_scope_run(void)
{
	struct scope s;

	memset(&s, 0, sizeof s);
	fail_if(scope_close(&s) != -ENOTCONN, "close");
}

Test(misuse, S2_a_call_outside_scope_run_is_said_once)
{
	DIES(without_scope_run, BY_EXIT(0),
	     "^libscope: scope_open was called outside scope_run, and did nothing: scopes and "
	     "tasks exist in the function that scope_run is given, .* or in a forked child$",
	     "!scope_spawn was called", "!scope_close", "!scope_sleep");
	DIES(close_without_scope_run, BY_EXIT(0),
	     "^libscope: scope_close, or a call like it, was called outside scope_run");
}

static int closes_nothing(void *arg)
{
	(void)arg;
	return scope_close(NULL);
}

static int opens_nothing(void *arg)
{
	(void)arg;
	scope_open(NULL);
	return 0;
}

static int spawns_nothing(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, NULL, NULL);
	return scope_close(&s);
}

static int runs_nothing_within(void *arg)
{
	(void)arg;
	return scope_within(SCOPE_SEC, NULL, NULL);
}

PROGRAM(null_closed, closes_nothing)
PROGRAM(null_opened, opens_nothing)
PROGRAM(null_spawned, spawns_nothing)
PROGRAM(null_within, runs_nothing_within)

Test(misuse, S9_no_scope_and_no_function)
{
	DIES(null_closed, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_close of NULL: give it the scope that scope_open was given$");
	DIES(null_opened, BY_SIGNAL(SIGABRT), CULPRIT "scope_open of NULL: ");
	DIES(null_spawned, BY_SIGNAL(SIGABRT),
	     CULPRIT "scope_spawn of a NULL function: give it what the task is to run$");
	DIES(null_within, BY_SIGNAL(SIGABRT), CULPRIT "scope_within of a NULL function: ");
}

/* ---- no false alarms ----------------------------------------------------------------------- */

static int asks_after_close(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, nothing, NULL);
	scope_cancel(&s);
	fail_if(scope_close(&s) != 0, "close");
	fail_if(!scope_cancel_called(&s) || scope_timed_out(&s), "questions after close");
	return 0;
}

PROGRAM(asked_after_close, asks_after_close)

Test(misuse, questions_to_a_closed_scope_are_answered)
{
	DIES(asked_after_close, BY_EXIT(0), "!libscope", "!failed");
}
#endif
