// SPDX-License-Identifier: Apache-2.0
// Asks the CPU which type stage 1 gives the address: what the other probes of this type rest on.
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/guest.h"

#define PAR_FAULT		1ull
#define PAR_ADDRESS		0x0000fffffffff000ull
#define PAR_ATTRIBUTE_SHIFT	56

/*
 * PAR_EL1.ATTR may name what the implementation makes of the encoding instead of the encoding (Arm ARM, PAR_EL1). A
 * difference is still wrong-data: value[0] lets the reader judge.
 */
enum wcvmm_outcome probe_stage1_self_check(struct probe *probe)
{
	wcvmm_u64 par;

	__asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1" : "=r"(par) : "r"(probe->address) : "memory");
	probe->value[0] = par;
	probe->value[1] = probe->stage1;
	if (par & PAR_FAULT)
		return WCVMM_OUTCOME_OTHER_FAULT;
	if ((par & PAR_ADDRESS) != (probe->address & PAR_ADDRESS) || par >> PAR_ATTRIBUTE_SHIFT != probe->stage1)
		return WCVMM_OUTCOME_WRONG_DATA;
	/* Stage 2 maps what was touched, and the VMM then asks KVM what both stages make of it. */
	load(probe->address);
	ring(WCVMM_DOORBELL_SYNC, probe->index);
	return WCVMM_OUTCOME_OK;
}
