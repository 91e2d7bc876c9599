/* runtime/arch/skip_aarch64.S: scope_fail's way out for code 0; see skip_x86_64.S. */
#if defined(__aarch64__)

	.text
	.globl	scope_fail
	.type	scope_fail, %function
	.balign	16
scope_fail:
	.cfi_startproc
	cbz	w1, 1f
	b	sc_fail
1:	mov	w0, #0
	ret
	.cfi_endproc
	.size	scope_fail, .-scope_fail

#endif

	.section .note.GNU-stack, "", %progbits
