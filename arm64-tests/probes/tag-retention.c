// SPDX-License-Identifier: Apache-2.0
// Only memory that both stages make Normal, Tagged, Write-Back keeps an allocation tag: elsewhere the store of a tag
// is ignored and the load gives 0.
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define PFR1_MTE	8
#define MTE_ALLOCATION_TAGS	2u
#define SCTLR_ATA	(1ull << 43)

#define MTE ".arch armv8.5-a+memtag\n\t"

static wcvmm_u64 tag_of(wcvmm_u64 address)
{
	wcvmm_u64 tagged = address;

	__asm__ volatile(MTE "ldg %0, [%1]" : "+r"(tagged) : "r"(address) : "memory");
	return tagged >> 56 & 15;
}

/* Any tag but 0, which untagged memory reads as, and the one that is there already. */
static wcvmm_u64 choose_tagged(wcvmm_u64 address, wcvmm_u64 other)
{
	wcvmm_u64 tagged;

	write_sysreg(s3_0_c1_c0_6, 0);		/* GCR_EL1: exclude none, use RGSR_EL1's generator */
	write_sysreg(s3_0_c1_c0_5, 1 << 8);	/* RGSR_EL1.SEED: must not be 0 */
	__asm__ volatile(MTE "irg %0, %1, %2" : "=r"(tagged) : "r"(address), "r"(1ull | 1ull << other));
	return tagged;
}

enum wcvmm_outcome probe_tag_retention(struct probe *probe)
{
	if (id_field(id_aa64pfr1_el1, PFR1_MTE) < MTE_ALLOCATION_TAGS)
		return WCVMM_OUTCOME_NOT_PRESENT;
	/* SCTLR_EL1.TCF stays 0: tags are kept, and no access is checked against them. */
	write_sysreg(sctlr_el1, read_sysreg(sctlr_el1) | SCTLR_ATA);

	const wcvmm_u64 before = tag_of(probe->address);
	const wcvmm_u64 tagged = choose_tagged(probe->address, before);

	window_forget_translation(probe->address);
	__asm__ volatile(MTE "stg %0, [%0]\n\tdsb sy" : : "r"(tagged) : "memory");
	window_forget_translation(probe->address);

	const wcvmm_u64 after = tag_of(probe->address);

	probe->value[0] = after == (tagged >> 56 & 15);
	probe->value[1] = tagged >> 56 & 15;
	probe->value[2] = after;
	probe->value[3] = before;
	return probe->value[0] ? WCVMM_OUTCOME_OK : WCVMM_OUTCOME_WRONG_DATA;
}
