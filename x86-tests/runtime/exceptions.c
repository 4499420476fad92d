// SPDX-License-Identifier: Apache-2.0
// The interrupt descriptor table: made at start, because a gate splits an address in a way that no relocation can.
#include "runtime/guest.h"
#include "runtime/memory-map.h"

#define EXCEPTIONS	32u
#define ENTRY_BYTES	16u
#define INTERRUPT_GATE	0x8e00u	/* present, ring 0 */

struct gate {
	wcvmm_u32 low;		/* selector, address bits 15:0 */
	wcvmm_u32 middle;	/* address bits 31:16, kind */
	wcvmm_u32 high;
	wcvmm_u32 reserved;
};

struct table_register {
	unsigned short limit;
	wcvmm_u64 base;
} __attribute__((packed));

extern const wcvmm_u8 vectors[EXCEPTIONS * ENTRY_BYTES];

static struct gate gates[EXCEPTIONS] __attribute__((aligned(16)));

void exceptions_install(void)
{
	const struct table_register idtr = { .limit = sizeof(gates) - 1, .base = (wcvmm_u64)gates };

	for (unsigned i = 0; i < EXCEPTIONS; i++) {
		const wcvmm_u64 entry = (wcvmm_u64)&vectors[i * ENTRY_BYTES];

		gates[i] = (struct gate){
			.low = (wcvmm_u32)CODE_SELECTOR << 16 | (entry & 0xffff),
			.middle = (entry & 0xffff0000) | INTERRUPT_GATE,
			.high = (wcvmm_u32)(entry >> 32),
		};
	}
	__asm__ volatile("lidt %0" : : "m"(idtr));
}
