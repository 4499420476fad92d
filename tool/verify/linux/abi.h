/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the VMM and the program that is /init of a Linux guest (guest-common/program) agree on, beside the cells and
 * records of ../guest/abi.h. tool/verify/linux/abi.ts is the same in TypeScript; test/linux-abi.test.ts compares.
 *
 *   WCVMM_LINUX_QUESTIONS     a file of the initramfs: struct wcvmm_linux_questions and its cells
 *   log pages                 struct wcvmm_linux_page, 4096 bytes aligned to 4096, anywhere in guest RAM. A program of
 *                             Linux cannot choose where, so the VMM finds them by their mark
 *
 * The contents of the log pages, one behind the other, are a struct wcvmm_log with as many records as there are cells,
 * and behind them text. Guest RAM is cacheable and shared, so it takes neither a console nor a driver to read it, and it
 * is still there where the VM died.
 */
#ifndef WCVMM_LINUX_ABI_H
#define WCVMM_LINUX_ABI_H

#include "../guest/abi.h"

#define WCVMM_LINUX_QUESTIONS	"/questions"
#define WCVMM_LINUX_MAGIC	0x314c4d5643570000ull
#define WCVMM_LINUX_MAX_WINDOWS	17u		/* one is the control */
#define WCVMM_LINUX_MAX_TEXT	0x8000ull	/* bytes; longer text is cut, and its last byte is not a newline */
#define WCVMM_LINUX_PAGE_SIZE	4096u
#define WCVMM_LINUX_CONTENT	4032u		/* bytes of a page's content: 63 records, none of which is on two pages */

/* cell.stage1: which file of sysfs the probe maps; 0 too for the control, which is the program's own memory. */
#define WCVMM_LINUX_RESOURCE	0u		/* resourceN */
#define WCVMM_LINUX_RESOURCE_WC	1u		/* resourceN_wc */

/* record.syndrome of WCVMM_OUTCOME_NOT_PRESENT where no access was made: what failed, and behind it the errno. */
#define WCVMM_LINUX_NOT_OPENED	0x10000ull
#define WCVMM_LINUX_NOT_MAPPED	0x20000ull
#define WCVMM_LINUX_NOT_LISTED	0x30000ull	/* stage1-self-check: the kernel shows no memory types */

/* wcvmm_log.reserved[]: */
#define WCVMM_LINUX_BOOT_NS	0u		/* CLOCK_BOOTTIME when the program began */
#define WCVMM_LINUX_TEXT_LENGTH	1u

#ifndef __ASSEMBLER__

struct wcvmm_linux_window {
	char device[16];	/* PCI address in the guest, zeros behind it; empty: the control */
	wcvmm_u32 bar;
	wcvmm_u32 reserved;
	wcvmm_u64 offset;	/* bytes of the BAR where the window starts */
};

struct wcvmm_linux_questions {
	wcvmm_u64 magic;
	wcvmm_u64 mark[2];	/* random; a log page has the complement, since this is in RAM too */
	wcvmm_u32 window_count;
	wcvmm_u32 cell_count;
	struct wcvmm_linux_window windows[WCVMM_LINUX_MAX_WINDOWS];
	/*
	 * cell.argument of stage1-self-check: the PAT type that the mapping must have on record (x86), value[0] is what it
	 * has, 0xff none.
	 */
	struct wcvmm_cell cells[];
};

struct wcvmm_linux_page {
	wcvmm_u64 mark[2];
	wcvmm_u32 index;
	wcvmm_u32 page_count;
	wcvmm_u64 reserved[5];
	wcvmm_u8 content[WCVMM_LINUX_CONTENT];
};

#endif /* !__ASSEMBLER__ */

#endif
