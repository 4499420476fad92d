// SPDX-License-Identifier: Apache-2.0
// Reads back what stage 1 gives the address: what the other probes of this type rest on.
#include "probes/probe.h"

#define ENTRY_ADDRESS	0x000ffffffffff000ull

/* The entry that maps the address's 4 KiB page, found as the CPU finds it: from CR3 down. 0 when nothing maps it. */
static wcvmm_u64 walk(wcvmm_u64 address)
{
	wcvmm_u64 entry = read_cr3();

	for (int shift = 39; shift >= 12; shift -= 9) {
		entry = load((entry & ENTRY_ADDRESS) + 8 * (address >> shift & 511));
		if (!(entry & PTE_PRESENT))
			return 0;
	}
	return entry;
}

enum wcvmm_outcome probe_stage1_self_check(struct probe *probe)
{
	const wcvmm_u64 pat = read_msr(MSR_PAT);
	const wcvmm_u64 entry = walk(probe->address);
	const unsigned index = (entry & PTE_PWT ? 1 : 0) | (entry & PTE_PCD ? 2 : 0) | (entry & PTE_PAT ? 4 : 0);

	probe->value[0] = pat;
	probe->value[1] = entry;
	if (!entry || (pat >> 8 * index & 0xff) != probe->stage1)
		return WCVMM_OUTCOME_WRONG_DATA;
	return WCVMM_OUTCOME_OK;
}
