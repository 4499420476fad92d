// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/window.h"

#define RET 0xd65f03c0u

enum wcvmm_outcome probe_fetch(struct probe *probe)
{
	wcvmm_u32 instruction;

	__asm__ volatile("str %w0, [%1]" : : "r"(RET), "r"(probe->address) : "memory");
	window_clean(probe->address);
	__asm__ volatile("ldr %w0, [%1]" : "=r"(instruction) : "r"(probe->address) : "memory");
	/* Only what is known to come back may be branched to. */
	if (instruction != RET) {
		probe->value[0] = instruction;
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	window_forget_translation(probe->address);
	__asm__ volatile("ic iallu\n\tdsb sy\n\tisb\n\tblr %0" : : "r"(probe->address) : "x30", "memory");
	return WCVMM_OUTCOME_OK;
}
