// SPDX-License-Identifier: Apache-2.0
// MOVDIR64B: 64 bytes as one write, of any memory type.
#include "probes/line.h"

#define CPUID_7_ECX_MOVDIR64B	(1u << 28)

enum wcvmm_outcome probe_direct_store(struct probe *probe)
{
	wcvmm_u64 source[LINE_WORDS];

	if (!(cpuid(7).ecx & CPUID_7_ECX_MOVDIR64B))
		return WCVMM_OUTCOME_NOT_PRESENT;
	line_spoil(probe);
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i++)
		source[i] = line_word(probe, i);
	__asm__ volatile("movdir64b (%0), %1" : : "r"(source), "r"(probe->address) : "memory");
	store_fence();
	return line_check(probe);
}
