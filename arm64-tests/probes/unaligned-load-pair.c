// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"

enum wcvmm_outcome probe_unaligned_load_pair(struct probe *probe)
{
	wcvmm_u64 got[2];

	background_write(probe);
	__asm__ volatile("ldp %0, %1, [%2]" : "=&r"(got[0]), "=&r"(got[1]) : "r"(probe->address + 4) : "memory");
	return background_compare(probe, 4, got, 2);
}
