// SPDX-License-Identifier: Apache-2.0
#include "probes/measure.h"
#include "probes/probe.h"
#include "runtime/cpu.h"

#define LINE_BYTES 64u

/*
 * Loads that each wait for the one before. With a store first, each load is of what was just stored, behind a barrier:
 * what it takes is the way of the store to memory and of the answer back.
 */
enum wcvmm_outcome probe_load_latency(struct probe *probe)
{
	const struct measure measure = measure_of(probe->argument, LINE_BYTES);
	const wcvmm_u64 start = ticks();

	for (wcvmm_u64 repetition = 0; repetition < measure.repetitions; repetition++) {
		wcvmm_u64 at = probe->address;

		while (at < probe->address + measure.size) {
			if (measure.store_first) {
				store(at, repetition);
				full_barrier();
			}
			at = after(at, load(at)) + measure.stride;
		}
	}
	probe->value[1] = ticks() - start;
	probe->value[0] = measure_accesses(&measure);
	probe->value[2] = ticks_per_second();
	return WCVMM_OUTCOME_OK;
}
