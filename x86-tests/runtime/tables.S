/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 1, complete in the image but for the windows' pages. */
#include "runtime/memory-map.h"

#define NO_EXECUTE	(1 << PTE_NO_EXECUTE_BIT)
#define TABLE		(PTE_PRESENT | PTE_WRITABLE | PTE_USED)
#define RAM_WB		(TABLE | PTE_LARGE)
#define DOORBELL_UC	(TABLE | PTE_PAT | PTE_PCD | PTE_PWT | NO_EXECUTE)

	.data
	.balign	4096
	.global level4_table
level4_table:
	.quad	level3 + TABLE
	.fill	511, 8, 0
level3:
	.quad	level2_low + TABLE
	.quad	level2_ram + TABLE
	.quad	level2_windows + TABLE
	.fill	509, 8, 0
level2_low:
	.fill	DOORBELL >> 21, 8, 0
	.quad	level1_low + TABLE
	.fill	511 - (DOORBELL >> 21), 8, 0
level1_low:
	.quad	DOORBELL + DOORBELL_UC
	.fill	511, 8, 0
level2_ram:
	.quad	RAM_BASE + RAM_WB
	.fill	511, 8, 0
level2_windows:
	.quad	window_table + TABLE
	.fill	511, 8, 0
	.global window_table
window_table:
	.fill	512, 8, 0

	.section .note.GNU-stack, "", %progbits
