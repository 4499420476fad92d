// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"

enum wcvmm_outcome probe_unaligned_store(struct probe *probe)
{
	const wcvmm_u64 word = wcvmm_pattern(probe->address, 0);

	background_write(probe);
	store(probe->address + 1, word);
	return background_check_store(probe, 1, &word, 1);
}
