// SPDX-License-Identifier: Apache-2.0
// One memory type is live at a time: two of one location would be mismatched attributes, whose coherency is lost (Arm
// ARM, "Mismatched memory attributes").
#include "runtime/window.h"
#include "runtime/cpu.h"
#include "runtime/memory-map.h"

#define PAGE_BYTES	4096ull
#define ENTRIES		512u
#define LOWEST_WINDOW	0x100000000ull	/* the first level-1 entry that RAM and the doorbell do not use */

#define DESC_TABLE	3ull
#define DESC_PAGE	3ull
#define DESC_ADDRESS	0x0000fffffffff000ull
#define DESC_ACCESSED	(1ull << 10)
#define DESC_INNER	(3ull << 8)
#define DESC_NO_EXECUTE	(3ull << 53)

extern wcvmm_u64 level1_table[ENTRIES];

/* A stretch touches at most two pages, so at most two tables of each of levels 2 and 3. */
static wcvmm_u64 pool[4][ENTRIES] __attribute__((aligned(4096)));
static unsigned pool_used;

static unsigned entry_of(wcvmm_u64 address, unsigned level)
{
	return address >> (39 - 9 * level) & (ENTRIES - 1);
}

static wcvmm_u64 page_of(wcvmm_u64 address)
{
	return address & ~(PAGE_BYTES - 1);
}

static void publish(volatile wcvmm_u64 *entry, wcvmm_u64 descriptor)
{
	*entry = descriptor;
	__asm__ volatile("dsb ishst\n\tisb" : : : "memory");
}

static wcvmm_u64 *next_table(wcvmm_u64 *entry)
{
	if (!*entry)
		publish(entry, (wcvmm_u64)pool[pool_used++] | DESC_TABLE);
	return (wcvmm_u64 *)(*entry & DESC_ADDRESS);
}

static void invalidate_tlb(wcvmm_u64 address)
{
	__asm__ volatile("dsb ishst" : : : "memory");
	for (wcvmm_u64 page = page_of(address); page < address + STRETCH; page += PAGE_BYTES)
		__asm__ volatile("tlbi vaae1is, %0" : : "r"(page >> 12) : "memory");
	__asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

int window_set_types(const wcvmm_u8 *types, wcvmm_u32 count)
{
	wcvmm_u64 mair = MAIR_FIXED;

	for (wcvmm_u32 i = 0; i < count; i++)
		mair |= (wcvmm_u64)types[i] << 8 * (MAIR_WINDOW + i);
	write_sysreg(mair_el1, mair);
	return 1;	/* every byte is legal in MAIR_EL1 */
}

int window_is_mappable(wcvmm_u64 gpa, wcvmm_u64 length)
{
	const wcvmm_u64 end = 1ull << VA_BITS;

	return gpa >= LOWEST_WINDOW && gpa < end && length <= end - gpa && gpa % PAGE_BYTES == 0 &&
	       length % PAGE_BYTES == 0;
}

wcvmm_u64 window_map(wcvmm_u64 gpa, wcvmm_u32 type, int executable)
{
	const wcvmm_u64 attributes = DESC_PAGE | DESC_ACCESSED | DESC_INNER | (MAIR_WINDOW + type) << 2 |
				     (executable ? 0 : DESC_NO_EXECUTE);

	for (wcvmm_u64 page = page_of(gpa); page < gpa + STRETCH; page += PAGE_BYTES) {
		wcvmm_u64 *level2 = next_table(&level1_table[entry_of(page, 1)]);
		wcvmm_u64 *level3 = next_table(&level2[entry_of(page, 2)]);

		publish(&level3[entry_of(page, 3)], page | attributes);
	}
	/* Lines that the host or an earlier type left in a cache must not be what this type reads. */
	window_clean(gpa);
	return gpa;
}

void window_unmap(wcvmm_u64 address)
{
	window_clean(address);
	for (wcvmm_u64 page = page_of(address); page < address + STRETCH; page += PAGE_BYTES)
		publish(&level1_table[entry_of(page, 1)], 0);
	invalidate_tlb(address);
	for (unsigned table = 0; table < pool_used; table++)
		for (unsigned entry = 0; entry < ENTRIES; entry++)
			pool[table][entry] = 0;
	pool_used = 0;
}

void window_clean(wcvmm_u64 address)
{
	const wcvmm_u64 line = 4ull << (read_sysreg(ctr_el0) >> 16 & 15);

	__asm__ volatile("dsb sy" : : : "memory");
	for (wcvmm_u64 at = address & ~(line - 1); at < address + STRETCH; at += line)
		__asm__ volatile("dc civac, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb sy" : : : "memory");
}

/* QEMU's TLB loses the cause of an alignment fault on a hit: then Device does not fault, or at the wrong level. */
void window_forget_translation(wcvmm_u64 address)
{
	__asm__ volatile("dsb sy" : : : "memory");
	invalidate_tlb(address);
}
