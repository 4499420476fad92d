// SPDX-License-Identifier: Apache-2.0
// The probes that make sense in a program of Linux: what needs no privilege, and no host that takes part.
#include "probes/probe.h"

static probe_fn *const probes[] = {
	[WCVMM_PROBE_UNALIGNED_LOAD] = probe_unaligned_load,
	[WCVMM_PROBE_UNALIGNED_STORE] = probe_unaligned_store,
	[WCVMM_PROBE_UNALIGNED_LOAD_SIMD] = probe_unaligned_load_simd,
	[WCVMM_PROBE_UNALIGNED_STORE_SIMD] = probe_unaligned_store_simd,
	[WCVMM_PROBE_UNALIGNED_LOAD_PAIR] = probe_unaligned_load_pair,
	[WCVMM_PROBE_UNALIGNED_STORE_PAIR] = probe_unaligned_store_pair,
	[WCVMM_PROBE_SIMD_HALF_ALIGNED] = probe_simd_half_aligned,
	[WCVMM_PROBE_ZERO_BLOCK] = probe_zero_block,
};

probe_fn *probe_of(wcvmm_u32 probe)
{
	return probe < sizeof(probes) / sizeof(probes[0]) ? probes[probe] : 0;
}
