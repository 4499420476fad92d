// SPDX-License-Identifier: Apache-2.0
// A 128-bit register must be 16-byte aligned in Device memory, although 8 would do for each of its halves.
#include "probes/background.h"
#include "probes/simd.h"

enum wcvmm_outcome probe_simd_half_aligned(struct probe *probe)
{
	wcvmm_u64 got[2];

	background_write(probe);
	load_simd(probe->address + 8, got);
	return background_compare(probe, 8, got, 2);
}
