// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define ISAR0_ATOMIC	20
#define ATOMIC_LSE	2u

enum wcvmm_outcome probe_atomic(struct probe *probe)
{
	const wcvmm_u64 before = wcvmm_pattern(probe->address, 0);
	const wcvmm_u64 addend = wcvmm_pattern(probe->address, 1);
	wcvmm_u64 seen;

	if (id_field(id_aa64isar0_el1, ISAR0_ATOMIC) < ATOMIC_LSE)
		return WCVMM_OUTCOME_NOT_PRESENT;
	store(probe->address, before);
	window_forget_translation(probe->address);
	__asm__ volatile(".arch_extension lse\n\tldadd %1, %0, [%2]"
			 : "=r"(seen) : "r"(addend), "r"(probe->address) : "memory");
	if (seen != before || load(probe->address) != before + addend)
		return WCVMM_OUTCOME_WRONG_DATA;
	return WCVMM_OUTCOME_OK;
}
