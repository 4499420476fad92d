/* SPDX-License-Identifier: Apache-2.0 */
/* Durations are in sixteenths of a tick for one access, at most TIMING_MAX. */
#ifndef TIMING_H
#define TIMING_H

#include "abi.h"

#define TIMING_MAX	0x7fffffffu
#define TIMING_UNKNOWN	0xffu		/* no PAT type */

/* Measures the stretch of memory at address; what it holds is lost. */
typedef wcvmm_u32 timing_fn(wcvmm_u64 address);

/* One 64-bit load of each line, each waiting for the one before; lines that can be cached are. */
timing_fn timing_of_load;

/* 64-bit stores of consecutive words, which WC memory can merge, and a fence. */
timing_fn timing_of_store;

/* Sorts the samples. `count` is odd. */
wcvmm_u32 timing_median(wcvmm_u32 *samples, unsigned count);

/*
 * Which of the two known durations is like this one: none when they are less than a factor of four apart, or when
 * it is in the middle between them.
 */
enum timing_like { LIKE_NEITHER, LIKE_WB, LIKE_UC };
enum timing_like timing_nearer(wcvmm_u32 duration, wcvmm_u32 wb, wcvmm_u32 uc);

/* The PAT type, or TIMING_UNKNOWN. WT stands for WP too, and UC for UC-: they take the same time. */
wcvmm_u8 timing_type(enum timing_like load, enum timing_like store);

#endif
