// SPDX-License-Identifier: Apache-2.0
// MOVNTI: write-combining where the type is not UC, WP or UC-, and weakly ordered until the fence.
#include "probes/line.h"

enum wcvmm_outcome probe_nt_store(struct probe *probe)
{
	line_spoil(probe);
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i++)
		__asm__ volatile("movnti %0, (%1)"
				 : : "r"(line_word(probe, i)), "r"(probe->address + 8 * i) : "memory");
	store_fence();
	return line_check(probe);
}
