/* tests/unit/test_arch.c: the context switch keeps what a callee must keep. */
#define _GNU_SOURCE
#include "harness.h"

#include "arch/arch.h"

#include <execinfo.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#ifdef SC_VALGRIND
#include <valgrind/memcheck.h>
#endif

enum { STACK_SIZE = 64 * 1024, BELOW = 1024 };

static char stack[STACK_SIZE] SC_ALIGNED(64);
static struct sc_context outer, inner;

/* Puts seed, seed + 1, … into every callee-saved register, switches, and returns how many
 * of them hold something else afterwards. */
int switch_with_registers(struct sc_context *save, const struct sc_context *load, uintptr_t seed);

#if defined(__x86_64__)
enum { REGISTERS = 6 };
__asm__(".text\n"
	"switch_with_registers:\n"
	"	pushq %rbp\n	pushq %rbx\n	pushq %r12\n	pushq %r13\n"
	"	pushq %r14\n	pushq %r15\n	pushq %rdx\n"
	"	movq %rdx, %rbx\n	leaq 1(%rdx), %rbp\n	leaq 2(%rdx), %r12\n"
	"	leaq 3(%rdx), %r13\n	leaq 4(%rdx), %r14\n	leaq 5(%rdx), %r15\n"
	"	call sc_arch_switch\n"
	"	popq %rdx\n	xorl %eax, %eax\n"
	"	.irp r, rbx, rbp, r12, r13, r14, r15\n"
	"	cmpq %rdx, %\\r\n	je 1f\n	incl %eax\n1:	incq %rdx\n"
	"	.endr\n"
	"	popq %r15\n	popq %r14\n	popq %r13\n	popq %r12\n"
	"	popq %rbx\n	popq %rbp\n	ret\n");
#else
enum { REGISTERS = 19 };
__asm__(".text\n"
	"switch_with_registers:\n"
	"	sub sp, sp, #176\n"
	"	stp x29, x30, [sp]\n	stp x19, x20, [sp, #16]\n	stp x21, x22, [sp, #32]\n"
	"	stp x23, x24, [sp, #48]\n	stp x25, x26, [sp, #64]\n"
	"	stp x27, x28, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n	stp d14, d15, [sp, #144]\n"
	"	str x2, [sp, #160]\n"
	"	.irp r, x19,x20,x21,x22,x23,x24,x25,x26,x27,x28,x29\n"
	"	mov \\r, x2\n	add x2, x2, #1\n"
	"	.endr\n"
	"	.irp r, d8, d9, d10, d11, d12, d13, d14, d15\n"
	"	fmov \\r, x2\n	add x2, x2, #1\n"
	"	.endr\n"
	"	bl sc_arch_switch\n"
	"	ldr x2, [sp, #160]\n	mov x0, #0\n"
	"	.irp r, x19,x20,x21,x22,x23,x24,x25,x26,x27,x28,x29\n"
	"	cmp \\r, x2\n	cinc x0, x0, ne\n	add x2, x2, #1\n"
	"	.endr\n"
	"	.irp r, d8, d9, d10, d11, d12, d13, d14, d15\n"
	"	fmov x3, \\r\n	cmp x3, x2\n	cinc x0, x0, ne\n	add x2, x2, #1\n"
	"	.endr\n"
	"	ldp x29, x30, [sp]\n	ldp x19, x20, [sp, #16]\n	ldp x21, x22, [sp, #32]\n"
	"	ldp x23, x24, [sp, #48]\n	ldp x25, x26, [sp, #64]\n"
	"	ldp x27, x28, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #176\n	ret\n");
#endif

static struct sc_root_link *make(void (*entry)(void *), void *arg)
{
#ifdef SC_VALGRIND
	static unsigned known;

	if (!known)
		known = VALGRIND_STACK_REGISTER(stack, stack + STACK_SIZE) + 1;
#endif
	return sc_arch_make(&inner, stack + STACK_SIZE, entry, arg);
}

/* ---- values and registers ---- */

static void count_up(void *arg)
{
	for (;;) {
		++*(volatile int *)arg;
		sc_arch_switch(&inner, &outer);
	}
}

Test(arch, each_switch_continues_where_the_other_left)
{
	volatile int value = 0;
	int i;

	make(count_up, (void *)&value);
	for (i = 1; i <= 1000; i++) {
		sc_arch_switch(&outer, &inner);
		cr_assert_eq(value, i);
	}
}

static int wrong_inside;

static void use_registers(void *arg)
{
	(void)arg;
	for (;;)
		wrong_inside += switch_with_registers(&inner, &outer, 1000);
}

Test(arch, switch_keeps_registers_on_both_sides)
{
	int i;

	wrong_inside = 0;
	make(use_registers, NULL);
	for (i = 0; i < 10; i++)
		cr_assert_eq(switch_with_registers(&outer, &inner, 5000), 0);
	cr_assert_eq(wrong_inside, 0);
}

static uintptr_t entry_frame;

