// SPDX-License-Identifier: Apache-2.0
// After SFENCE and nothing else the host looks through its own mapping and judges: OK here only says that nothing
// faulted. Write-back memory shows its stores only to a mapping that is coherent with it.
#include "probes/probe.h"
#include "runtime/guest.h"

#define WORDS 8u

enum wcvmm_outcome probe_fence_visibility(struct probe *probe)
{
	for (wcvmm_u32 i = 0; i < WORDS; i++)
		store(probe->address + 8 * i, wcvmm_pattern(~probe->argument, i));
	store_fence();
	ring(WCVMM_DOORBELL_SYNC, probe->index);
	return WCVMM_OUTCOME_OK;
}
