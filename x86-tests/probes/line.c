// SPDX-License-Identifier: Apache-2.0
#include "probes/line.h"

wcvmm_u64 line_word(const struct probe *probe, wcvmm_u32 index)
{
	return wcvmm_pattern(probe->argument ^ (wcvmm_u64)probe->index << 32, index);
}

void line_spoil(const struct probe *probe)
{
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i++)
		store(probe->address + 8 * i, ~line_word(probe, i));
	full_barrier();
}

void line_write(const struct probe *probe)
{
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i++)
		store(probe->address + 8 * i, line_word(probe, i));
}

enum wcvmm_outcome line_check(const struct probe *probe)
{
	for (wcvmm_u32 i = 0; i < LINE_WORDS; i++) {
		const wcvmm_u64 got = load(probe->address + 8 * i);

		if (got == line_word(probe, i))
			continue;
		probe->value[0] = i;
		probe->value[1] = got;
		return WCVMM_OUTCOME_WRONG_DATA;
	}
	return WCVMM_OUTCOME_OK;
}
