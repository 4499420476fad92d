/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stage 1 of the windows. One stretch of 4096 bytes is mapped at a time, with one memory type: two live types of
 * one location would be mismatched attributes, whose coherency is lost (Arm ARM, "Mismatched memory attributes").
 */
#ifndef WINDOW_H
#define WINDOW_H

#include "abi.h"

#define STRETCH 4096ull

/* Programs MAIR_EL1 with the VMM's types, after the two that the runtime needs. */
void window_set_types(const wcvmm_u8 *types, wcvmm_u32 count);

/* 1 when stage 1 can map [gpa, gpa + length): page-aligned, above RAM's tables, within the virtual addresses. */
int window_is_mappable(wcvmm_u64 gpa, wcvmm_u64 length);

/* Maps the stretch at gpa (any alignment; two pages when it is not a page's start) and returns its address. */
wcvmm_u64 window_map(wcvmm_u64 gpa, wcvmm_u32 type, int executable);
void window_unmap(wcvmm_u64 address);

/* Cleans and invalidates every cache line of the stretch, to the point of coherency, through its current type. */
void window_clean(wcvmm_u64 address);

/*
 * Makes the next access walk the tables. Architecturally nothing needs it; QEMU's TLB loses the cause of an
 * alignment fault on a hit, and then a Device access does not fault, or faults at the wrong level.
 */
void window_forget_translation(wcvmm_u64 address);

#endif
