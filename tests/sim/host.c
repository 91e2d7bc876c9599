/* tests/sim/host.c: what os/ offers beside its table, answered without asking the kernel.
 *
 * The linker puts these in the place of the runtime's own (--wrap, see the Makefile).  A
 * schedule makes no system call, which would take longer than all else it does, and sends no
 * real signal: handlers are kept and called.
 */
#include "core.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define WRAP(name) __wrap_##name

static struct {
	void (*expose)(void);
	int (*interrupt)(int signal);
	int (*taken[SC_OS_SIGNALS])(int signal); /* by a stream */
	bool let_in[SC_OS_SIGNALS];              /* by the monitor, for a stream */
	int raised;
	unsigned processors;
} host;

void sim_host_reset(void)
{
	memset(&host, 0, sizeof(host));
	host.processors = 1 + (unsigned)(sim_next_random() % 3);
}

/* ---- signals ------------------------------------------------------------------- */

int WRAP(sc_os_expose_install)(void (*handler)(void));
int WRAP(sc_os_expose_install)(void (*handler)(void))
{
	host.expose = handler;
	return 0;
}

void WRAP(sc_os_expose_uninstall)(void);
void WRAP(sc_os_expose_uninstall)(void)
{
	host.expose = NULL;
}

void sim_host_expose(void)
{
	if (host.expose)
		host.expose();
}

int WRAP(sc_os_interrupt_install)(int (*handler)(int signal));
int WRAP(sc_os_interrupt_install)(int (*handler)(int signal))
{
	host.interrupt = handler;
	return 0;
}

void WRAP(sc_os_interrupt_uninstall)(void);
void WRAP(sc_os_interrupt_uninstall)(void)
{
	host.interrupt = NULL;
}

void WRAP(sc_os_interrupt_block)(int block);
void WRAP(sc_os_interrupt_block)(int block)
{
	(void)block;
}

int WRAP(sc_os_signal_take)(int signal, int (*handler)(int signal));
int WRAP(sc_os_signal_take)(int signal, int (*handler)(int signal))
{
	host.taken[signal] = handler;
	return 0;
}

void WRAP(sc_os_signal_give_back)(int signal);
void WRAP(sc_os_signal_give_back)(int signal)
{
	sim_check(!host.let_in[signal], "signal %d is let in without a handler", signal);
	host.taken[signal] = NULL;
}

void WRAP(sc_os_signal_block)(int signal, int block);
void WRAP(sc_os_signal_block)(int signal, int block)
{
	sim_check(block || host.taken[signal], "signal %d is let in without a handler", signal);
	host.let_in[signal] = !block;
}

bool sim_interrupt(int number)
{
	if (host.taken[number])
		return host.taken[number](number);
	return host.interrupt && (number == SIGINT || number == SIGTERM) &&
	       host.interrupt(number);
}

void WRAP(sc_os_raise)(int number);
void WRAP(sc_os_raise)(int number)
{
	host.raised = number;
}

int sim_raised(void)
{
	return host.raised;
}

/* A stack that overflows is found by what its guard holds, or by the crash. */
int WRAP(sc_os_fault_install)(void (*handler)(const void *address, const void *sp));
int WRAP(sc_os_fault_install)(void (*handler)(const void *address, const void *sp))
{
	(void)handler;
	return 0;
}

void WRAP(sc_os_fault_uninstall)(void);
void WRAP(sc_os_fault_uninstall)(void)
{
}

int WRAP(sc_os_sigstack_install)(void *memory);
int WRAP(sc_os_sigstack_install)(void *memory)
{
	(void)memory;
	return 0;
}

void WRAP(sc_os_sigstack_uninstall)(void);
void WRAP(sc_os_sigstack_uninstall)(void)
{
}

/* ---- time ---------------------------------------------------------------------- */

/* Tests ask libc for what the runtime asks its table for, mostly to be busy for a while: it
 * takes long, so that they are in few steps. */
int __real_clock_gettime(clockid_t clock, struct timespec *time);
int WRAP(clock_gettime)(clockid_t clock, struct timespec *time);
int WRAP(clock_gettime)(clockid_t clock, struct timespec *time)
{
	int64_t now;

	if (!sim.running || clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, time);
	sim_compute(2000);
	now = sim_now();
	time->tv_sec = now / 1000000000;
	time->tv_nsec = now % 1000000000;
	return 0;
}

/* ---- seeds --------------------------------------------------------------------- */

/* A seeded run takes all its choices in turn: each order of tasks once. */
uint32_t __real_sc_draw(uint32_t options);
uint32_t WRAP(sc_draw)(uint32_t options);
uint32_t WRAP(sc_draw)(uint32_t options)
{
	return sim.strategy == SIM_EXHAUSTIVE ? sim_choose_number(options) :
						__real_sc_draw(options);
}

/* ---- facts --------------------------------------------------------------------- */

unsigned WRAP(sc_os_processors)(void);
unsigned WRAP(sc_os_processors)(void)
{
	return host.processors;
}

size_t WRAP(sc_os_main_stack_size)(void);
size_t WRAP(sc_os_main_stack_size)(void)
{
	return 256 << 10;
}

int WRAP(sc_os_stack_bounds)(char **low, char **high);
int WRAP(sc_os_stack_bounds)(char **low, char **high)
{
	*low = sim.current->stack;
	*high = sim.current->stack + SIM_STACK;
	return 0;
}

size_t WRAP(sc_os_address_limit)(void);
size_t WRAP(sc_os_address_limit)(void)
{
	return SIZE_MAX;
}
