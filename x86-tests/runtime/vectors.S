/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe runs inside guard_call(). An exception there ends the probe: the handler keeps what the exception said in
 * `guard` and goes on where guard_call() returns. Any other exception ends the guest. There is no IRET: nothing that
 * was interrupted is ever resumed, and interrupts stay off.
 */
#include "runtime/guard.h"

#define VECTOR_NMI		2
#define VECTOR_DOUBLE_FAULT	8
#define VECTOR_MACHINE_CHECK	18
#define HAS_ERROR_CODE		0x60227d00	/* bit n: vector n pushes one (8, 10-14, 17, 21, 29, 30) */

/* One entry in 16 bytes for each of the 32 exceptions: exceptions.c counts on it. */
	.macro	vector number
	.balign	16
	.if	(HAS_ERROR_CODE >> \number & 1) == 0
	pushq	$0
	.endif
	pushq	$\number
	jmp	exception
	.endm

	.text
	.balign	16
	.global vectors
vectors:
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vector	\number
	.endr
	.irp	number, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	vector	\number
	.endr

exception:
	cld
	popq	%rdi			/* vector */
	popq	%rsi			/* error code */
	popq	%rcx			/* RIP */
	movq	%cr2, %rdx
	movq	%rdi, %rax
	shlq	$32, %rax
	orq	%rax, %rsi
	cmpq	$VECTOR_NMI, %rdi
	je	unexpected
	cmpq	$VECTOR_DOUBLE_FAULT, %rdi
	je	unexpected
	cmpq	$VECTOR_MACHINE_CHECK, %rdi
	je	unexpected
	movq	guard + GUARD_SP, %rax
	testq	%rax, %rax
	jz	unexpected
	movq	%rsi, guard + GUARD_SYNDROME
	movq	%rdx, guard + GUARD_ADDRESS
	movq	%rcx, guard + GUARD_PC
	movq	%rax, %rsp
	xorl	%eax, %eax
	jmp	guard_return

/* The stack may be what broke: start over at its top, which nothing needs any more. */
unexpected:
	movl	$stack_top, %esp
	call	guest_unexpected

/* enum wcvmm_outcome guard_call(probe_fn *rdi, struct probe *rsi): the probe's answer, or 0 when it faulted. */
	.global guard_call
guard_call:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	movq	%rsp, guard + GUARD_SP
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
guard_return:
	movq	$0, guard + GUARD_SP
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	.section .note.GNU-stack, "", %progbits
