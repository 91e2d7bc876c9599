/* tests/fault/test_once.c: what is asked of the system once in a process; odd starts of a run. */
#define _GNU_SOURCE
#include "fault.h"
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <scope_file.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fault, .timeout = 150);

enum { LONGEST_SECONDS = 20 };

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static enum fault_kind kind_now;
static int nth_now;

/* The exit status of fn in a process of its own. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		alarm(LONGEST_SECONDS);
		_exit(fn());
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "status %x", (unsigned)status);
	return WEXITSTATUS(status);
}

/* A function has its name, or a place in its file; 2: the call did not come. */
static int name_of_function(void)
{
	char name[64];
	int hidden;

	fault_install();
	fault_arm(kind_now, nth_now, 0);
	sc_os_symbol((const void *)(uintptr_t)nothing, 0, name, sizeof name);
	if (!fault_disarm())
		return strcmp(name, "nothing") == 0 ? 2 : 1;
	hidden = strncmp(name, "fault+0x", 8) == 0;
	fault_outcome(hidden);
	if (!hidden)
		return 1;
	/* The next report tries again. */
	sc_os_symbol((const void *)(uintptr_t)nothing, 0, name, sizeof name);
	return strcmp(name, "nothing") != 0;
}

Test(fault, a_name_that_can_not_be_read_is_a_place_in_the_file_until_it_can)
{
	static const enum fault_kind kinds[] = {FAULT_ALLOC, FAULT_OPEN, FAULT_FSTAT, FAULT_MMAP};
	size_t i;
	int rc;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		kind_now = kinds[i];
		for (nth_now = 0; (rc = in_child(name_of_function)) != 2; nth_now++)
			cr_assert_eq(rc, 0, "call %d of %s", nth_now, fault_name(kind_now));
		cr_assert_gt(nth_now, 0);
	}
}

/* Without it a forked child is not told apart; nothing else depends on it. */
static int run_without_atfork(void)
{
	struct scope_config config = {.report = no_report};
	int rc;

	fault_arm(FAULT_ATFORK, 0, 1);
	rc = scope_run(nothing, NULL, &config);
	fault_outcome(rc != 0);
	return fault_disarm() ? rc : 2;
}

static int seed_without_random(void)
{
	uint64_t seed[2];

	fault_arm(FAULT_GETRANDOM, 0, 1);
	seed[0] = sc_os_system.random();
	seed[1] = sc_os_system.random();
	fault_outcome(0);
	return fault_disarm() ? seed[0] == seed[1] : 2;
}

/* Nobody opens the other side of the pipe. */
static int gives_up_opening(void *path)
{
	struct scope_options options = {.deadline_ns = scope_now() + 20 * SCOPE_MS};
	struct scope_file *file;
	struct scope s;

	if (scope_open_with(&s, &options) < 0 ||
	    scope_file_open(path, O_RDONLY, 0, &file) != -ECANCELED)
		return -EPROTO;
	fault_arm(FAULT_WAIT, 0, 1);
	return scope_close(&s) == -ETIMEDOUT ? 0 : -EPROTO;
}

/* The end of a run waits for a call that hangs, as long as it is to. */
static int end_without_waiting(void)
{
	struct scope_config config = {.report = no_report, .orphan_grace_ns = 50 * SCOPE_MS};
	char place[TEMPORARY_SIZE], path[TEMPORARY_SIZE + 2];
	int rc;

	fault_install();
	temporary(place, "once");
	if (!mkdtemp(place))
		return 3;
	snprintf(path, sizeof path, "%s/p", place);
	if (mkfifo(path, 0600) < 0)
		return 4;
	rc = scope_run(gives_up_opening, path, &config);
	unlink(path);
	rmdir(place);
	fault_outcome(rc != 0);
	return fault_disarm() ? rc != 0 : 2;
}

static int run_on_two(const struct fault_program *program)
{
	struct scope_config config = {
		.workers = 2, .flags = SCOPE_VIRTUAL_CLOCK, .report = no_report};

	memset(&fault_notes, 0, sizeof fault_notes);
	fault_small_deques(program->small_deques);
	return scope_run(program->main, NULL, &config);
}

/* As on a kernel before 6.13: each guard is a mapping. */
static int run_without_guard_regions(void)
{
	const struct fault_program *program = fault_programs;

	fault_install();
	for (; program < fault_programs + fault_program_count; program++)
		if (run_on_two(program) != program->result)
			return 1;
	return 0;
}

Test(fault, what_is_only_nice_to_have_may_be_missing)
{
	cr_assert_eq(in_child(run_without_atfork), 0);
	cr_assert_eq(in_child(seed_without_random), 0);
	cr_assert_eq(in_child(end_without_waiting), 0);
}

Test(fault, without_guard_regions_everything_runs)
{
	fault_old_kernel = 1;
	cr_assert_eq(in_child(run_without_guard_regions), 0);
}

/* ---- an interrupt that comes while a run fails to start ------------------------------------ */

static int interrupted_start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	(void)thread;
	(void)entry;
	(void)arg;
	sc_os_interrupt_block(0);
	raise(SIGINT);
	return -EAGAIN;
}

Test(fault, I2_an_interrupt_during_a_failing_start_is_told)
{
	int signal = 0;
	struct scope_config config = {.out_signal = &signal};

	sc_os.thread_start = interrupted_start;
	cr_expect_eq(scope_run(nothing, NULL, &config), -EAGAIN);
	cr_expect_eq(signal, SIGINT);
	/* One that fails before it would take any knows nothing of that. */
	fault_install();
	fault_arm(FAULT_RESERVE, 0, 1);
	cr_expect_eq(scope_run(nothing, NULL, &config), -ENOMEM);
	cr_expect_eq(signal, 0);
}

/* ---- a run that starts on a signal stack --------------------------------------------------- */

static void run_in_handler(int signal)
{
	struct scope_config config = {.workers = 1};

	(void)signal;
	_exit(scope_run(nothing, NULL, &config) == -EPERM ? 42 : 1);
}

static int raise_on_sigstack(void)
{
	static char stack[SC_SIGSTACK_SIZE];
	struct sigaction action = {.sa_handler = run_in_handler, .sa_flags = SA_ONSTACK};

	sc_os_sigstack_install(stack);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	return 1;
}

Test(fault, S1_run_on_a_signal_stack_eperm)
{
	cr_assert_eq(in_child(raise_on_sigstack), 42);
}
