/* runtime/os/signal.c: the signals that the runtime sends itself or is asked to take.
 *
 * Handlers keep errno: they run between any two instructions of a task.
 */
#define _GNU_SOURCE
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>
#include <string.h>

/* SIGRTMIN is known at run time only; the first ones are popular. */
enum { EXPOSE_OFFSET = 3, EINTR_OFFSET = 4 };

/* A disposition taken over, and the one to put back.  Changed while no handler can run. */
struct taken {
	int signal;
	int installed;
	struct sigaction old;
};

static int take(struct taken *taken, const struct sigaction *action)
{
	if (sigaction(taken->signal, action, &taken->old))
		return -errno;
	taken->installed = 1;
	return 0;
}

static void put_back(struct taken *taken)
{
	if (!taken->installed)
		return;
	taken->installed = 0;
	sigaction(taken->signal, &taken->old, NULL);
}

static int take_pair(struct taken pair[2], const struct sigaction *action)
{
	int error = take(&pair[0], action);

	if (error)
		return error;
	error = take(&pair[1], action);
	if (error)
		put_back(&pair[0]);
	return error;
}

/* ---- expose ---- */

static struct taken expose;
static void (*expose_handler)(void); /* const while installed */
static sigset_t callers_mask;        /* of the thread that installed it, as it was */

int sc_os_expose_signal(void)
{
	return SIGRTMIN + EXPOSE_OFFSET;
}

static void on_expose(int signal, siginfo_t *info, void *context)
{
	int kept = errno;

	(void)signal;
	(void)info;
	sc_os_tell_where(context);
	expose_handler();
	errno = kept;
}

int sc_os_expose_install(void (*handler)(void))
{
	struct sigaction action = {.sa_sigaction = on_expose,
				   .sa_flags = SA_RESTART | SA_ONSTACK | SA_SIGINFO};
	sigset_t mine;
	int rc;

	/* Nothing may interrupt it: it works on the deque of the thread it stopped. */
	sigfillset(&action.sa_mask);
	expose_handler = handler;
	expose.signal = sc_os_expose_signal();
	rc = take(&expose, &action);
	if (rc == 0) {
		sigemptyset(&mine);
		sigaddset(&mine, expose.signal);
		pthread_sigmask(SIG_UNBLOCK, &mine, &callers_mask);
	}
	return rc;
}

void sc_os_expose_uninstall(void)
{
	put_back(&expose);
	pthread_sigmask(SIG_SETMASK, &callers_mask, NULL);
}

/* ---- signal stacks ---- */

static _Thread_local stack_t former_stack; /* sanitizers install one of their own */

int sc_os_sigstack_install(void *memory)
{
	stack_t stack = {.ss_sp = memory, .ss_size = SC_SIGSTACK_SIZE};

	return sigaltstack(&stack, &former_stack) ? -errno : 0;
}

void sc_os_sigstack_uninstall(void)
{
	sigaltstack(&former_stack, NULL);
}

/* ---- faults ---- */

static struct taken faults[2] = {{.signal = SIGSEGV}, {.signal = SIGBUS}};
static void (*fault_handler)(const void *address, const void *sp); /* const while installed */

/* The most that the kernel writes below a stack pointer to deliver a signal. */
static size_t signal_frame(void)
{
	size_t most = getauxval(AT_MINSIGSTKSZ);

	return most ? most : 4096; /* a kernel that does not tell knows no larger registers */
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const char *sp = sc_os_interrupted_sp(context);
	int kept = errno;

	/* SI_KERNEL has no address: a signal's frame did not fit, or a pointer is not canonical. */
	if (info->si_code == SI_KERNEL)
		fault_handler(sp - signal_frame(), sp);
	else if (info->si_code > 0)
		fault_handler(info->si_addr, sp);
	/* Not ours: the repeated access meets whoever was there before.  A signal that was
	 * sent has no access to repeat. */
	sigaction(signal, &faults[signal == SIGBUS].old, NULL);
	if (info->si_code <= 0)
		raise(signal);
	errno = kept;
}

int sc_os_fault_install(void (*handler)(const void *address, const void *sp))
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	fault_handler = handler;
	return take_pair(faults, &action);
}

