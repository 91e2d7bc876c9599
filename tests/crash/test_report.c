/* tests/crash/test_report.c: programs that stand still, are interrupted, or fail: E7, I3, Z3. */
#define _GNU_SOURCE
#include "crash.h"

#include <unistd.h>

TestSuite(report, .timeout = 60);

static int sleeps(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

/* ---- deadlock ----------------------------------------------------------------------------- */

static int pools(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_spawn(&s, sleeps, NULL);
	scope_spawn(&s, sleeps, NULL);
	return scope_close(&s);
}

static int waits(void *arg)
{
	struct scope_options options = {.name = "watched"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_spawn(&s, sleeps, NULL);
	scope_wait_until(&s, SCOPE_NEVER);
	return scope_close(&s);
}

static int deadlocks(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, pools, NULL, &options);
	scope_spawn_with(&s, waits, NULL, &options);
	scope_yield();
	return scope_close(&s);
}

static void deadlock_on(unsigned workers)
{
	struct scope_config config = {.workers = workers, .flags = SCOPE_DETECT_DEADLOCK};

	run_and_exit(deadlocks, &config);
}

static void deadlock(void)
{
	deadlock_on(1);
}

static void deadlock_on_two(void)
{
	deadlock_on(2);
}

#define AT(function) function " \\(tests/crash/test_report\\.c:[0-9]+\\)"

#define DEADLOCK                                                                                   \
	"^libscope: deadlock: every task is parked and nothing will wake one; a wait needs a "     \
	"deadline, or somebody who ends it$",                                                      \
		"^  /deadlocks: in close of scope opened at deadlocks[ +][^,]+, which has 2 " \
		"tasks left$",                                                                     \
		"^  /deadlocks/waits: in wait, in scope \"watched\" opened at waits[ +]",         \
		"^  /deadlocks/waits/sleeps(#[0-9]+)?: asleep$"

Test(report, Z3_a_deadlock_lists_who_sleeps_waits_and_closes)
{
	DIES(deadlock, BY_EXIT(100 + EDEADLK), DEADLOCK,
	     "^  /deadlocks/pools/sleeps(#[0-9]+)?: asleep$");
	DIES(deadlock_on_two, BY_EXIT(100 + EDEADLK), DEADLOCK,
	     "^  /deadlocks/pools/sleeps(#[0-9]+)?: asleep$");
}

static int shielded(void *arg)
{
	struct scope_options options = {.shield = true, .name = "shielded"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_sleep_until(SCOPE_NEVER);
	return scope_close(&s);
}

static void stands(void)
{
	struct scope_config config = {.flags = SCOPE_DETECT_DEADLOCK};

	run_and_exit(shielded, &config);
}

Test(report, Z3_what_a_cancel_does_not_end_aborts)
{
	DIES(stands, BY_SIGNAL(SIGABRT), "^libscope: deadlock: every task is parked",
	     "^libscope: deadlock: tasks stay parked although they were cancelled",
	     "^  /shielded: asleep, in scope \"shielded\" opened at shielded[ +]",
	     "^libscope: deadlock: cancelling the root did not end these tasks$");
}

/* ---- interrupts --------------------------------------------------------------------------- */

/* Three signals at once are one: each is sent when the one before was seen. */
static int interrupts_itself(void *arg)
{
	int signal = *(int *)arg;
	volatile uint64_t i;

	kill(getpid(), signal);
	while (scope_checkpoint() == 0)
		;
	for (;;) {
		kill(getpid(), signal);
		for (i = 0; i < 1000000; i++)
			;
	}
	return 0;
}

static int computes_beside(void *arg)
{
	struct scope_spawn_options options = {.name = "loop"};
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, interrupts_itself, arg, &options);
	return scope_close(&s);
}

static void interrupt_with(int signal)
{
	struct scope_config config = {.workers = 2};

	_exit(scope_run(computes_beside, &signal, &config));
}

static void interrupt(void)
{
	interrupt_with(SIGINT);
}

static void terminate(void)
{
	interrupt_with(SIGTERM);
}

#define THIRD                                                                                      \
	"^libscope: third interrupt: these tasks did not end; one that computes has to call "      \
	"scope_checkpoint\\(\\) or scope_cancelled\\(\\); a cancel does not reach one that "       \
	"waits in the kernel or for a thread's lock: let such waits have a limit of time; nor a "  \
	"call that changes a file or may create one: that ends when the disk, the file server or " \
	"a pipe's other side lets it$",                                                            \
		"^  /computes_beside/loop: running$"

Test(report, I3_the_third_interrupt_ends_the_process_and_names_who_computes)
{
	DIES(interrupt, BY_EXIT(128 + SIGINT), THIRD);
	DIES(terminate, BY_EXIT(128 + SIGTERM), THIRD);
}

/* ---- a timeout ---------------------------------------------------------------------------- */

static int is_late(void *arg)
{
	struct scope_options options = {.name = "fetch", .deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_sleep_until(SCOPE_NEVER);
	return scope_close(&s);
}

static void times_out(void)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK};

	run_and_exit(is_late, &config);
}

