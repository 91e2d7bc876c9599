/* tests/fault/test_loop.c: each program with each call of each kind refused: once, for good. */
#define _GNU_SOURCE
#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(fault, .timeout = 150);

enum { MOST_CALLS = 5000, LONGEST_SECONDS = 20 };

/* What is under way, for whoever has to tell that it hangs. */
static struct {
	const char *program, *kind;
	unsigned workers;
	int nth, sticky;
} now;

static void on_alarm(int signal)
{
	char text[256];
	int length =
		snprintf(text, sizeof text, "hangs: %s with %u workers, call %d of %s refused%s\n",
			 now.program, now.workers, now.nth, now.kind,
			 now.sticky ? " and all later ones" : "");

	(void)signal;
	if (write(1, text, (size_t)length) < 0)
		_exit(1);
	_exit(1);
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

/* ---- what a run may not leave behind ------------------------------------------------------- */

static const int watched[] = {SIGSEGV, SIGBUS, SIGINT, SIGTERM};
enum { WATCHED = sizeof watched / sizeof *watched, MOST_SIGNALS = 65 };

struct traces {
	void (*handlers[WATCHED + 1])(int);
	char blocked[MOST_SIGNALS];
	stack_t stack;
	int threads, files;
};

static int entries(const char *directory)
{
	DIR *dir = opendir(directory);
	int count = 0;

	cr_assert_not_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void (*handler_of(int signal))(int)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return action.sa_handler;
}

static struct traces traces(void)
{
	struct traces t;
	sigset_t mask;
	int i;

	memset(&t, 0, sizeof t);
	for (i = 0; i < WATCHED; i++)
		t.handlers[i] = handler_of(watched[i]);
	t.handlers[WATCHED] = handler_of(sc_os_expose_signal());
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	for (i = 1; i < MOST_SIGNALS; i++)
		t.blocked[i] = sigismember(&mask, i) == 1;
	sigaltstack(NULL, &t.stack);
	t.threads = entries("/proc/self/task");
	t.files = entries("/proc/self/fd");
	return t;
}

/* A joined thread may be seen for a moment longer. */
static void check_traces(const struct traces *before)
{
	struct traces after;
	int turn;

	for (turn = 0; turn < 10000; turn++) {
		after = traces();
		if (after.threads == before->threads)
			break;
	}
	cr_assert_eq(after.threads, before->threads, "%s: call %d of %s: %d threads are left",
		     now.program, now.nth, now.kind, after.threads - before->threads);
	cr_assert_eq(after.files, before->files, "%s: call %d of %s: files are left open",
		     now.program, now.nth, now.kind);
	cr_assert_arr_eq(after.handlers, before->handlers, sizeof after.handlers,
			 "%s: call %d of %s: a signal's disposition is not what it was",
			 now.program, now.nth, now.kind);
	cr_assert_arr_eq(after.blocked, before->blocked, sizeof after.blocked,
			 "%s: call %d of %s: the signal mask is not what it was", now.program,
			 now.nth, now.kind);
	cr_assert_eq(after.stack.ss_sp, before->stack.ss_sp,
		     "%s: call %d of %s: the signal stack is not what it was", now.program, now.nth,
		     now.kind);
}

/* ---- one run ------------------------------------------------------------------------------- */

static int run_program(const struct fault_program *program, unsigned workers)
{
	struct scope_config config = {.workers = program->by_default ? 0 : workers,
				      .flags = program->by_default ? 0 : SCOPE_VIRTUAL_CLOCK,
				      .report = no_report};

	memset(&fault_notes, 0, sizeof fault_notes);
	fault_small_deques(program->small_deques);
	alarm(LONGEST_SECONDS);
	return scope_run(program->main, NULL, &config);
}

/* A task without a drop that can have no stack leaves only the error (P8). */
static int may_lose_tasks(enum fault_kind kind)
{
	return (kind >= FAULT_RESERVE && kind <= FAULT_GUARD) ||
	       (kind >= FAULT_MMAP && kind <= FAULT_MADVISE);
}

/* The errors of starting that are not want of memory. */
static int may_start_with(enum fault_kind kind, int rc)
{
	if (fault_notes.started)
		return 0;
	return (rc == -EAGAIN && (kind == FAULT_THREAD || kind == FAULT_PTHREAD_CREATE)) ||
	       (rc == -EPERM && kind == FAULT_SIGALTSTACK) ||
	       (rc == -EINVAL && kind == FAULT_SIGACTION);
}

static void check_run(const struct fault_program *program, enum fault_kind kind, int rc)
{
	const struct fault_notes *n = &fault_notes;
	int known = n->ran + n->dropped;

	cr_assert_null(n->failure, "%s: call %d of %s: %s", now.program, now.nth, now.kind,
		       n->failure);
	cr_assert_eq(fault_live(), 0, "%s: call %d of %s: %d pieces of memory are left",
		     now.program, now.nth, now.kind, fault_live());
	cr_assert(known == n->accepted ||
			  (may_lose_tasks(kind) && known < n->accepted && n->refused),
		  "%s: call %d of %s: of %d tasks %d ran, %d were dropped", now.program, now.nth,
		  now.kind, n->accepted, n->ran, n->dropped);
	cr_assert(rc == program->result || rc == -ENOMEM || may_start_with(kind, rc),
		  "%s: call %d of %s: %d", now.program, now.nth, now.kind, rc);
}

/* Fails the Nth call of the kind, for each N until a run does not come to it. */
static void fail_each(const struct fault_program *program, enum fault_kind kind, unsigned workers,
		      int sticky)
{
	struct traces before = traces();
	int nth, rc, came;

	now.program = program->name;
	now.kind = fault_name(kind);
	now.workers = workers;
	now.sticky = sticky;
	for (nth = 0, came = 1; came; nth++) {
		now.nth = nth;
		fault_arm(kind, nth, sticky);
		rc = run_program(program, workers);
		came = fault_disarm();
		check_run(program, kind, rc);
		if (came && !sticky)
			fault_outcome(fault_notes.refused || rc != program->result);
		if (nth % 16 == 0 || !came)
			check_traces(&before);
		cr_assert_lt(nth, MOST_CALLS);
		/* Where all fail there is no end of them, but nothing new to see either. */
		if (kind == FAULT_WAIT && nth >= 40)
			break;
	}
	alarm(0);
	cr_assert_eq(run_program(program, workers), program->result, "a run without faults");
	alarm(0);
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

/* Names of functions are read once, and kept. */
static void begin(void)
{
	struct scope_config config = {.workers = 1, .report = no_report};
	char name[64];

	signal(SIGALRM, on_alarm);
	scope_run(nothing, NULL, &config);
	sc_os_symbol((const void *)(uintptr_t)nothing, 0, name, sizeof name);
	fault_install();
}

static void fail_all(enum fault_kind kind)
{
	unsigned i, workers;

	begin();
	for (i = 0; i < fault_program_count; i++)
		for (workers = 1; workers <= 2; workers++) {
			if (fault_programs[i].by_default && workers > 1)
				continue;
			fail_each(&fault_programs[i], kind, workers, 0);
			fail_each(&fault_programs[i], kind, workers, 1);
		}
}

#define LOOP(name, kind)                                                                           \
	Test(fault, name)                                                                          \
	{                                                                                          \
		fail_all(FAULT_##kind);                                                            \
	}

LOOP(every_allocation_fails, ALLOC)
LOOP(every_reservation_fails, RESERVE)
LOOP(every_commit_fails, COMMIT)
LOOP(every_guard_fails, GUARD)
LOOP(every_thread_fails, THREAD)
LOOP(every_wait_returns_early, WAIT)
LOOP(every_mmap_fails, MMAP)
LOOP(every_mprotect_fails, MPROTECT)
LOOP(every_madvise_fails, MADVISE)
LOOP(every_pthread_create_fails, PTHREAD_CREATE)
LOOP(every_pthread_attr_init_fails, ATTR_INIT)
LOOP(every_sigaction_fails, SIGACTION)
LOOP(every_sigaltstack_fails, SIGALTSTACK)
LOOP(every_pthread_getattr_fails, GETATTR)
LOOP(every_pthread_attr_getstack_fails, GETSTACK)
LOOP(every_getrlimit_fails, GETRLIMIT)
LOOP(every_fopen_fails, FOPEN)
LOOP(every_fgets_fails, FGETS)
LOOP(every_sched_getaffinity_fails, AFFINITY)

/* ---- what happens once in a process -------------------------------------------------------- */

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
	cr_assert(WIFEXITED(status), "%s: call %d of %s: status %x", now.program, now.nth, now.kind,
		  (unsigned)status);
	return WEXITSTATUS(status);
}

static enum fault_kind kind_now;

/* A function has its name, or none; 2: the call did not come. */
static int name_of_function(void)
{
	char name[64], address[64];
	int hidden;

	fault_install();
	fault_arm(kind_now, now.nth, now.sticky);
	snprintf(address, sizeof address, "%p", (void *)(uintptr_t)nothing);
	sc_os_symbol((const void *)(uintptr_t)nothing, 0, name, sizeof name);
	if (!fault_disarm())
		return strcmp(name, "nothing") == 0 ? 2 : 1;
	hidden = strcmp(name, address) == 0;
	fault_outcome(hidden);
	if (!hidden)
		return 1;
	/* The next report tries again. */
	sc_os_symbol((const void *)(uintptr_t)nothing, 0, name, sizeof name);
	return strcmp(name, "nothing") != 0;
}

Test(fault, a_name_that_can_not_be_read_is_an_address_until_it_can)
{
	static const enum fault_kind kinds[] = {FAULT_ALLOC, FAULT_OPEN, FAULT_FSTAT, FAULT_MMAP};
	size_t i;
	int rc;

	now.program = "symbol";
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		kind_now = kinds[i];
		now.kind = fault_name(kind_now);
		for (now.nth = 0; (rc = in_child(name_of_function)) != 2; now.nth++)
			cr_assert_eq(rc, 0, "call %d of %s", now.nth, now.kind);
		cr_assert_gt(now.nth, 0);
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

/* As on a kernel before 6.13: each guard is a mapping. */
static int run_without_guard_regions(void)
{
	const struct fault_program *program = fault_programs;

	fault_install();
	for (; program < fault_programs + fault_program_count; program++)
		if (run_program(program, 2) != program->result)
			return 1;
	return 0;
}

Test(fault, what_is_only_nice_to_have_may_be_missing)
{
	now.program = "once";
	cr_assert_eq(in_child(run_without_atfork), 0);
	cr_assert_eq(in_child(seed_without_random), 0);
}

Test(fault, without_guard_regions_everything_runs)
{
	now.program = "old kernel";
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
	now.program = "handler";
	cr_assert_eq(in_child(raise_on_sigstack), 42);
}
