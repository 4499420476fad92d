/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry: EL1, MMU off, x0 = start of RAM. Nothing is stored before the MMU and the caches are on: the image was
 * written by the host through its cache, and a store that bypasses it could be lost under a stale line.
 */
#include "runtime/memory-map.h"

#define TCR_T0SZ	(64 - VA_BITS)
#define TCR_WALKS_WB	(1 << 8 | 1 << 10 | 3 << 12)	/* inner and outer write-back, inner shareable */
#define TCR_EPD1	(1 << 23)
#define TCR_TBI0	(1 << 37)	/* a pointer may carry an allocation tag */
#define TCR_IPS_SHIFT	32

/* RES1 bits of the base architecture, then SA, I, C, M. A = 0: only the memory type makes an access fault. */
#define SCTLR_RES1	0x30d00800
#define SCTLR_ON	(1 << 12 | 1 << 3 | 1 << 2 | 1)

	.section .text.start, "ax"
	.global _start
_start:
	mov	x20, x0
	adr	x1, vectors
	msr	vbar_el1, x1
	mov	x1, #3 << 20			/* CPACR_EL1.FPEN: FP and SIMD do not trap */
	msr	cpacr_el1, x1

	mov	x1, #MAIR_FIXED
	msr	mair_el1, x1
	ldr	x1, =level1_table
	msr	ttbr0_el1, x1
	mrs	x2, id_aa64mmfr0_el1
	and	x2, x2, #15			/* PARange has IPS's encoding; 52 bits (6 and 7) need other tables */
	cmp	x2, #5
	mov	x3, #5
	csel	x2, x2, x3, ls
	ldr	x1, =(TCR_T0SZ | TCR_WALKS_WB | TCR_EPD1 | TCR_TBI0)
	orr	x1, x1, x2, lsl #TCR_IPS_SHIFT
	msr	tcr_el1, x1
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	ldr	x1, =(SCTLR_RES1 | SCTLR_ON)
	msr	sctlr_el1, x1
	isb

	ldr	x1, =stack_top
	mov	sp, x1
	ldr	x2, =bss_start
1:	stp	xzr, xzr, [x2], #16
	cmp	x2, x1
	b.lo	1b
	msr	daifclr, #4			/* a pending SError is reported, not kept */

	mov	x0, x20
	bl	guest_main
	b	guest_exit

	.section .note.GNU-stack, "", %progbits
