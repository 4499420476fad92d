/* SPDX-License-Identifier: Apache-2.0 */
/* What both assembly and C must know of the guest's address space. Stage 1 maps every address to itself. */
#ifndef MEMORY_MAP_H
#define MEMORY_MAP_H

#define RAM_BASE	0x40000000
#define DOORBELL	0x09000000

/* MAIR_EL1 slots; the VMM's stage-1 types follow from MAIR_WINDOW on. */
#define MAIR_RAM	0	/* Normal Write-Back */
#define MAIR_DOORBELL	1	/* Device-nGnRnE */
#define MAIR_WINDOW	2
#define MAIR_FIXED	0x00ff	/* the bytes of slots 1 and 0 */

/* 39 bits of virtual address: the walk starts at level 1, whose one table is `level1_table`. */
#define VA_BITS		39

#endif
