/* tests/crash/test_overflow.c: stacks that overflow, in small steps and in one: rule E8. */
#define _GNU_SOURCE
#include "crash.h"

#include "sched/sched.h"

#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(overflow, .timeout = 60);

#define SAYS(path, site)                                                                           \
	"^libscope: stack overflow$",                                                              \
		"^libscope: stack overflow in task " path ", spawned at " site                     \
		"\\+0x[0-9a-f]+: raise stack_size in scope_config, or keep large buffers off the " \
		"stack$"

static __attribute__((noinline)) int swallow(volatile char *above)
{
	volatile char frame[1024];

	frame[0] = 1;
	if (above && !above[0])
		return 0; /* never: for the compiler */
	return swallow(frame) + frame[0];
}

static int overflows(void *arg)
{
	(void)arg;
	return swallow(NULL);
}

/* Bytes that are left below the caller's frame. */
static size_t bytes_left(void)
{
	return (size_t)((char *)__builtin_frame_address(0) - sc_self()->strand->fiber.stack_low);
}

/* Calls fn near the end of the stack, with at most `left` bytes. */
static __attribute__((noinline)) int near_end(size_t left, int (*fn)(void))
{
	volatile char frame[256];

	frame[0] = 1;
	if (bytes_left() > left)
		return near_end(left, fn) + frame[0];
	return fn() + frame[0];
}

/* ---- one task, on its own stack and on its parent's -------------------------------------- */

static int parent(void *flags)
{
	struct scope_spawn_options options = {.flags = *(unsigned *)flags};
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, overflows, NULL, &options);
	return scope_close(&s);
}

static void overflow_with(unsigned workers, unsigned flags)
{
	struct scope_config config = {.workers = workers};

	scope_run(parent, &flags, &config);
}

static void inlined(void)
{
	overflow_with(1, 0);
}

static void on_own_stack(void)
{
	overflow_with(1, SCOPE_CONCURRENT);
}

Test(overflow, E8_of_an_inlined_task_names_it)
{
	DIES(inlined, BY_SIGNAL(SIGABRT), SAYS("/parent/overflows", "parent"));
}

Test(overflow, E8_of_a_task_on_its_own_stack_names_it)
{
	DIES(on_own_stack, BY_SIGNAL(SIGABRT), SAYS("/parent/overflows", "parent"));
}

static void of_root(void)
{
	run_and_exit(overflows, NULL);
}

Test(overflow, E8_of_the_root_task_names_it)
{
	DIES(of_root, BY_SIGNAL(SIGABRT),
	     "stack overflow in task /overflows, spawned at scope_run:");
}

/* ---- another worker ---------------------------------------------------------------------- */

static uint32_t elsewhere; /* atomic: the task runs */

static int overflows_elsewhere(void *arg)
{
	at_store_rlx(&elsewhere, 1);
	return overflows(arg);
}

/* Keeps its own worker until somebody else runs the task. */
static int keeps_its_worker(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT, .name = "conn"};
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, overflows_elsewhere, arg, &options);
	while (!at_load_rlx(&elsewhere))
		sc_relax(100);
	pause();
	return scope_close(&s);
}

static void on_another_worker(void)
{
	struct scope_config config = {.workers = 2};

	run_and_exit(keeps_its_worker, &config);
}

Test(overflow, E8_on_another_worker_names_the_task)
{
	DIES(on_another_worker, BY_SIGNAL(SIGABRT),
	     SAYS("/keeps_its_worker/conn", "keeps_its_worker"));
}

/* ---- large frames ------------------------------------------------------------------------ */

/* Touches its lower end only, which lies in whatever is there. */
static __attribute__((noinline)) int frame_of_120_kb(void)
{
	volatile char frame[120 * 1000];

	memset((char *)frame, 1, 64);
	return frame[0];
}

static int makes_large_frame(void *arg)
{
	(void)arg;
	return near_end(1024, frame_of_120_kb);
}

static int sleeps(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

/* A neighbour below, which would be hit: the slots of a region are handed out upward. */
static int neighbours(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 4; i++)
		scope_spawn_with(&s, sleeps, NULL, &options);
	scope_yield();
	scope_spawn_with(&s, makes_large_frame, NULL, &options);
	return scope_close(&s);
}

static void by_large_frame(void)
{
	struct scope_config config = {.workers = 1};

	run_and_exit(neighbours, &config);
}

Test(overflow, E8_a_frame_of_120_KB_does_not_jump_the_guard)
{
	DIES(by_large_frame, BY_SIGNAL(SIGABRT),
	     SAYS("/neighbours/makes_large_frame", "neighbours"));
}

/* ---- signals ----------------------------------------------------------------------------- */

static void just_returns(int signal)
{
	(void)signal;
}

/* The program's own handler runs on the stack of the task. */
static void on_task_stack(int signal, void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};

	sigaction(signal, &action, NULL);
}

static int interrupted_here(void)
{
	/* The kernel finds no room for the frame of the signal. */
	syscall(SYS_tgkill, getpid(), (pid_t)syscall(SYS_gettid), SIGUSR1);
	return 0;
}

