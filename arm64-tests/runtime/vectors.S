/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe runs inside guard_call(). A synchronous exception there ends the probe: the handler keeps what the
 * exception said in `guard` and resumes where guard_call() returns. Any other exception ends the guest.
 */
#include "runtime/guard.h"

	.macro	vector target, number
	.balign	128
	mov	x0, #\number
	b	\target
	.endm

	.text
	.balign	2048
	.global vectors
vectors:
	vector	unexpected, 0
	vector	unexpected, 1
	vector	unexpected, 2
	vector	unexpected, 3
	vector	synchronous, 4
	vector	unexpected, 5
	vector	unexpected, 6
	vector	unexpected, 7
	vector	unexpected, 8
	vector	unexpected, 9
	vector	unexpected, 10
	vector	unexpected, 11
	vector	unexpected, 12
	vector	unexpected, 13
	vector	unexpected, 14
	vector	unexpected, 15

synchronous:
	ldr	x9, =guard
	ldr	x10, [x9, #GUARD_SP]
	cbz	x10, unexpected
	str	xzr, [x9, #GUARD_SP]
	mrs	x11, esr_el1
	mrs	x12, far_el1
	stp	x11, x12, [x9, #GUARD_SYNDROME]
	mrs	x11, elr_el1
	str	x11, [x9, #GUARD_PC]
	mov	sp, x10
	adr	x11, guard_landing
	msr	elr_el1, x11
	mov	x11, #0x2c5			/* EL1h; D, I and F masked, SError not */
	msr	spsr_el1, x11
	eret

/* The stack may be what broke: start over at its top, which nothing needs any more. */
unexpected:
	ldr	x9, =stack_top
	mov	sp, x9
	mrs	x1, esr_el1
	mrs	x2, far_el1
	mrs	x3, elr_el1
	b	guest_unexpected

/* enum wcvmm_outcome guard_call(probe_fn *x0, struct probe *x1): the probe's answer, or 0 when it faulted. */
	.global guard_call
guard_call:
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	ldr	x9, =guard
	mov	x10, sp
	str	x10, [x9, #GUARD_SP]
	mov	x10, x0
	mov	x0, x1
	blr	x10
	ldr	x9, =guard
	str	xzr, [x9, #GUARD_SP]
guard_return:
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
	ret
guard_landing:
	mov	w0, #0
	b	guard_return

	.section .note.GNU-stack, "", %progbits
