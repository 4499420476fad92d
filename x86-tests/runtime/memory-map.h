/* SPDX-License-Identifier: Apache-2.0 */
/* What both assembly and C must know of the guest's address space: RAM and the doorbell are mapped to themselves. */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

#define RAM_BASE	0x40000000
#define DOORBELL	0x09000000

/* The windows' one page table: WINDOW_PAGES pages of it for each type. */
#define WINDOW_BASE	0x80000000
#define WINDOW_PAGES	4

/* Entries of the PAT. The VMM's types are between the two that the runtime needs, which are as after a reset. */
#define PAT_RAM		0	/* WB */
#define PAT_WINDOW	1
#define PAT_DOORBELL	7	/* UC: the doorbell, and what timing-class compares with */

/* Bits of a page table's entry (SDM vol. 3A, "Paging-Structure Entries"). */
#define PTE_PRESENT	0x001
#define PTE_WRITABLE	0x002
#define PTE_PWT		0x008
#define PTE_PCD		0x010
#define PTE_USED	0x060	/* accessed, dirty: the CPU need not write them */
#define PTE_PAT		0x080	/* of a 4 KiB page */
#define PTE_LARGE	0x080	/* of a level-2 entry: a 2 MiB page */
#define PTE_NO_EXECUTE_BIT 63

/* From abi.h, whose numbers have suffixes that the assembler does not know; cpu.h compares them. */
#define DOORBELL_EXIT	0x008
#define STATUS_BAD_CPU	3

#define CODE_SELECTOR	0x08
#define DATA_SELECTOR	0x10

#endif
