// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define STEP 64u

enum wcvmm_outcome probe_load_latency(struct probe *probe)
{
	const wcvmm_u64 start = ticks();

	for (wcvmm_u64 repetition = 0; repetition < probe->argument; repetition++) {
		wcvmm_u64 at = probe->address;

		while (at < probe->address + STRETCH) {
			at = after(at, load(at)) + STEP;
		}
	}
	probe->value[1] = ticks() - start;
	probe->value[0] = probe->argument * (STRETCH / STEP);
	probe->value[2] = ticks_per_second();
	return WCVMM_OUTCOME_OK;
}
