// SPDX-License-Identifier: Apache-2.0
// MOVNTDQA: reads a line of WC memory into a buffer of its own, and is an ordinary load of any other type.
#include "probes/line.h"

#define CPUID_1_ECX_SSE41	(1u << 19)

enum wcvmm_outcome probe_nt_load(struct probe *probe)
{
	if (!(cpuid(1).ecx & CPUID_1_ECX_SSE41))
		return WCVMM_OUTCOME_NOT_PRESENT;
	line_write(probe);
	/* A streaming load may be answered by a buffer that was filled before this. */
	full_barrier();
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i += 2) {
		wcvmm_u64 got[2];

		/* The compiler is told to use no SIMD register, so xmm0 is free. */
		__asm__ volatile("movntdqa (%2), %%xmm0\n\tmovq %%xmm0, %0\n\tpsrldq $8, %%xmm0\n\tmovq %%xmm0, %1"
				 : "=&r"(got[0]), "=&r"(got[1]) : "r"(probe->address + 8 * i) : "memory");
		for (wcvmm_u32 half = 0; half < 2; half++) {
			if (got[half] == line_word(probe, i + half))
				continue;
			probe->value[0] = i + half;
			probe->value[1] = got[half];
			return WCVMM_OUTCOME_WRONG_DATA;
		}
	}
	return WCVMM_OUTCOME_OK;
}
