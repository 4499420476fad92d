// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"
#include "probes/simd.h"

enum wcvmm_outcome probe_unaligned_store_simd(struct probe *probe)
{
	const wcvmm_u64 words[] = { wcvmm_pattern(probe->address, 0), wcvmm_pattern(probe->address, 1) };

	background_write(probe);
	store_simd(probe->address + 1, words);
	return background_check_store(probe, 1, words, 2);
}
