// SPDX-License-Identifier: Apache-2.0
#include "probes/background.h"
#include "runtime/window.h"

#define SEED 0x77636d6dull

static wcvmm_u8 byte_of(const wcvmm_u64 *words, unsigned at)
{
	return (wcvmm_u8)(words[at / 8] >> at % 8 * 8);
}

static void make(wcvmm_u64 *words)
{
	for (unsigned i = 0; i < BACKGROUND_WORDS; i++)
		words[i] = wcvmm_pattern(SEED, i);
}

void background_write(const struct probe *probe)
{
	for (unsigned i = 0; !probe->registers && i < BACKGROUND_WORDS; i++)
		store(probe->address + 8 * i, wcvmm_pattern(SEED, i));
	window_forget_translation(probe->address);
}

enum wcvmm_outcome background_compare(const struct probe *probe, unsigned at, const wcvmm_u64 *got, unsigned words)
{
	wcvmm_u64 expected[BACKGROUND_WORDS];

	if (probe->registers)
		return WCVMM_OUTCOME_OK;
	make(expected);
	for (unsigned i = 0; i < 8 * words; i++) {
		if (byte_of(got, i) == byte_of(expected, at + i))
			continue;
		for (unsigned word = 0; word < words; word++)
			probe->value[word] = got[word];
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	return WCVMM_OUTCOME_OK;
}

enum wcvmm_outcome background_check_store(const struct probe *probe, unsigned at, const wcvmm_u64 *stored,
					  unsigned words)
{
	wcvmm_u64 expected[BACKGROUND_WORDS];

	if (probe->registers)
		return WCVMM_OUTCOME_OK;
	make(expected);
	for (unsigned i = 0; i < 8 * words; i++) {
		const unsigned shift = (at + i) % 8 * 8;

		expected[(at + i) / 8] &= ~(0xffull << shift);
		expected[(at + i) / 8] |= (wcvmm_u64)byte_of(stored, i) << shift;
	}
	for (unsigned i = 0; i < BACKGROUND_WORDS; i++) {
		const wcvmm_u64 got = load(probe->address + 8 * i);

		if (got == expected[i])
			continue;
		probe->value[0] = i;
		probe->value[1] = got;
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	return WCVMM_OUTCOME_OK;
}
