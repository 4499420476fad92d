// SPDX-License-Identifier: Apache-2.0
// An aligned LOCK XADD. Of memory that is not write-back it locks the bus, which a VMM may be told of, and which a CPU
// may be set to refuse (SDM vol. 3A, "Bus Locking").
#include "probes/probe.h"

enum wcvmm_outcome probe_locked_access(struct probe *probe)
{
	const wcvmm_u64 before = wcvmm_pattern(probe->address, 2);
	const wcvmm_u64 addend = wcvmm_pattern(probe->address, 3);
	wcvmm_u64 seen = addend;

	store(probe->address, before);
	__asm__ volatile("lock xaddq %0, (%1)" : "+r"(seen) : "r"(probe->address) : "memory", "cc");
	if (seen == before && load(probe->address) == before + addend)
		return WCVMM_OUTCOME_OK;
	probe->value[0] = seen;
	probe->value[1] = load(probe->address);
	return WCVMM_OUTCOME_WRONG_DATA;
}
