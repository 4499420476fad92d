// SPDX-License-Identifier: Apache-2.0
// Names the window's memory type from how long its loads and stores take beside those of memory whose type is known.
#include "probes/classify.h"
#include "probes/probe.h"
#include "probes/timing.h"
#include "runtime/window.h"

#define ROUNDS 17u	/* odd, so that a median is one of the measurements */

static wcvmm_u8 write_back[STRETCH] __attribute__((aligned(4096)));

enum memory { WINDOW, WB, UC, MEMORIES };

/* All three in each round: whatever else the machine does, it does to all of them. */
static void measure(const wcvmm_u64 *address, wcvmm_u32 medians[MEMORIES], timing_fn *timing)
{
	wcvmm_u32 samples[MEMORIES][ROUNDS];

	for (unsigned round = 0; round < ROUNDS; round++)
		for (unsigned memory = 0; memory < MEMORIES; memory++)
			samples[memory][round] = timing(address[memory]);
	for (unsigned memory = 0; memory < MEMORIES; memory++)
		medians[memory] = median(samples[memory], ROUNDS);
}

enum wcvmm_outcome probe_timing_class(struct probe *probe)
{
	const wcvmm_u64 address[MEMORIES] = { probe->address, (wcvmm_u64)write_back, UNCACHED_RAM };
	wcvmm_u32 loads[MEMORIES], stores[MEMORIES];

	measure(address, loads, timing_of_load);
	measure(address, stores, timing_of_store);
	probe->value[0] = classify(likeness_of(loads[WINDOW], loads[WB], loads[UC]),
				   likeness_of(stores[WINDOW], stores[WB], stores[UC]));
	for (unsigned memory = 0; memory < MEMORIES; memory++)
		probe->value[1 + memory] = (wcvmm_u64)stores[memory] << 32 | loads[memory];
	return WCVMM_OUTCOME_OK;
}
