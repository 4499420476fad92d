// SPDX-License-Identifier: Apache-2.0
// The probes that make sense in a program of Linux: what needs no privilege, and no host that takes part.
#include "probes/probe.h"

static probe_fn *const probes[] = {
	[WCVMM_PROBE_UNALIGNED_LOAD] = probe_unaligned_load,
	[WCVMM_PROBE_UNALIGNED_STORE] = probe_unaligned_store,
	[WCVMM_PROBE_NT_STORE] = probe_nt_store,
	[WCVMM_PROBE_NT_LOAD] = probe_nt_load,
};

probe_fn *probe_of(wcvmm_u32 probe)
{
	return probe < sizeof(probes) / sizeof(probes[0]) ? probes[probe] : 0;
}
