/* runtime/arch/switch_aarch64.S: the context switch of 64-bit Arm, AAPCS64.
 *
 * A suspended flow, from its sp upward: x29 x30 x19..x28 d8..d15.  The first two form a
 * frame record, so a suspended stack can be walked by frame pointers.  x30 is the address
 * to continue at.  Resuming branches instead of returning: the return predictor would
 * expect another place, each time.
 */
#if defined(__aarch64__)

#define FRAME_SIZE 160

	.text

	.macro	SAVE base
	stp	x19, x20, [\base, #16]
	stp	x21, x22, [\base, #32]
	stp	x23, x24, [\base, #48]
	stp	x25, x26, [\base, #64]
	stp	x27, x28, [\base, #80]
	stp	d8, d9, [\base, #96]
	stp	d10, d11, [\base, #112]
	stp	d12, d13, [\base, #128]
	stp	d14, d15, [\base, #144]
	.endm

	.macro	CFI_SAVED
	.cfi_offset x29, -160
	.cfi_offset x30, -152
	.cfi_offset x19, -144
	.cfi_offset x20, -136
	.cfi_offset x21, -128
	.cfi_offset x22, -120
	.cfi_offset x23, -112
	.cfi_offset x24, -104
	.cfi_offset x25, -96
	.cfi_offset x26, -88
	.cfi_offset x27, -80
	.cfi_offset x28, -72
	.cfi_offset d8, -64
	.cfi_offset d9, -56
	.cfi_offset d10, -48
	.cfi_offset d11, -40
	.cfi_offset d12, -32
	.cfi_offset d13, -24
	.cfi_offset d14, -16
	.cfi_offset d15, -8
	.endm

/* What both switches end with: context in \load, its sp goes through x9.  The stack
 * pointer moves last, so the CFA rule that starts at the load is true until the branch. */
	.macro	CONTINUE load
	ldr	x9, [\load]
	.cfi_def_cfa x9, FRAME_SIZE
	CFI_SAVED
	ldp	x29, x30, [x9]
	ldp	x19, x20, [x9, #16]
	ldp	x21, x22, [x9, #32]
	ldp	x23, x24, [x9, #48]
	ldp	x25, x26, [x9, #64]
	ldp	x27, x28, [x9, #80]
	ldp	d8, d9, [x9, #96]
	ldp	d10, d11, [x9, #112]
	ldp	d12, d13, [x9, #128]
	ldp	d14, d15, [x9, #144]
	add	sp, x9, #FRAME_SIZE
	br	x30
	.endm

/* void sc_arch_switch(save: x0, load: x1) */
	.globl	sc_arch_switch
	.hidden	sc_arch_switch
	.type	sc_arch_switch, %function
	.balign	16
sc_arch_switch:
	.cfi_startproc
	stp	x29, x30, [sp, #-FRAME_SIZE]!
	.cfi_def_cfa_offset FRAME_SIZE
	.cfi_offset x29, -160
	.cfi_offset x30, -152
	SAVE	sp
	mov	x9, sp
	str	x9, [x0]
	CONTINUE x1
	.cfi_endproc
	.size	sc_arch_switch, . - sc_arch_switch

/* void sc_arch_switch_aside(save: x0, area: x1, load: x2)
 * The first FRAME_SIZE bytes of the area are the frame that CONTINUE loads; then the
 * stack pointer and the return address. */
	.globl	sc_arch_switch_aside
	.hidden	sc_arch_switch_aside
	.type	sc_arch_switch_aside, %function
	.balign	16
sc_arch_switch_aside:
	.cfi_startproc
	adr	x10, sc_arch_resume_aside
	stp	x29, x10, [x1]
	SAVE	x1
	mov	x10, sp
	stp	x10, x30, [x1, #FRAME_SIZE]
	str	x1, [x0]
	CONTINUE x2
	.cfi_endproc
	.size	sc_arch_switch_aside, . - sc_arch_switch_aside

/* Where a flow that was put aside continues; x9 still holds its area.  sp points behind
 * the frame in the area and may be misaligned: nothing is accessed through it. */
	.type	sc_arch_resume_aside, %function
	.balign	16
sc_arch_resume_aside:
	.cfi_startproc
	/* CFA: the word at x9 + 160.  x30: saved at x9 + 168. */
	.cfi_escape 0x0f, 4, 0x79, 0xa0, 0x01, 0x06
	.cfi_escape 0x10, 30, 3, 0x79, 0xa8, 0x01
	ldp	x10, x30, [x9, #FRAME_SIZE]
	mov	sp, x10
	br	x30
	.cfi_endproc
	.size	sc_arch_resume_aside, . - sc_arch_resume_aside

/* The first frame of a stack; x29 points to its root link, x19 is entry, x20 its argument.
 * To an unwinder the root link is this frame's record.  It counts as a signal frame
 * because the next one lies on another stack, at any address.  The nop keeps a look-up of
 * "address - 1" inside. */
	.type	sc_arch_root, %function
	.balign	16
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa x29, 16
	.cfi_offset x29, -16
	.cfi_offset x30, -8
	nop
sc_arch_root:
	mov	x0, x20
	blr	x19
	brk	#0
	.cfi_endproc
	.size	sc_arch_root, . - sc_arch_root

/* link: x0 sc_arch_make(context: x0, top: x1, entry: x2, arg: x3) */
	.globl	sc_arch_make
	.hidden	sc_arch_make
	.type	sc_arch_make, %function
	.balign	16
sc_arch_make:
	.cfi_startproc
	sub	x9, x1, #16
	stp	xzr, xzr, [x9]
	sub	x10, x9, #FRAME_SIZE
	adr	x11, sc_arch_root
	stp	x9, x11, [x10]
	stp	x2, x3, [x10, #16]
	str	x10, [x0]
	mov	x0, x9
	ret
	.cfi_endproc
	.size	sc_arch_make, . - sc_arch_make

#endif
	.section .note.GNU-stack, "", %progbits
