// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/window.h"

#define TRIES 64u

/*
 * A store-exclusive may fail now and then, so it is tried again. Where no monitor watches the memory it may also fail
 * for ever: then nothing was stored, and the outcome is wrong-data with value[0] = 1.
 */
enum wcvmm_outcome probe_exclusive(struct probe *probe)
{
	const wcvmm_u64 before = wcvmm_pattern(probe->address, 0);
	const wcvmm_u64 after = wcvmm_pattern(probe->address, 1);
	wcvmm_u64 seen;
	wcvmm_u32 failed = 1;

	store(probe->address, before);
	window_forget_translation(probe->address);
	for (wcvmm_u32 tries = 1; failed && tries <= TRIES; tries++) {
		/* One statement: between the two the compiler must put no access of its own. */
		__asm__ volatile("ldxr %0, [%2]\n\tstxr %w1, %3, [%2]"
				 : "=&r"(seen), "=&r"(failed) : "r"(probe->address), "r"(after) : "memory");
		probe->value[0] = failed;
		probe->value[1] = tries;
	}
	if (failed || seen != before || load(probe->address) != after)
		return WCVMM_OUTCOME_WRONG_DATA;
	return WCVMM_OUTCOME_OK;
}
