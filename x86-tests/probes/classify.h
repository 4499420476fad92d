/* SPDX-License-Identifier: Apache-2.0 */
/* What durations say of a memory type. Nothing here measures. */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include "abi.h"

#define DURATION_MAX	0x7fffffffu
#define TYPE_UNKNOWN	0xffu		/* no PAT type */

/* Sorts the samples. `count` is odd. */
wcvmm_u32 median(wcvmm_u32 *samples, unsigned count);

/*
 * Which of two known durations this one, at most DURATION_MAX, is like: none when they are less than a factor of four
 * apart, or when it is in the middle between them.
 */
enum likeness { LIKE_NEITHER, LIKE_WB, LIKE_UC };
enum likeness likeness_of(wcvmm_u32 duration, wcvmm_u32 wb, wcvmm_u32 uc);

/* The PAT type, or TYPE_UNKNOWN. WT stands for WP too, and UC for UC-: they take the same time. */
wcvmm_u8 classify(enum likeness load, enum likeness store);

#endif