static void note_alignment(void *arg)
{
	entry_frame = (uintptr_t)__builtin_frame_address(0);
	(void)arg;
	for (;;)
		sc_arch_switch(&inner, &outer);
}

Test(arch, entry_runs_on_an_aligned_stack)
{
	make(note_alignment, NULL);
	sc_arch_switch(&outer, &inner);
	cr_assert_eq(entry_frame % 16, 0);
	cr_assert(entry_frame > (uintptr_t)stack && entry_frame < (uintptr_t)stack + STACK_SIZE);
}

/* ---- ticks ---- */

static int64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Rate limits are counted in ticks: they must not be a hundred times as long elsewhere. */
Test(arch, a_tick_lasts_less_than_a_nanosecond_and_more_than_a_sixth)
{
	int64_t start_ns = clock_ns(), ns;
	uint64_t start = sc_arch_ticks(), ticks;

	do {
		ns = clock_ns() - start_ns;
		ticks = sc_arch_ticks() - start;
	} while (ns < 20000000);
	cr_assert(ticks >= (uint64_t)ns * 9 / 10, "%.2f ns", (double)ns / (double)ticks);
	cr_assert(ticks <= (uint64_t)ns * 6, "%.2f ns", (double)ns / (double)ticks);
}

/* ---- aside ---- */

static struct sc_aside area;
static volatile uintptr_t inner_sp;
static volatile int steps;

/* No call between the two switches but they: both start at the same stack pointer. */
static void go_aside(void *arg)
{
	(void)arg;
	inner_sp = sc_arch_sp();
	sc_arch_switch(&inner, &outer);
	sc_arch_switch_aside(&inner, &area, &outer);
	steps = 1;
	sc_arch_switch(&inner, &outer);
	__builtin_unreachable();
}

Test(arch, aside_writes_nothing_below_the_stack_pointer)
{
	static char before[BELOW];
	char *below;
	size_t spared = BELOW;

	steps = 0;
	memset(stack, 0x5a, sizeof(stack));
	make(go_aside, NULL);
	sc_arch_switch(&outer, &inner);
	below = (char *)inner_sp - BELOW;
	memcpy(before, below, BELOW);
	sc_arch_switch(&outer, &inner);
#if defined(__x86_64__)
	spared -= sizeof(uintptr_t); /* the return address */
#endif
#ifdef SC_VALGRIND
	/* To memcheck nothing below a stack pointer has a value. */
	VALGRIND_MAKE_MEM_DEFINED(before, BELOW);
	VALGRIND_MAKE_MEM_DEFINED(below, BELOW);
#endif
	cr_assert(memcmp(before, below, spared) == 0);
	/* What lies there belongs to others now, the return address too. */
	memset(below, 0xa5, BELOW);
	sc_arch_switch(&outer, &inner);
	cr_assert_eq(steps, 1);
}

static void registers_aside(void *arg)
{
	(void)arg;
	for (;;)
		sc_arch_switch_aside(&inner, &area, &outer);
}

Test(arch, aside_resumes_like_any_other)
{
	int i;

	make(registers_aside, NULL);
	for (i = 0; i < 10; i++)
		cr_assert_eq(switch_with_registers(&outer, &inner, 77), 0);
}

/* ---- the root link ---- */

static void *seen[16];
static int seen_count;
static void **frame_of_entry;

static void look_back(void *arg)
{
	(void)arg;
	frame_of_entry = __builtin_frame_address(0);
	seen_count = backtrace(seen, 16);
	for (;;)
		sc_arch_switch(&inner, &outer);
}

static SC_NOINLINE const void *here(void)
{
	return __builtin_return_address(0);
}

Test(arch, a_fresh_stack_ends_at_its_root)
{
	struct sc_root_link *link = make(look_back, NULL);

	cr_assert_null(link->frame);
	cr_assert_null(link->return_address);
	sc_arch_switch(&outer, &inner);
	cr_assert(seen_count <= 4, "%d frames on a stack of two functions", seen_count);
}

Test(arch, unwinders_go_on_at_the_root_link)
{
	struct sc_root_link *link = make(look_back, NULL);
	int i, found = 0;

	link->frame = __builtin_frame_address(0);
	link->return_address = here();
	sc_arch_switch(&outer, &inner);
	/* by frame pointers: the frame below entry's is the link */
	cr_assert_eq(frame_of_entry[0], (void *)link);
	/* by unwind tables, and on from there */
	for (i = 0; i < seen_count; i++)
		found += seen[i] == link->return_address && i + 1 < seen_count;
	cr_assert_eq(found, 1);
}

Test(arch, switch_keeps_a_frame_record_at_its_top)
{
	volatile int value = 0;

	make(count_up, (void *)&value);
	sc_arch_switch(&outer, &inner);
	cr_assert((uintptr_t)inner.sp > (uintptr_t)stack);
	cr_assert((uintptr_t)inner.sp < (uintptr_t)stack + STACK_SIZE);
	cr_assert_eq((uintptr_t)inner.sp % sizeof(uintptr_t), 0);
	cr_assert(REGISTERS * sizeof(uintptr_t) < sizeof(struct sc_aside));
}
