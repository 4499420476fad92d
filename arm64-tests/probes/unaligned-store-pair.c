// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"

enum wcvmm_outcome probe_unaligned_store_pair(struct probe *probe)
{
	const wcvmm_u64 words[] = { wcvmm_pattern(probe->address, 0), wcvmm_pattern(probe->address, 1) };

	background_write(probe);
	__asm__ volatile("stp %0, %1, [%2]" : : "r"(words[0]), "r"(words[1]), "r"(probe->address + 4) : "memory");
	return background_check_store(probe, 4, words, 2);
}
