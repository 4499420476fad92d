/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 1 of RAM and the doorbell, complete in the image: the MMU can be turned on before the first store. */
#include "runtime/memory-map.h"

#define TABLE		3
#define PAGE		3
#define BLOCK		1
#define ACCESSED	(1 << 10)
#define INNER_SHAREABLE	(3 << 8)
#define NEVER_EXECUTE	(3 << 53)
#define SLOT(n)		((n) << 2)

#define RAM(n)		(RAM_BASE + (n) * 0x200000 + (BLOCK | ACCESSED | INNER_SHAREABLE | SLOT(MAIR_RAM)))

	.data
	.balign	4096
	.global level1_table
level1_table:
	.quad	level2_low + TABLE
	.quad	level2_ram + TABLE
	.fill	510, 8, 0
level2_ram:
	.quad	RAM(0), RAM(1)
	.fill	510, 8, 0
level2_low:
	.fill	DOORBELL >> 21, 8, 0
	.quad	level3_low + TABLE
	.fill	511 - (DOORBELL >> 21), 8, 0
level3_low:
	.quad	DOORBELL + (PAGE | ACCESSED | SLOT(MAIR_DOORBELL) | NEVER_EXECUTE)
	.fill	511, 8, 0

	.section .note.GNU-stack, "", %progbits
