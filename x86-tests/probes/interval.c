// SPDX-License-Identifier: Apache-2.0
#include "probes/interval.h"

#define OUTSIDE 4u	/* samples on either side of the interval */

wcvmm_u64 interval_of(wcvmm_u32 samples[ROUNDS])
{
	for (unsigned i = 1; i < ROUNDS; i++) {
		const wcvmm_u32 moved = samples[i];
		unsigned at = i;

		for (; at > 0 && samples[at - 1] > moved; at--)
			samples[at] = samples[at - 1];
		samples[at] = moved;
	}
	return (wcvmm_u64)samples[ROUNDS - 1 - OUTSIDE] << 32 | samples[OUTSIDE];
}
