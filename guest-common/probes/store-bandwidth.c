// SPDX-License-Identifier: Apache-2.0
#include "probes/measure.h"
#include "probes/probe.h"
#include "runtime/cpu.h"

/* Each repetition ends when its stores have arrived, as a driver's burst does before its doorbell. */
enum wcvmm_outcome probe_store_bandwidth(struct probe *probe)
{
	const struct measure measure = measure_of(probe->argument, WORD_BYTES);
	const wcvmm_u64 start = ticks();

	for (wcvmm_u64 repetition = 0; repetition < measure.repetitions; repetition++) {
		for (wcvmm_u64 at = probe->address; at < probe->address + measure.size; at += measure.stride)
			store(at, repetition);
		full_barrier();
	}
	probe->value[1] = ticks() - start;
	probe->value[0] = measure_accesses(&measure) * WORD_BYTES;
	probe->value[2] = ticks_per_second();
	return WCVMM_OUTCOME_OK;
}
