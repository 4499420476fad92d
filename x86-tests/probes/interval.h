/* SPDX-License-Identifier: Apache-2.0 */
/* What repeated measurements say of their median. Nothing here measures. */
#ifndef INTERVAL_H
#define INTERVAL_H

#include "abi.h"

#define ROUNDS		17u
#define DURATION_MAX	0x7fffffffu

/*
 * Sorts ROUNDS samples of at most DURATION_MAX. The median of all that could be measured lies between the fifth of 17 and the
 * fifth from the end with a probability of 95 %, whatever their distribution (a binomial one of 17 and 1/2). Bits 31:0 and 63:32.
 */
wcvmm_u64 interval_of(wcvmm_u32 samples[ROUNDS]);

#endif
