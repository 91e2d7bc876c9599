/* tests/unit/test_os.c: the real system behind the table, signals, names, processors. */
#define _GNU_SOURCE
#include "harness.h"

#include "base/atomic.h"
#include "fiber/sanitizer.h"
#include "files.h"
#include "lines.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MS = 1000000 };

/* The exit status of a child that runs `run`, or minus the signal that killed it. */
static int in_child(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		_exit(run());
	}
	cr_assert(pid > 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void *no_alloc(size_t size)
{
	(void)size;
	return NULL;
}

/* ---- memory ---- */

Test(os, committed_memory_is_zero_and_discard_zeroes_it)
{
	size_t size = 16 * sc_os_page_size();
	char *memory = sc_os.reserve(size);

	cr_assert_not_null(memory);
	cr_assert_eq(sc_os.commit(memory, size), 0);
	cr_assert_eq(memory[size - 1], 0);
	memory[size - 1] = 1;
	sc_os.discard(memory, size);
	cr_assert_eq(memory[size - 1], 0);
	sc_os.release(memory, size);
}

static char *guarded;

static int touch_guard(void)
{
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)guarded = 1;
	return 0;
}

static int touch_above(void)
{
	*(volatile char *)(guarded + sc_os_page_size()) = 1;
	return 0;
}

Test(os, guard_faults_and_its_neighbour_does_not)
{
	size_t page = sc_os_page_size();

	guarded = sc_os.reserve(2 * page);
	cr_assert_eq(sc_os.commit(guarded, 2 * page), 0);
	cr_assert_eq(sc_os.guard(guarded, page), 0);
	cr_assert_eq(in_child(touch_guard), -SIGSEGV);
	cr_assert_eq(in_child(touch_above), 0);
	sc_os.unguard(1);
	sc_os.release(guarded, 2 * page);
}

static int guard_locked(void)
{
	size_t page = sc_os_page_size();
	int error;

	guarded = sc_os.reserve(2 * page);
	sc_os.commit(guarded, 2 * page);
	if (mlock(guarded, 2 * page))
		return 2;
	error = sc_os.guard(guarded, page);
	if (error)
		return error == -EINVAL ? 0 : 1;
	return touch_guard();
}

Test(os, guard_in_locked_memory_works_or_says_so)
{
	int status = in_child(guard_locked);

	cr_assert(status == 0 || status == 2 || status == -SIGSEGV);
}

#ifndef SC_CHECKED /* a checker needs more address space */
static int reserve_within_limit(void)
{
	struct rlimit limit = {1u << 30, 1u << 30};
	void *memory;

	setrlimit(RLIMIT_AS, &limit);
	/* An emulator may not pass it on. */
	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != 1u << 30)
		return 0;
	if (sc_os_address_limit() != 1u << 30)
		return 1;
	if (sc_os.reserve((size_t)2 << 30))
		return 2;
	memory = sc_os.reserve(1u << 20);
	return memory ? 0 : 3;
}
#endif

Test(os, reserve_obeys_the_address_limit)
{
#ifndef SC_CHECKED
	cr_assert_eq(in_child(reserve_within_limit), 0);
#endif
	cr_assert_null(sc_os.reserve((size_t)1 << 62));
}

/* ---- time, threads, waiting ---- */

Test(os, wait_ends_at_the_deadline)
{
	uint32_t word = 7;
	int64_t start = sc_os.now();

	while (sc_os.now() < start + 5 * MS)
		sc_os.wait(&word, 7, start + 5 * MS);
	cr_assert(sc_os.now() < start + 2000 * MS);
}

Test(os, wait_with_a_past_deadline_or_another_value_returns)
{
	uint32_t word = 7;

	sc_os.wait(&word, 7, 0);
	sc_os.wait(&word, 7, -1);
	sc_os.wait(&word, 8, INT64_MAX);
}

static uint32_t gate;

static void open_gate(void *arg)
{
	(void)arg;
	at_store_rel(&gate, 1);
	sc_os.wake(&gate, 1);
}

Test(os, wake_ends_a_wait_without_limit)
{
	struct sc_thread thread;

	at_store_rlx(&gate, 0);
	cr_assert_eq(sc_os.thread_start(&thread, open_gate, NULL), 0);
	while (!at_load_acq(&gate))
		sc_os.wait(&gate, 0, INT64_MAX);
	sc_os.thread_join(&thread);
}

static void note_mask(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
}

Test(os, threads_take_only_their_own_signals)
{
	struct sc_thread thread;
	sigset_t mask;

	cr_assert_eq(sc_os.thread_start(&thread, note_mask, &mask), 0);
	sc_os.thread_join(&thread);
	cr_assert(sigismember(&mask, SIGINT) && sigismember(&mask, SIGALRM));
	cr_assert(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, sc_os_expose_signal()));
}

