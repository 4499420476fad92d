// SPDX-License-Identifier: Apache-2.0
// How long loads and stores of the window take, and how long where the same bytes are mapped uncached: the way to the
// device is the same, so that the ratio is the type's. The VMM compares them. No cell may use two types' addresses at a
// time, so every line is flushed in between.
#include "probes/interval.h"
#include "probes/probe.h"
#include "probes/timing.h"
#include "runtime/window.h"

enum mapping { OWN, UNCACHED, MAPPINGS };

/* Both in each round: whatever else the machine does, it does to both of them. */
static void measure(const wcvmm_u64 *address, wcvmm_u64 intervals[MAPPINGS], timing_fn *timing)
{
	wcvmm_u32 samples[MAPPINGS][ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned mapping = 0; mapping < MAPPINGS; mapping++) {
			samples[mapping][round] = timing(address[mapping]);
			window_clean(address[mapping]);
		}
	for (unsigned mapping = 0; mapping < MAPPINGS; mapping++)
		intervals[mapping] = interval_of(samples[mapping]);
}

enum wcvmm_outcome probe_timing_class(struct probe *probe)
{
	const wcvmm_u64 address[MAPPINGS] = { probe->address, window_uncached(probe->address) };
	wcvmm_u64 loads[MAPPINGS], stores[MAPPINGS];

	measure(address, loads, timing_of_load);
	measure(address, stores, timing_of_store);
	probe->value[0] = loads[OWN];
	probe->value[1] = stores[OWN];
	probe->value[2] = loads[UNCACHED];
	probe->value[3] = stores[UNCACHED];
	return WCVMM_OUTCOME_OK;
}
