/* SPDX-License-Identifier: Apache-2.0 */
/* What the bytes around an unaligned access hold before it, and must hold after it. */
#ifndef BACKGROUND_H
#define BACKGROUND_H

#include "probes/probe.h"

#define BACKGROUND_WORDS 4u

/* Of registers (WCVMM_CELL_REGISTERS) nothing is known: none of these stores to them or checks what they hold. */

/* Writes the background at the start of the probe's memory and drops its translation. */
void background_write(const struct probe *probe);

/* The two words that lie `at` bytes into the background are these; records them as values 0 and 1 when not. */
enum wcvmm_outcome background_compare(const struct probe *probe, unsigned at, const wcvmm_u64 *got, unsigned words);

/* Memory holds `stored` at `at` and the background elsewhere; else value[0] = the first wrong word, [1] its content. */
enum wcvmm_outcome background_check_store(const struct probe *probe, unsigned at, const wcvmm_u64 *stored,
					  unsigned words);

#endif
