// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"

enum wcvmm_outcome probe_atomic(struct probe *probe)
{
	const wcvmm_u64 before = wcvmm_pattern(probe->address, 0);
	const wcvmm_u64 addend = wcvmm_pattern(probe->address, 1);

	store(probe->address, before);
	__asm__ volatile("lock addq %0, (%1)" : : "r"(addend), "r"(probe->address) : "memory", "cc");
	if (load(probe->address) == before + addend)
		return WCVMM_OUTCOME_OK;
	probe->value[0] = load(probe->address);
	return WCVMM_OUTCOME_WRONG_DATA;
}