Test(os, thread_start_without_memory_fails)
{
	struct sc_thread thread;

	sc_os.alloc = no_alloc;
	cr_expect_eq(sc_os.thread_start(&thread, open_gate, NULL), -ENOMEM);
	sc_os.alloc = sc_os_system.alloc;
}

Test(os, random_differs)
{
	cr_assert(sc_os.random() != sc_os.random());
}

Test(os, relax_returns_on_every_turn)
{
	unsigned turn;

	for (turn = 0; turn < 100; turn++)
		sc_os.relax(turn);
}

/* ---- signals ---- */

static struct {
	int exposed; /* atomic */
	int interrupted;
	struct sc_thread target;
	int on_target;
} seen;

static void on_expose(void)
{
	struct sc_thread self = sc_os.thread_self();

	errno = EXDEV;
	seen.on_target = self.handle == seen.target.handle;
	at_add_rlx(&seen.exposed, 1);
}

static char signal_stack[SC_SIGSTACK_SIZE];

Test(os, thread_signal_runs_the_handler_there_and_keeps_errno)
{
	at_store_rlx(&seen.exposed, 0);
	seen.target = sc_os.thread_self();
	cr_assert_eq(sc_os_sigstack_install(signal_stack), 0);
	cr_assert_eq(sc_os_expose_install(on_expose), 0);
	errno = ENOENT;
	sc_os.thread_signal(seen.target);
	cr_expect_eq(errno, ENOENT);
	cr_expect_eq(at_load_rlx(&seen.exposed), 1);
	cr_expect(seen.on_target);
	sc_os_expose_uninstall();
	sc_os_sigstack_uninstall();
}

static void install_another(int signal)
{
	static char another[SC_SIGSTACK_SIZE];

	(void)signal;
	_exit(sc_os_sigstack_install(another) == -EPERM ? 42 : 1);
}

static int install_on_sigstack(void)
{
	struct sigaction action = {.sa_handler = install_another, .sa_flags = SA_ONSTACK};

	sc_os_sigstack_install(signal_stack);
	sigaction(SIGUSR1, &action, NULL);
	return raise(SIGUSR1);
}

Test(os, sigstack_on_a_sigstack_eperm)
{
	cr_assert_eq(in_child(install_on_sigstack), 42);
}

Test(os, sigstack_uninstall_puts_the_former_back)
{
	stack_t before, inside, after;

	sigaltstack(NULL, &before);
	cr_assert_eq(sc_os_sigstack_install(signal_stack), 0);
	sigaltstack(NULL, &inside);
	sc_os_sigstack_uninstall();
	sigaltstack(NULL, &after);
	cr_assert(inside.ss_sp != before.ss_sp && inside.ss_size >= 64 * 1024);
	cr_assert_eq(after.ss_flags, before.ss_flags);
	cr_assert((before.ss_flags & SS_DISABLE) || after.ss_sp == before.ss_sp);
}

static const void *volatile wanted;
static const void *volatile faulting_frame;

static void leave_if_wanted(const void *address, const void *sp)
{
	if (address == wanted && (uintptr_t)faulting_frame - (uintptr_t)sp < 4096)
		_exit(42);
}

static void former(int signal)
{
	_exit(signal == SIGSEGV ? 43 : 44);
}

static int fault_at_guard(void)
{
	signal(SIGSEGV, former);
	faulting_frame = __builtin_frame_address(0);
	sc_os_sigstack_install(signal_stack);
	sc_os_fault_install(leave_if_wanted);
	*(volatile char *)guarded = 1;
	return 0;
}

static int send_fault(void)
{
	signal(SIGSEGV, former);
	sc_os_fault_install(leave_if_wanted);
	raise(SIGSEGV);
	return 0;
}

Test(os, fault_handler_gets_the_address_else_the_former_one_runs)
{
	size_t page = sc_os_page_size();

#ifdef SC_VALGRIND
	cr_skip("valgrind tells the handler a stack pointer of its own");
#endif
	guarded = sc_os.reserve(page);
	wanted = guarded;
	cr_expect_eq(in_child(fault_at_guard), 42);
	wanted = NULL;
	cr_expect_eq(in_child(fault_at_guard), 43);
	wanted = guarded;
	cr_expect_eq(in_child(send_fault), 43);
	sc_os.release(guarded, page);
}

static int on_interrupt(int signal)
{
	errno = EXDEV;
	seen.interrupted = signal;
	return 1;
}

