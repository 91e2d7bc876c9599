/* runtime/arch/arch.h: the contract of a CPU: contexts, stack pointer, ticks.
 *
 * One switch_<cpu>.S implements the functions; the inlines are here, per CPU.
 */
#ifndef SC_ARCH_ARCH_H
#define SC_ARCH_ARCH_H

#include "base/base.h"

/* A suspended flow of control: callee-saved registers lie on its stack above sp. */
struct sc_context {
	void *sp;
};

/* The root frame of a stack: where a frame-pointer walk continues.  {0, 0} ends it. */
struct sc_root_link {
	const void *frame;          /* saved frame pointer of the frame to continue at */
	const void *return_address; /* an address in that frame's function */
};

/* Where sc_arch_switch_aside saves registers: laid out like a stack frame of the switch.
 * For the last instructions of resuming, the stack pointer is in it: a signal handler needs
 * a stack of its own. */
struct sc_aside {
	uintptr_t word[24];
};

/* Saves the running flow in *save and continues *load.  Every register that the ABI lets
 * a callee change is lost; MXCSR, x87 and FPCR control words are shared by all tasks. */
void sc_arch_switch(struct sc_context *save, const struct sc_context *load);

/* The same, but writes nothing below the caller's stack pointer except, where the CPU's
 * call instruction does so, the return address; registers go to *area.  The saved context
 * is resumed with sc_arch_switch like any other. */
void sc_arch_switch_aside(struct sc_context *save, struct sc_aside *area,
			  const struct sc_context *load);

/* sc_arch_switch without a call, where the CPU's return predictor would be left one entry
 * off by a call that is never returned from: each return after a switch would go wrong. */
SC_INLINE void sc_arch_switch_here(struct sc_context *save, const struct sc_context *load)
{
#if defined(__x86_64__)
	/* The frame is that of switch_x86_64.S, below the red zone of the function around. */
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"
			 "leaq 1f(%%rip), %%rcx\n\t"
			 "pushq %%rcx\n\t"
			 "pushq %%rbp\n\t"
			 "pushq %%rbx\n\t"
			 "pushq %%r12\n\t"
			 "pushq %%r13\n\t"
			 "pushq %%r14\n\t"
			 "pushq %%r15\n\t"
			 "movq %%rsp, (%0)\n\t"
			 "movq (%1), %%rax\n\t"
			 "movq 0(%%rax), %%r15\n\t"
			 "movq 8(%%rax), %%r14\n\t"
			 "movq 16(%%rax), %%r13\n\t"
			 "movq 24(%%rax), %%r12\n\t"
			 "movq 32(%%rax), %%rbx\n\t"
			 "movq 40(%%rax), %%rbp\n\t"
			 "movq 48(%%rax), %%rcx\n\t"
			 "leaq 56(%%rax), %%rsp\n\t"
			 "jmp *%%rcx\n"
			 "1:\n\t"
			 "leaq 128(%%rsp), %%rsp"
			 : "+D"(save), "+S"(load)
			 :
			 : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
			   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
			   "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
#else
	sc_arch_switch(save, load);
#endif
}

/* Makes a context that, when first continued, calls entry(arg) on the stack that ends at
 * `top` (16-byte aligned).  entry never returns.  Returns the root link, initially {0, 0}. */
struct sc_root_link *sc_arch_make(struct sc_context *context, void *top, void (*entry)(void *),
				  void *arg);

/* The stack pointer, now. */
SC_INLINE uintptr_t sc_arch_sp(void)
{
	uintptr_t sp;
#if defined(__x86_64__)
	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
#elif defined(__aarch64__)
	__asm__ volatile("mov %0, sp" : "=r"(sp));
#else
#error "libscope has no context switch for this CPU"
#endif
	return sp;
}

/* Stores the frame pointer register: the caller's frame if this function keeps none. */
SC_IN_FRAME void sc_arch_save_fp(const void **out)
{
#if defined(__x86_64__)
	__asm__ volatile("movq %%rbp, %0" : "=m"(*out));
#else
	__asm__ volatile("str x29, %0" : "=m"(*out));
#endif
}

/* Tells the CPU that this is a spin loop. */
SC_INLINE void sc_arch_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("yield" ::: "memory");
#endif
}

#ifdef SC_SIM
uint64_t sc_sim_ticks(void); /* of the virtual clock: a schedule depends on nothing else */
#endif

/* A cheap counter for rate limits: constant rate, a step is 0.2 to 1 ns. */
SC_INLINE uint64_t sc_arch_ticks(void)
{
#if defined(SC_SIM)
	return sc_sim_ticks();
#elif defined(__x86_64__)
	uint32_t low, high;
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
#else
	/* Counts at anything from 1 MHz to 1 GHz: to a rate with bit 31 as its highest. */
	uint64_t ticks, rate;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(rate));
	return ticks << __builtin_clz((uint32_t)rate | 1);
#endif
}

#endif
