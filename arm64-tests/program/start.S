// SPDX-License-Identifier: Apache-2.0
	.globl _start
_start:
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, sp
	b	linux_main
