// SPDX-License-Identifier: Apache-2.0
// A stretch has a virtual address for each of the VMM's types, all live at once. The SDM does not support that (vol. 3A,
// "Programming the PAT": a WC write may not check the caches), and a guest can do it all the same. What keeps the
// answers right: a cell uses one type's address only, and every line of the stretch is flushed before it and after it.
#include "runtime/window.h"
#include "runtime/cpu.h"
#include "runtime/memory-map.h"

#define PAGE_BYTES	4096ull
#define LOWEST_WINDOW	0x100000000ull
#define ADDRESS_END	(1ull << 39)

extern volatile wcvmm_u64 window_table[512];

static wcvmm_u32 types_in_use;

static wcvmm_u64 address_of(wcvmm_u32 type)
{
	return WINDOW_BASE + type * WINDOW_PAGES * PAGE_BYTES;
}

/* After the VMM's types: the same bytes through the runtime's own uncached type. */
#define UNCACHED_SLOT WCVMM_MAX_STAGE1

static wcvmm_u64 page_of(wcvmm_u64 address)
{
	return address & ~(PAGE_BYTES - 1);
}

static wcvmm_u64 pat_bits(wcvmm_u32 entry)
{
	return (entry & 1 ? PTE_PWT : 0) | (entry & 2 ? PTE_PCD : 0) | (entry & 4 ? PTE_PAT : 0);
}

static void invalidate_tlb(wcvmm_u64 address)
{
	for (wcvmm_u64 page = page_of(address); page < address + STRETCH; page += PAGE_BYTES)
		__asm__ volatile("invlpg (%0)" : : "r"(page) : "memory");
}

static int is_pat_type(wcvmm_u8 type)
{
	return type <= 7 && type != 2 && type != 3;
}

int window_set_types(const wcvmm_u8 *types, wcvmm_u32 count)
{
	wcvmm_u64 pat = read_msr(MSR_PAT);

	for (wcvmm_u32 i = 0; i < count; i++) {
		if (!is_pat_type(types[i]))
			return 0;
		pat &= ~(0xffull << 8 * (PAT_WINDOW + i));
		pat |= (wcvmm_u64)types[i] << 8 * (PAT_WINDOW + i);
	}
	/* No translation uses a changed entry yet, and none that speculation may have made of one must stay. */
	__asm__ volatile("wbinvd" : : : "memory");
	write_msr(MSR_PAT, pat);
	__asm__ volatile("wbinvd\n\tmov %0, %%cr3" : : "r"(read_cr3()) : "memory");
	types_in_use = count;
	return 1;
}

int window_is_mappable(wcvmm_u64 gpa, wcvmm_u64 length)
{
	return gpa >= LOWEST_WINDOW && gpa < ADDRESS_END && length <= ADDRESS_END - gpa && gpa % PAGE_BYTES == 0 &&
	       length % PAGE_BYTES == 0;
}

static void map_slot(wcvmm_u32 slot, wcvmm_u64 gpa, wcvmm_u64 bits)
{
	volatile wcvmm_u64 *entry = &window_table[slot * WINDOW_PAGES];

	for (wcvmm_u64 page = page_of(gpa); page < gpa + STRETCH; page += PAGE_BYTES)
		*entry++ = page | bits;
}

static void unmap_slot(wcvmm_u32 slot, wcvmm_u64 in_page)
{
	for (unsigned page = 0; page < WINDOW_PAGES; page++)
		window_table[slot * WINDOW_PAGES + page] = 0;
	invalidate_tlb(address_of(slot) + in_page);
}

wcvmm_u64 window_map(wcvmm_u64 gpa, wcvmm_u32 type, int executable)
{
	const wcvmm_u64 bits = PTE_PRESENT | PTE_WRITABLE | PTE_USED | (executable ? 0 : 1ull << PTE_NO_EXECUTE_BIT);
	const wcvmm_u64 address = address_of(type) + gpa % PAGE_BYTES;

	for (wcvmm_u32 each = 0; each < types_in_use; each++)
		map_slot(each, gpa, bits | pat_bits(PAT_WINDOW + each));
	map_slot(UNCACHED_SLOT, gpa, bits | pat_bits(PAT_DOORBELL));
	window_clean(address);
	return address;
}

wcvmm_u64 window_uncached(wcvmm_u64 address)
{
	return address_of(UNCACHED_SLOT) + address % PAGE_BYTES;
}

void window_unmap(wcvmm_u64 address)
{
	window_clean(address);
	for (wcvmm_u32 each = 0; each < types_in_use; each++)
		unmap_slot(each, address % PAGE_BYTES);
	unmap_slot(UNCACHED_SLOT, address % PAGE_BYTES);
}

void window_clean(wcvmm_u64 address)
{
	static wcvmm_u64 line;

	if (!line)
		line = (cpuid(1).ebx >> 8 & 0xff) * 8;
	full_barrier();
	for (wcvmm_u64 at = address & ~(line - 1); at < address + STRETCH; at += line)
		flush_line(at);
	full_barrier();
}

void window_forget_translation(wcvmm_u64 address)
{
	invalidate_tlb(address);
}