static int is_interrupted(void *arg)
{
	(void)arg;
	return near_end(700, interrupted_here);
}

static void signal_without_room(void)
{
	struct scope_config config = {.workers = 1};

	on_task_stack(SIGUSR1, just_returns);
	run_and_exit(is_interrupted, &config);
}

Test(overflow, E8_a_signal_that_finds_no_room_is_an_overflow)
{
	DIES(signal_without_room, BY_SIGNAL(SIGABRT),
	     "stack overflow in task /is_interrupted, spawned at scope_run:");
}

static void swallows_in_handler(int signal)
{
	(void)signal;
	swallow(NULL);
}

static int raises(void *arg)
{
	(void)arg;
	return raise(SIGUSR1);
}

static void handler_overflows(void)
{
	struct scope_config config = {.workers = 1};

	on_task_stack(SIGUSR1, swallows_in_handler);
	run_and_exit(raises, &config);
}

Test(overflow, E8_in_a_handler_on_the_stack_of_the_task)
{
	DIES(handler_overflows, BY_SIGNAL(SIGABRT),
	     "stack overflow in task /raises, spawned at scope_run:");
}

/* A thief's call comes while the report is written, on the signal stack. */
static void interrupted_reporter(const char *text, size_t length, void *arg)
{
	(void)arg;
	pthread_kill(pthread_self(), sc_os_expose_signal());
	sc_os_write_stderr(text, length);
}

static void signal_on_guard(void)
{
	struct scope_config config = {.workers = 2, .report = interrupted_reporter};
	unsigned flags = 0;

	scope_run(parent, &flags, &config);
}

Test(overflow, E8_a_signal_during_the_report_changes_nothing)
{
	DIES(signal_on_guard, BY_SIGNAL(SIGABRT), SAYS("/parent/overflows", "parent"));
}

/* ---- a report that can't be made ----------------------------------------------------------- */

/* As malloc, if the stack ended in it. */
static void *never_returns(size_t size)
{
	(void)size;
	for (;;)
		pause();
	return NULL;
}

static int overflows_in_malloc(void *arg)
{
	sc_os.alloc = never_returns;
	return overflows(arg);
}

static void in_malloc(void)
{
	run_and_exit(overflows_in_malloc, NULL);
}

Test(overflow, E8_in_malloc_ends_the_process_all_the_same)
{
	DIES(in_malloc, BY_SIGNAL(SIGALRM), "^libscope: stack overflow$", "!in task");
}

/* ---- what is none ------------------------------------------------------------------------ */

static int reads_null(void *arg)
{
	return *(volatile int *)arg;
}

static void null_pointer(void)
{
	run_and_exit(reads_null, NULL);
}

Test(overflow, a_null_pointer_is_none)
{
	DIES(null_pointer, BY_SIGNAL(SIGSEGV), "!overflow");
}

static int null_pointer_low(void)
{
	return reads_null(NULL);
}

static int reads_null_low(void *arg)
{
	(void)arg;
	return near_end(2000, null_pointer_low);
}

static void null_pointer_near_end(void)
{
	run_and_exit(reads_null_low, NULL);
}

Test(overflow, a_null_pointer_near_the_end_is_none)
{
	DIES(null_pointer_near_end, BY_SIGNAL(SIGSEGV), "!overflow");
}

static char *others_guard; /* atomic: set by the task whose stack is above it */

static int tells_its_guard(void *arg)
{
	(void)arg;
	others_guard = sc_self()->strand->fiber.stack_low - 64;
	return scope_sleep_until(SCOPE_NEVER);
}

static int writes_elsewhere(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, tells_its_guard, NULL, &options);
	while (!others_guard)
		scope_yield();
	*(volatile char *)others_guard = 1;
	return scope_close(&s);
}

static void wild_pointer(void)
{
	struct scope_config config = {.workers = 1};

	run_and_exit(writes_elsewhere, &config);
}

Test(overflow, a_wild_pointer_into_a_guard_is_none)
{
	DIES(wild_pointer, BY_SIGNAL(SIGSEGV), "!overflow");
}

static void *foreign(void *unused)
{
	(void)unused;
	*(volatile char *)others_guard = 1;
	return NULL;
}

/* A thread that is no worker: the handler finds no task. */
static int lets_foreign_write(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	pthread_t thread;

	(void)arg;
	scope_open(&s);
	scope_spawn_with(&s, tells_its_guard, NULL, &options);
	while (!others_guard)
		scope_yield();
	pthread_create(&thread, NULL, foreign, NULL);
	pthread_join(thread, NULL);
	return scope_close(&s);
}

static void foreign_thread_writes(void)
{
	struct scope_config config = {.workers = 1};

	run_and_exit(lets_foreign_write, &config);
}

Test(overflow, of_a_foreign_thread_is_none_of_a_task)
{
	DIES(foreign_thread_writes, BY_SIGNAL(SIGSEGV), "!overflow");
}