Test(report, T2_a_timeout_that_nobody_handled_names_the_scope)
{
	DIES(times_out, BY_EXIT(100 + ETIMEDOUT),
	     "^libscope: /is_late: -ETIMEDOUT \\(Connection timed out\\): deadline of scope "
	     "\"fetch\"$",
	     "^  scope opened at is_late \\(tests/crash/test_report\\.c:[0-9]+\\)$");
}

/* ---- trees of errors ---------------------------------------------------------------------- */

static int breaks_when_cancelled(void *arg)
{
	(void)arg;
	scope_sleep_until(SCOPE_NEVER);
	return -EPIPE;
}

static int translates(void *arg)
{
	int rc;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EBADMSG, "byte %d", 7);
	rc = scope_close(&s);
	return rc ? -EIO : 0;
}

static int has_a_tree(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_spawn(&s, breaks_when_cancelled, NULL);
	scope_spawn(&s, breaks_when_cancelled, NULL);
	scope_yield();
	scope_spawn(&s, translates, NULL);
	return scope_close(&s);
}

static void tree(void)
{
	struct scope_config config = {.workers = 1};

	run_and_exit(has_a_tree, &config);
}

Test(report, E7_a_failing_program_prints_one_tree)
{
	DIES(tree, BY_EXIT(100 + EIO),
	     "^libscope: /has_a_tree/translates: -EIO \\(Input/output error\\)$",
	     "^  spawned at " AT("has_a_tree") "$",
	     "^  while handling /has_a_tree/translates: -EBADMSG \\(Bad message\\): byte 7$",
	     "^    failed at " AT("translates") "$",
	     "^  also /has_a_tree/breaks_when_cancelled: -EPIPE \\(Broken pipe\\)$",
	     "^  also /has_a_tree/breaks_when_cancelled#2: -EPIPE \\(Broken pipe\\)$",
	     "^    spawned at " AT("has_a_tree") "$",
	     "^    while cancelled, because /has_a_tree/translates failed with -EIO$");
}

static int stops(void *arg)
{
	scope_cancel(arg);
	return 0;
}

static int is_stopped(void *arg)
{
	struct scope_options options = {.name = "pool"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	scope_spawn(&s, breaks_when_cancelled, NULL);
	scope_yield();
	scope_spawn(&s, stops, &s);
	return scope_close(&s);
}

static void stopped(void)
{
	struct scope_config config = {.workers = 1};

	run_and_exit(is_stopped, &config);
}

Test(report, C10_a_tree_names_who_cancelled)
{
	DIES(stopped, BY_EXIT(100 + EPIPE),
	     "^  while cancelled, because scope \"pool\" was cancelled by /is_stopped/stops at " AT(
		     "stops"));
}

static int breaks_when_interrupted(void *arg)
{
	kill(getpid(), *(int *)arg);
	return breaks_when_cancelled(NULL);
}

static void broken_by(int signal)
{
	struct scope_config config = {.out_signal = &(int){0}};

	_exit(-scope_run(breaks_when_interrupted, &signal, &config));
}

static void broken_by_int(void)
{
	broken_by(SIGINT);
}

static void broken_by_term(void)
{
	broken_by(SIGTERM);
}

static int prints_and_is_interrupted(void *arg)
{
	(void)arg;
	printf("half a result\n");
	kill(getpid(), SIGINT);
	return scope_sleep_until(SCOPE_NEVER);
}

static void print_and_be_interrupted(void)
{
	static char buffer[4096];

	fail_if(dup2(2, 1) < 0, "dup2");
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	scope_run(prints_and_is_interrupted, NULL, NULL);
}

Test(report, I2_what_was_printed_before_a_signal_is_not_lost)
{
	DIES(print_and_be_interrupted, BY_SIGNAL(SIGINT), "^half a result$");
}

Test(report, C10_a_tree_names_the_signal)
{
	DIES(broken_by_int, BY_EXIT(EPIPE), "^libscope: /breaks_when_interrupted: -EPIPE",
	     "^  while cancelled, because SIGINT$");
	DIES(broken_by_term, BY_EXIT(EPIPE), "^  while cancelled, because SIGTERM$");
}

#ifndef SC_DEBUG /* which ends the program at the leak */
static int leaks_and_fails(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	__asm__ volatile("" : : "r"(&s) : "memory");
	return -EIO;
}

static int has_a_leak(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, leaks_and_fails, NULL);
	return scope_close(&s);
}

static void leak(void)
{
	run_and_exit(has_a_leak, NULL);
}

Test(report, S11_a_leak_is_not_said_to_have_cancelled_its_own_task)
{
	DIES(leak, BY_EXIT(100 + EPROTO),
	     "^libscope: /has_a_leak/leaks_and_fails: -EPROTO .*: the task returned with a scope "
	     "still open$",
	     "^  scope opened at " AT("leaks_and_fails") "$",
	     "^  also /has_a_leak/leaks_and_fails: -EIO", "!while cancelled");
}
#endif
