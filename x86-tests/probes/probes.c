// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"

static probe_fn *const probes[] = {
	[WCVMM_PROBE_STAGE1_SELF_CHECK] = probe_stage1_self_check,
	[WCVMM_PROBE_UNALIGNED_LOAD] = probe_unaligned_load,
	[WCVMM_PROBE_UNALIGNED_STORE] = probe_unaligned_store,
	[WCVMM_PROBE_ATOMIC] = probe_atomic,
	[WCVMM_PROBE_DATA_READ] = probe_data_read,
	[WCVMM_PROBE_DATA_WRITE] = probe_data_write,
	[WCVMM_PROBE_STORE_BANDWIDTH] = probe_store_bandwidth,
	[WCVMM_PROBE_LOAD_LATENCY] = probe_load_latency,
	[WCVMM_PROBE_NT_STORE] = probe_nt_store,
	[WCVMM_PROBE_NT_LOAD] = probe_nt_load,
	[WCVMM_PROBE_DIRECT_STORE] = probe_direct_store,
	[WCVMM_PROBE_CACHE_FLUSH] = probe_cache_flush,
	[WCVMM_PROBE_FENCE_VISIBILITY] = probe_fence_visibility,
	[WCVMM_PROBE_LOCKED_ACCESS] = probe_locked_access,
	[WCVMM_PROBE_TIMING_CLASS] = probe_timing_class,
};

probe_fn *probe_of(wcvmm_u32 probe)
{
	return probe < sizeof(probes) / sizeof(probes[0]) ? probes[probe] : 0;
}
