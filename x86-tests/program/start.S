// SPDX-License-Identifier: Apache-2.0
	.globl _start
_start:
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	linux_main
	ud2
	.section .note.GNU-stack,"",@progbits
