/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry: 32-bit protected mode, paging off, flat segments, interrupts off, EBX = start of RAM. Leaves in long mode with
 * the caches on. The tables are complete in the image, so there is no store before it but one to the doorbell.
 */
#include "runtime/memory-map.h"

#define CPUID_1_EDX	(1 << 5 | 1 << 6 | 1 << 12 | 1 << 16 | 1 << 19 | 1 << 24 | 1 << 25 | 1 << 26)
			/* MSR, PAE, MTRR, PAT, CLFSH, FXSR, SSE, SSE2 */
#define CPUID_EXT_EDX	(1 << 20 | 1 << 29)		/* NX, LM */

#define MSR_MTRR_DEF_TYPE 0x2ff
#define MTRR_ALL_WB	(1 << 11 | 6)			/* enabled, no fixed ranges, default type WB */
#define MSR_EFER	0xc0000080
#define EFER_LME_NXE	(1 << 8 | 1 << 11)

#define CR0_CD		(1 << 30)
#define CR0_UNCACHED	(CR0_CD | 1 << 4 | 1)		/* CD, ET, PE; NW = 0 */
#define CR0_ON		(1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 1 | 1) /* PG, WP, NE, ET, MP, PE; CD = NW = 0 */
#define CR4_ON		(1 << 5 | 1 << 9 | 1 << 10)	/* PAE, OSFXSR, OSXMMEXCPT */

	.section .text.start, "ax"
	.code32
	.global _start
_start:
	cld
	movl	%ebx, %esi
	movl	$0x80000000, %eax
	cpuid
	cmpl	$0x80000001, %eax
	jb	bad_cpu
	movl	$0x80000001, %eax
	cpuid
	notl	%edx
	testl	$CPUID_EXT_EDX, %edx
	jnz	bad_cpu
	movl	$1, %eax
	cpuid
	notl	%edx
	testl	$CPUID_1_EDX, %edx
	jnz	bad_cpu

	/*
	 * Disabled MTRRs, as after a reset, would make all memory UC whatever the PAT says. The order is the one of the
	 * SDM (vol. 3A, "MTRR Considerations in MP Systems"), less what needs paging, which is still off.
	 */
	movl	$CR0_UNCACHED, %eax
	movl	%eax, %cr0
	wbinvd
	movl	$MSR_MTRR_DEF_TYPE, %ecx
	movl	$MTRR_ALL_WB, %eax
	xorl	%edx, %edx
	wrmsr
	wbinvd

	movl	$CR4_ON, %eax
	movl	%eax, %cr4
	movl	$level4_table, %eax
	movl	%eax, %cr3
	movl	$MSR_EFER, %ecx
	movl	$EFER_LME_NXE, %eax
	xorl	%edx, %edx
	wrmsr
	movl	$CR0_ON, %eax
	movl	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$CODE_SELECTOR, $long_mode

bad_cpu:
	movl	$STATUS_BAD_CPU, DOORBELL + DOORBELL_EXIT
	jmp	bad_cpu

	.code64
long_mode:
	movl	$DATA_SELECTOR, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	$stack_top, %esp
	movl	$bss_start, %edi
	movl	$stack_top, %ecx
	subl	%edi, %ecx
	shrl	$3, %ecx
	xorl	%eax, %eax
	rep stosq
	movl	%esi, %ebx
	call	exceptions_install

	movl	%ebx, %edi
	call	guest_main
	movl	%eax, %edi
	call	guest_exit

	.data
	.balign	8
gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 64-bit code */
	.quad	0x00cf93000000ffff	/* data */
gdt_end:
gdt_pointer:
	.short	gdt_end - gdt - 1
	.long	gdt

	.section .note.GNU-stack, "", %progbits
