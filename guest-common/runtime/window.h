/* SPDX-License-Identifier: Apache-2.0 */
/* Stage 1 of the windows, of which one stretch of 4096 bytes is mapped at a time. */
#ifndef WINDOW_H
#define WINDOW_H

#include "abi.h"

#define STRETCH 4096ull

/* Programs the VMM's types beside those that the runtime needs; 0 when one of them is no type to this CPU. */
int window_set_types(const wcvmm_u8 *types, wcvmm_u32 count);

/* 1 when stage 1 can map [gpa, gpa + length): page-aligned, above RAM's tables, below 2^39. */
int window_is_mappable(wcvmm_u64 gpa, wcvmm_u64 length);

/*
 * Maps the stretch at gpa (any alignment; two pages when it is not a page's start) and returns its virtual address of
 * this type, one of params.stage1. No cache line of it that the host or another type left is what this type reads.
 */
wcvmm_u64 window_map(wcvmm_u64 gpa, wcvmm_u32 type, int executable);
void window_unmap(wcvmm_u64 address);

/* x86: the same bytes of what is mapped, uncached whatever the cell's type is. */
wcvmm_u64 window_uncached(wcvmm_u64 address);

/* Cleans and invalidates every cache line of the stretch, as far as memory, through this address's type. */
void window_clean(wcvmm_u64 address);

/* Makes the next access walk the tables. No architecture needs it: emulators do, see arm64. */
void window_forget_translation(wcvmm_u64 address);

#endif