Test(os, interrupts_reach_the_handler_unless_blocked)
{
	cr_assert_eq(sc_os_interrupt_install(on_interrupt), 0);
	errno = ENOENT;
	seen.interrupted = 0;
	raise(SIGTERM);
	cr_expect_eq(seen.interrupted, SIGTERM);
	cr_expect_eq(errno, ENOENT);
	sc_os_interrupt_block(1);
	raise(SIGINT);
	cr_expect_eq(seen.interrupted, SIGTERM);
	sc_os_interrupt_block(0);
	cr_expect_eq(seen.interrupted, SIGINT);
	sc_os_interrupt_uninstall();
}

/* Nobody could take them any more: the last look finds them, and no disposition does. */
static int interrupt_at_the_end(void)
{
	signal(SIGINT, SIG_DFL);
	sc_os_interrupt_install(on_interrupt);
	sc_os_interrupt_block(1);
	seen.interrupted = 0;
	kill(getpid(), SIGINT);
	sc_os_interrupt_uninstall();
	sc_os_interrupt_block(0);
	return seen.interrupted == SIGINT ? 0 : 1;
}

Test(os, I2_an_interrupt_that_waits_at_the_end_reaches_the_handler)
{
	cr_assert_eq(in_child(interrupt_at_the_end), 0);
}

static int raise_interrupt(void)
{
	signal(SIGINT, SIG_DFL);
	sc_os_interrupt_install(on_interrupt);
	sc_os_interrupt_block(1);
	sc_os_raise(SIGINT);
	return 0;
}

/* As a handler that was entered before the end of a run and goes on after it. */
static int late_interrupt(int signal)
{
	(void)signal;
	sc_os_interrupt_uninstall();
	return 0;
}

static int late_raise(void)
{
	signal(SIGINT, SIG_DFL);
	sc_os_interrupt_install(late_interrupt);
	raise(SIGINT);
	return 0;
}

static int late_signal(int signal)
{
	sc_os_signal_give_back(signal);
	return 0;
}

static int late_raise_to_a_stream(void)
{
	signal(SIGUSR1, SIG_DFL);
	sc_os_signal_take(SIGUSR1, late_signal);
	raise(SIGUSR1);
	return 0;
}

Test(os, a_late_handler_leaves_the_signal_to_the_old_disposition)
{
	cr_assert_eq(in_child(late_raise), -SIGINT);
	cr_assert_eq(in_child(late_raise_to_a_stream), -SIGUSR1);
}

static int keep_signal(int signal)
{
	errno = EXDEV;
	seen.interrupted = signal;
	return 1;
}

Test(os, taken_signals_reach_the_handler_unless_blocked)
{
	cr_assert_eq(sc_os_signal_take(SIGKILL, keep_signal), -EINVAL);
	cr_assert_eq(sc_os_signal_take(SIGSEGV, keep_signal), -EINVAL);
	cr_assert_eq(sc_os_signal_take(SIGUSR1, keep_signal), 0);
	errno = ENOENT;
	sc_os_signal_block(SIGUSR1, 1);
	seen.interrupted = 0;
	raise(SIGUSR1);
	cr_expect_eq(seen.interrupted, 0);
	sc_os_signal_block(SIGUSR1, 0);
	cr_expect_eq(seen.interrupted, SIGUSR1);
	cr_expect_eq(errno, ENOENT);
	sc_os_signal_give_back(SIGUSR1);
}

Test(os, raise_kills_by_the_kept_disposition)
{
	cr_assert_eq(in_child(raise_interrupt), -SIGINT);
}

Test(os, uninstall_restores_dispositions)
{
	struct sigaction before, after;

	sigaction(SIGINT, NULL, &before);
	cr_assert_eq(sc_os_interrupt_install(on_interrupt), 0);
	sc_os_interrupt_uninstall();
	sigaction(SIGINT, NULL, &after);
	cr_assert_eq((void *)before.sa_handler, (void *)after.sa_handler);
}

/* ---- names ---- */

static SC_NOINLINE void hidden_in_symtab(void)
{
	__asm__ volatile("nop; nop");
}

Test(os, symbol_finds_static_functions)
{
	char text[64];

	hidden_in_symtab();
	sc_os_symbol((void *)hidden_in_symtab, 0, text, sizeof(text));
	cr_assert_str_eq(text, "hidden_in_symtab");
	sc_os_symbol((char *)hidden_in_symtab + 1, 1, text, sizeof(text));
	cr_assert_str_eq(text, "hidden_in_symtab+0x1");
	sc_os_symbol((char *)hidden_in_symtab + 1, 0, text, sizeof(text));
	cr_assert_str_eq(text, "hidden_in_symtab");
}

Test(os, symbol_finds_functions_of_libraries)
{
	void (*function)(int) = exit;
	char text[64];

	sc_os_symbol((void *)function, 0, text, sizeof(text));
#ifndef SC_CHECKED
	cr_assert_str_eq(text, "exit");
#endif
	cr_assert(text[0]);
}

