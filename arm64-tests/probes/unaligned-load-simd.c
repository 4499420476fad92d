// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"
#include "probes/simd.h"

enum wcvmm_outcome probe_unaligned_load_simd(struct probe *probe)
{
	wcvmm_u64 got[2];

	background_write(probe);
	load_simd(probe->address + 1, got);
	return background_compare(probe, 1, got, 2);
}