void sc_os_fault_uninstall(void)
{
	put_back(&faults[0]);
	put_back(&faults[1]);
}

/* ---- interrupts ---- */

static struct taken interrupts[2] = {{.signal = SIGINT}, {.signal = SIGTERM}};
static struct taken quit = {.signal = SIGQUIT};
static int (*interrupt_handler)(int signal); /* const while installed */

static void on_interrupt(int signal)
{
	int kept = errno;

	/* It may be entered on a thread of the program's own and run when it was uninstalled. */
	if (!interrupt_handler(signal))
		raise(signal);
	errno = kept;
}

int sc_os_interrupt_install(int (*handler)(int signal))
{
	struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART | SA_ONSTACK};
	int error;

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaddset(&action.sa_mask, SIGQUIT);
	interrupt_handler = handler;
	error = take(&quit, &action);
	if (error)
		return error;
	error = take_pair(interrupts, &action);
	if (error)
		put_back(&quit);
	return error;
}

/* The thread that took them is gone, and all others block them: what came since then. */
static void take_pending(void)
{
	const struct timespec at_once = {0, 0};
	sigset_t set;
	int signal;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	while ((signal = sigtimedwait(&set, NULL, &at_once)) > 0)
		interrupt_handler(signal);
}

void sc_os_interrupt_uninstall(void)
{
	if (interrupts[0].installed)
		take_pending();
	put_back(&interrupts[0]);
	put_back(&interrupts[1]);
	put_back(&quit);
}

void sc_os_interrupt_block(int block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void sc_os_raise(int signal)
{
	sigset_t set;

	put_back(&interrupts[signal == SIGTERM]);
	sigemptyset(&set);
	sigaddset(&set, signal);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	/* The tasks have ended in order, so what they printed counts; unless another thread is in
	 * the middle of it.  Where nobody takes it, the next signal ends that. */
	if (ftrylockfile(stdout) == 0) {
		fflush_unlocked(stdout);
		funlockfile(stdout);
	}
	/* To this thread, so that it is delivered before raise returns. */
	raise(signal);
}

/* ---- system calls that are cut short ---- */

static struct taken eintr;

static void on_eintr(int signal)
{
	(void)signal;
}

int sc_os_eintr_install(void)
{
	struct sigaction action = {.sa_handler = on_eintr}; /* no SA_RESTART */

	sigemptyset(&action.sa_mask);
	eintr.signal = SIGRTMIN + EINTR_OFFSET;
	return take(&eintr, &action);
}

void sc_os_eintr_uninstall(void)
{
	put_back(&eintr);
}

void sc_os_eintr_block(int block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + EINTR_OFFSET);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void sc_os_eintr_send(struct sc_thread thread)
{
	pthread_kill((pthread_t)thread.handle, SIGRTMIN + EINTR_OFFSET);
}

/* ---- streams ---- */

static struct taken streams[SC_OS_SIGNALS];
static int (*stream_handler)(int signal); /* const: there is one in the library */

static void on_stream(int signal)
{
	int kept = errno;

	if (!stream_handler(signal)) /* as above */
		raise(signal);
	errno = kept;
}

/* A fault would come again and again, and a blocked one kills. */
static int is_ours(int signal)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	size_t i;

	for (i = 0; i < sizeof faults / sizeof faults[0]; i++)
		if (signal == faults[i])
			return 1;
	return signal == sc_os_expose_signal() || signal == SIGRTMIN + EINTR_OFFSET;
}

int sc_os_signal_take(int signal, int (*handler)(int signal))
{
	struct sigaction action = {.sa_handler = on_stream, .sa_flags = SA_RESTART | SA_ONSTACK};

	if (is_ours(signal))
		return -EINVAL;
	sigemptyset(&action.sa_mask);
	stream_handler = handler;
	streams[signal].signal = signal;
	return take(&streams[signal], &action);
}

void sc_os_signal_give_back(int signal)
{
	put_back(&streams[signal]);
}

void sc_os_signal_block(int signal, int block)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, signal);
	pthread_sigmask(block ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

void sc_os_last_seconds(unsigned seconds)
{
	sigset_t set;

	signal(SIGALRM, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	alarm(seconds);
}
