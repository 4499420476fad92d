// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

enum wcvmm_outcome probe_store_bandwidth(struct probe *probe)
{
	const wcvmm_u64 start = ticks();

	for (wcvmm_u64 repetition = 0; repetition < probe->argument; repetition++)
		for (wcvmm_u64 at = probe->address; at < probe->address + STRETCH; at += 8)
			store(at, repetition);
	probe->value[1] = ticks() - start;
	probe->value[0] = probe->argument * STRETCH;
	probe->value[2] = ticks_per_second();
	return WCVMM_OUTCOME_OK;
}