Test(os, symbol_of_data_is_an_address)
{
	char text[64], number[64];
	int local = 0;

	snprintf(number, sizeof(number), "%p", (void *)&local);
	sc_os_symbol(&local, 1, text, sizeof(text));
	cr_assert_str_eq(text, number);
	sc_os_symbol((void *)hidden_in_symtab, 1, text, 7);
	cr_assert_str_eq(text, "hidden");
}

/* ---- source lines ---- */

static SC_NOINLINE const void *where_it_returns(void)
{
	return __builtin_return_address(0);
}

static SC_NOINLINE const void *calls_from_a_line(int *out_line)
{
	const void *site;

	*out_line = __LINE__ + 1;
	site = where_it_returns();
	__asm__ volatile("" : "+r"(site));
	return site;
}

static void check_site(const void *site, const char *function, const char *file, int line)
{
	char text[SC_SITE_SIZE], expected[SC_SITE_SIZE];

	snprintf(expected, sizeof(expected), "%s (%s:%d)", function, file, line);
	sc_os_site(site, text, sizeof(text));
	cr_expect_str_eq(text, expected);
	/* From the second time on it is known. */
	sc_os_site(site, text, sizeof(text));
	cr_expect_str_eq(text, expected);
}

Test(os, E4_a_site_is_a_function_and_a_line)
{
	const void *site;
	int line;

	site = calls_from_a_line(&line);
	check_site(site, "calls_from_a_line", "tests/unit/test_os.c", line);
}

#ifndef SC_LTO /* which has one version, and lines for all */
Test(os, E4_lines_of_dwarf_4_are_found)
{
	const void *site;
	int line;

	site = dwarf4_site(&line);
	check_site(site, "dwarf4_site", "tests/unit/dwarf4.c", line);
}

Test(os, E4_a_site_without_lines_is_a_function_and_an_offset)
{
	char text[SC_SITE_SIZE], expected[SC_SITE_SIZE];
	const void *site = dwarf0_site();

	sc_os_site(site, text, sizeof(text));
	snprintf(expected, sizeof(expected), "dwarf0_site+0x%zx",
		 (size_t)((const char *)site - (const char *)(uintptr_t)dwarf0_site));
	cr_expect_str_eq(text, expected);
}
#endif

Test(os, E4_a_site_in_no_file_is_an_address)
{
	char text[SC_SITE_SIZE], number[64];
	char local[2];

	snprintf(number, sizeof(number), "%p", (void *)&local[1]);
	sc_os_site(&local[1], text, sizeof(text));
	cr_expect_str_eq(text, number);
}

/* ---- processors and limits ---- */

Test(os, processors_are_at_least_one)
{
	cr_assert(sc_os_processors() >= 1);
	cr_assert(sc_os_processors() <= (unsigned)sysconf(_SC_NPROCESSORS_CONF));
}

static void write_quota(const char *directory, const char *text)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cpu.max", directory);
	file = fopen(path, "w");
	cr_assert_not_null(file);
	fputs(text, file);
	fclose(file);
}

static void remove_group(const char *directory)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/cpu.max", directory);
	unlink(path);
	rmdir(directory);
}

Test(os, quota_is_the_least_on_the_path_rounded_up)
{
	char root[TEMPORARY_SIZE], outer[sizeof root + 2], inner[sizeof outer + 2];

	temporary(root, "quota");
	cr_assert_not_null(mkdtemp(root));
	snprintf(outer, sizeof(outer), "%s/a", root);
	snprintf(inner, sizeof(inner), "%s/b", outer);
	mkdir(outer, 0700);
	mkdir(inner, 0700);
	cr_expect_eq(sc_os_quota(root, "/a/b"), UINT_MAX);
	write_quota(inner, "max 100000\n");
	cr_expect_eq(sc_os_quota(root, "/a/b"), UINT_MAX);
	write_quota(outer, "250000 100000\n");
	cr_expect_eq(sc_os_quota(root, "/a/b"), 3);
	write_quota(inner, "50000 100000\n");
	cr_expect_eq(sc_os_quota(root, "/a/b"), 1);
	cr_expect_eq(sc_os_quota(root, "/a"), 3);
	cr_expect_eq(sc_os_quota(root, ""), UINT_MAX);
	remove_group(inner);
	remove_group(outer);
	rmdir(root);
}

Test(os, stack_sizes_are_sane)
{
	size_t size = sc_os_main_stack_size();
	char *low, *high, here;

	cr_assert(size >= 256 * 1024 && size <= 64 * 1024 * 1024);
	cr_assert_eq(sc_os_stack_bounds(&low, &high), 0);
#ifndef SC_ASAN /* whose locals may lie on a fake stack */
	cr_assert(&here > low && &here < high);
#endif
	(void)here;
}
