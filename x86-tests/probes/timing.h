/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIMING_H
#define TIMING_H

#include "abi.h"

/*
 * Measures the stretch of memory at address, and what it holds is lost: sixteenths of a tick for one access, from 1 to
 * DURATION_MAX.
 */
typedef wcvmm_u32 timing_fn(wcvmm_u64 address);

/* One 64-bit load of each line, each waiting for the one before; lines that can be cached are. */
timing_fn timing_of_load;

/* 64-bit stores of consecutive words, which WC memory can merge, and a fence. */
timing_fn timing_of_store;

#endif
