/* SPDX-License-Identifier: Apache-2.0 */
/* The 64 bytes at the start of a probe's memory, which is what a cache line or a write-combining buffer holds. */
#ifndef LINE_H
#define LINE_H

#include "probes/probe.h"

#define LINE_WORDS 8u

/* The word that a probe puts at `index`: different in each cell, so that nothing an earlier one left passes for it. */
wcvmm_u64 line_word(const struct probe *probe, wcvmm_u32 index);

/* Every bit the opposite of what the probe will put there. */
void line_spoil(const struct probe *probe);

void line_write(const struct probe *probe);

/* ok when memory holds the line's words; else wrong-data with value[0] = the first bad index, [1] = what it held. */
enum wcvmm_outcome line_check(const struct probe *probe);

#endif
