/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A probe makes one access that some memory types allow and others do not, in assembly so that the compiler can
 * neither split nor merge it. It prepares and checks memory with aligned 64-bit accesses, which every type allows.
 */
#ifndef PROBE_H
#define PROBE_H

#include "abi.h"
#include "runtime/cpu.h"
#include "runtime/guard.h"

struct probe {
	wcvmm_u64 address;	/* 4096 bytes, 64-byte aligned, mapped with the cell's type */
	wcvmm_u64 argument;
	wcvmm_u64 *value;	/* the record's four values */
	wcvmm_u32 index;	/* the cell's */
	wcvmm_u8 stage1;	/* the encoding that the address is mapped with */
	int registers;		/* WCVMM_CELL_REGISTERS */
};

/* The architecture's function for this enum wcvmm_probe, or null: the number is the VMM's. */
probe_fn *probe_of(wcvmm_u32 probe);

probe_fn probe_stage1_self_check, probe_unaligned_load, probe_unaligned_store, probe_unaligned_load_simd,
	probe_unaligned_store_simd, probe_unaligned_load_pair, probe_unaligned_store_pair, probe_simd_half_aligned,
	probe_zero_block, probe_exclusive, probe_atomic, probe_fetch, probe_data_read, probe_data_write,
	probe_tag_retention, probe_store_bandwidth, probe_load_latency, probe_nt_store, probe_nt_load,
	probe_direct_store, probe_cache_flush, probe_fence_visibility, probe_locked_access, probe_timing_class;

#endif
