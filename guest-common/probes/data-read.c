// SPDX-License-Identifier: Apache-2.0
// The host writes through its own mapping, the guest reads.
#include "probes/probe.h"
#include "runtime/guest.h"
#include "runtime/window.h"

#define WORDS 8u

enum wcvmm_outcome probe_data_read(struct probe *probe)
{
	if (probe->registers) {
		probe->value[1] = load(probe->address);
		return WCVMM_OUTCOME_OK;
	}
	guest_sync(probe->index);
	/* The host's mapping may be cacheable where the guest's is not. */
	window_clean(probe->address);
	window_forget_translation(probe->address);
	for (wcvmm_u32 i = 0; i < WORDS; i++) {
		const wcvmm_u64 got = load(probe->address + 8 * i);

		if (got == wcvmm_pattern(probe->argument, i))
			continue;
		probe->value[0] = i;
		probe->value[1] = got;
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	probe->value[0] = WORDS;
	return WCVMM_OUTCOME_OK;
}
