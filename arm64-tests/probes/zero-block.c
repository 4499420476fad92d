// SPDX-License-Identifier: Apache-2.0
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define DCZID_PROHIBITED	(1u << 4)

enum wcvmm_outcome probe_zero_block(struct probe *probe)
{
	const wcvmm_u64 dczid = read_sysreg(dczid_el0);

	if (dczid & DCZID_PROHIBITED)
		return WCVMM_OUTCOME_NOT_PRESENT;

	/* At most 2 KiB, so that a whole aligned block lies within the probe's 4. */
	const wcvmm_u64 bytes = 4ull << (dczid & 15);
	const wcvmm_u64 block = (probe->address + bytes - 1) & ~(bytes - 1);

	probe->value[0] = bytes;
	for (wcvmm_u64 at = 0; !probe->registers && at < bytes; at += 8)
		store(block + at, ~0ull);
	window_forget_translation(probe->address);
	__asm__ volatile("dc zva, %0" : : "r"(block) : "memory");
	for (wcvmm_u64 at = 0; !probe->registers && at < bytes; at += 8) {
		if (load(block + at) == 0)
			continue;
		probe->value[1] = at;
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	return WCVMM_OUTCOME_OK;
}
