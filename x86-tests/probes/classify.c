// SPDX-License-Identifier: Apache-2.0
#include "probes/classify.h"

enum pat_type { PAT_UC = 0, PAT_WC = 1, PAT_WT = 4, PAT_WB = 6 };

wcvmm_u32 median(wcvmm_u32 *samples, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const wcvmm_u32 moved = samples[i];
		unsigned at = i;

		for (; at > 0 && samples[at - 1] > moved; at--)
			samples[at] = samples[at - 1];
		samples[at] = moved;
	}
	return samples[count / 2];
}

enum likeness likeness_of(wcvmm_u32 duration, wcvmm_u32 wb, wcvmm_u32 uc)
{
	const wcvmm_u64 middle = (wcvmm_u64)wb * uc;	/* the square of the geometric mean */
	const wcvmm_u64 square = (wcvmm_u64)duration * duration;

	if (uc / 4 < wb)
		return LIKE_NEITHER;
	if (2 * square <= middle)
		return LIKE_WB;
	return square >= 2 * middle ? LIKE_UC : LIKE_NEITHER;
}

wcvmm_u8 classify(enum likeness load, enum likeness store)
{
	if (load == LIKE_NEITHER || store == LIKE_NEITHER)
		return TYPE_UNKNOWN;
	if (load == LIKE_WB)
		return store == LIKE_WB ? PAT_WB : PAT_WT;
	return store == LIKE_WB ? PAT_WC : PAT_UC;
}
