// SPDX-License-Identifier: Apache-2.0
#include "probes/timing.h"
#include "probes/interval.h"
#include "runtime/cpu.h"
#include "runtime/window.h"

#define LINE_BYTES	64u
#define WORD_BYTES	8u
#define STORED		1024u	/* 16 lines: more than a core has write-combining buffers */
#define FRACTION	16u	/* of a tick */

static wcvmm_u32 per_access(wcvmm_u64 elapsed, wcvmm_u32 accesses)
{
	const wcvmm_u64 each = elapsed * FRACTION / accesses;

	return each > DURATION_MAX ? DURATION_MAX : each ? (wcvmm_u32)each : 1;
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
