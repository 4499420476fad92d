// SPDX-License-Identifier: Apache-2.0
#include "probes/timing.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define LINE_BYTES	64u
#define WORD_BYTES	8u
#define STORED		1024u	/* 16 lines: more than a core has write-combining buffers */
#define FRACTION	16u	/* of a tick */

enum pat_type { PAT_UC = 0, PAT_WC = 1, PAT_WT = 4, PAT_WB = 6 };

static wcvmm_u32 per_access(wcvmm_u64 elapsed, wcvmm_u32 accesses)
{
	const wcvmm_u64 each = elapsed * FRACTION / accesses;

	return each > TIMING_MAX ? TIMING_MAX : each ? (wcvmm_u32)each : 1;
}

static void read_lines(wcvmm_u64 address)
{
	for (wcvmm_u64 at = address; at < address + STRETCH; at += LINE_BYTES)
		at = after(at, load(at));
}

wcvmm_u32 timing_of_load(wcvmm_u64 address)
{
	read_lines(address);

	const wcvmm_u64 start = ticks();

	read_lines(address);
	return per_access(ticks() - start, STRETCH / LINE_BYTES);
}

wcvmm_u32 timing_of_store(wcvmm_u64 address)
{
	const wcvmm_u64 start = ticks();

	for (wcvmm_u64 at = address; at < address + STORED; at += WORD_BYTES)
		store(at, at);
	store_fence();
	return per_access(ticks() - start, STORED / WORD_BYTES);
}

wcvmm_u32 timing_median(wcvmm_u32 *samples, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		const wcvmm_u32 moved = samples[i];
		unsigned at = i;

		for (; at > 0 && samples[at - 1] > moved; at--)
			samples[at] = samples[at - 1];
		samples[at] = moved;
	}
	return samples[count / 2];
}

enum timing_like timing_nearer(wcvmm_u32 duration, wcvmm_u32 wb, wcvmm_u32 uc)
{
	const wcvmm_u64 middle = (wcvmm_u64)wb * uc;	/* the square of the geometric mean */
	const wcvmm_u64 square = (wcvmm_u64)duration * duration;

	if (uc / 4 < wb)
		return LIKE_NEITHER;
	if (2 * square <= middle)
		return LIKE_WB;
	return square >= 2 * middle ? LIKE_UC : LIKE_NEITHER;
}

wcvmm_u8 timing_type(enum timing_like load, enum timing_like store)
{
	if (load == LIKE_NEITHER || store == LIKE_NEITHER)
		return TIMING_UNKNOWN;
	if (load == LIKE_WB)
		return store == LIKE_WB ? PAT_WB : PAT_WT;
	return store == LIKE_WB ? PAT_WC : PAT_UC;
}
