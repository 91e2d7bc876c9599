/* runtime/arch/switch_x86_64.S: the context switch of x86-64, System V ABI.
 *
 * A suspended flow, from its sp upward: r15 r14 r13 r12 rbx rbp resume-address.  The last
 * two form a frame record, so a suspended stack can be walked by frame pointers.
 *
 * Resuming jumps instead of returning: a return would go elsewhere than the CPU's return
 * predictor expects, each time.  Registers are loaded through rax and the stack pointer
 * moves last, so the CFA rule that starts at the load is true until the jump.
 */
#if defined(__x86_64__)

#define FRAME_SIZE 56 /* six registers and the resume address */

	.text

/* What both switches end with: context in \load, its sp goes through rax. */
	.macro	CONTINUE load
	movq	(\load), %rax
	.cfi_def_cfa rax, FRAME_SIZE
	.cfi_offset rip, -8
	.cfi_offset rbp, -16
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
	movq	0(%rax), %r15
	movq	8(%rax), %r14
	movq	16(%rax), %r13
	movq	24(%rax), %r12
	movq	32(%rax), %rbx
	movq	40(%rax), %rbp
	movq	48(%rax), %rcx
	leaq	FRAME_SIZE(%rax), %rsp
	jmp	*%rcx
	.endm

/* void sc_arch_switch(save: rdi, load: rsi) */
	.globl	sc_arch_switch
	.hidden	sc_arch_switch
	.type	sc_arch_switch, @function
	.balign	16
sc_arch_switch:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, (%rdi)
	CONTINUE %rsi
	.cfi_endproc
	.size	sc_arch_switch, . - sc_arch_switch

/* void sc_arch_switch_aside(save: rdi, area: rsi, load: rdx)
 * area[0..6] is the frame that CONTINUE loads; [7] the stack pointer after the return;
 * [8] the return address, since its slot on the stack may be overwritten meanwhile. */
	.globl	sc_arch_switch_aside
	.hidden	sc_arch_switch_aside
	.type	sc_arch_switch_aside, @function
	.balign	16
sc_arch_switch_aside:
	.cfi_startproc
	movq	%r15, 0(%rsi)
	movq	%r14, 8(%rsi)
	movq	%r13, 16(%rsi)
	movq	%r12, 24(%rsi)
	movq	%rbx, 32(%rsi)
	movq	%rbp, 40(%rsi)
	leaq	sc_arch_resume_aside(%rip), %rax
	movq	%rax, 48(%rsi)
	leaq	8(%rsp), %rax
	movq	%rax, 56(%rsi)
	movq	(%rsp), %rax
	movq	%rax, 64(%rsi)
	movq	%rsi, (%rdi)
	CONTINUE %rdx
	.cfi_endproc
	.size	sc_arch_switch_aside, . - sc_arch_switch_aside

/* Where a flow that was put aside continues; rax still holds its area. */
	.type	sc_arch_resume_aside, @function
	.balign	16
sc_arch_resume_aside:
	.cfi_startproc
	/* CFA: the word at rax + 56.  rip: saved at rax + 64. */
	.cfi_escape 0x0f, 3, 0x70, 0x38, 0x06
	.cfi_escape 0x10, 16, 3, 0x70, 0xc0, 0x00
	movq	64(%rax), %rcx
	movq	56(%rax), %rsp
	jmp	*%rcx
	.cfi_endproc
	.size	sc_arch_resume_aside, . - sc_arch_resume_aside

/* The first frame of a stack; rbp points to its root link, r12 is entry, r13 its argument.
 * To an unwinder the root link is this frame's saved rbp and return address.  It counts as
 * a signal frame because the next one lies on another stack, at any address.  The nop
 * keeps a look-up of "address - 1" inside. */
	.type	sc_arch_root, @function
	.balign	16
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rbp, 16
	.cfi_offset rbp, -16
	.cfi_offset rip, -8
	nop
sc_arch_root:
	movq	%r13, %rdi
	callq	*%r12
	ud2
	.cfi_endproc
	.size	sc_arch_root, . - sc_arch_root

/* link: rax sc_arch_make(context: rdi, top: rsi, entry: rdx, arg: rcx) */
	.globl	sc_arch_make
	.hidden	sc_arch_make
	.type	sc_arch_make, @function
	.balign	16
sc_arch_make:
	.cfi_startproc
	leaq	-16(%rsi), %rax
	movq	$0, (%rax)
	movq	$0, 8(%rax)
	leaq	sc_arch_root(%rip), %r8
	movq	%r8, -8(%rax)
	movq	%rax, -16(%rax)		/* rbp */
	movq	$0, -24(%rax)		/* rbx */
	movq	%rdx, -32(%rax)		/* r12 */
	movq	%rcx, -40(%rax)		/* r13 */
	movq	$0, -48(%rax)		/* r14 */
	movq	$0, -56(%rax)		/* r15 */
	leaq	-FRAME_SIZE(%rax), %rcx
	movq	%rcx, (%rdi)
	ret
	.cfi_endproc
	.size	sc_arch_make, . - sc_arch_make

#endif
	.section .note.GNU-stack, "", @progbits
