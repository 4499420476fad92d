// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"

enum wcvmm_outcome probe_unaligned_load(struct probe *probe)
{
	background_write(probe);

	const wcvmm_u64 got = load(probe->address + 1);

	return background_compare(probe, 1, &got, 1);
}
