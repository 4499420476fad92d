// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"

static probe_fn *const probes[] = {
	[WCVMM_PROBE_STAGE1_SELF_CHECK] = probe_stage1_self_check,
	[WCVMM_PROBE_UNALIGNED_LOAD] = probe_unaligned_load,
	[WCVMM_PROBE_UNALIGNED_STORE] = probe_unaligned_store,
	[WCVMM_PROBE_UNALIGNED_LOAD_SIMD] = probe_unaligned_load_simd,
	[WCVMM_PROBE_UNALIGNED_STORE_SIMD] = probe_unaligned_store_simd,
	[WCVMM_PROBE_UNALIGNED_LOAD_PAIR] = probe_unaligned_load_pair,
	[WCVMM_PROBE_UNALIGNED_STORE_PAIR] = probe_unaligned_store_pair,
	[WCVMM_PROBE_SIMD_HALF_ALIGNED] = probe_simd_half_aligned,
	[WCVMM_PROBE_ZERO_BLOCK] = probe_zero_block,
	[WCVMM_PROBE_EXCLUSIVE] = probe_exclusive,
	[WCVMM_PROBE_ATOMIC] = probe_atomic,
	[WCVMM_PROBE_FETCH] = probe_fetch,
	[WCVMM_PROBE_DATA_READ] = probe_data_read,
	[WCVMM_PROBE_DATA_WRITE] = probe_data_write,
	[WCVMM_PROBE_TAG_RETENTION] = probe_tag_retention,
	[WCVMM_PROBE_STORE_BANDWIDTH] = probe_store_bandwidth,
	[WCVMM_PROBE_LOAD_LATENCY] = probe_load_latency,
};

probe_fn *probe_of(wcvmm_u32 probe)
{
	return probe < sizeof(probes) / sizeof(probes[0]) ? probes[probe] : 0;
}
