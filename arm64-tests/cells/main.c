// SPDX-License-Identifier: Apache-2.0
// Answers every cell with one record, in order.
#include "cells/syndrome.h"
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/guard.h"
#include "runtime/guest.h"
#include "runtime/memory-map.h"
#include "runtime/window.h"

static probe_fn *const probes[] = {
	[WCVMM_PROBE_STAGE1_SELF_CHECK] = probe_stage1_self_check,
	[WCVMM_PROBE_UNALIGNED_LOAD] = probe_unaligned_load,
	[WCVMM_PROBE_UNALIGNED_STORE] = probe_unaligned_store,
	[WCVMM_PROBE_UNALIGNED_LOAD_SIMD] = probe_unaligned_load_simd,
	[WCVMM_PROBE_UNALIGNED_STORE_SIMD] = probe_unaligned_store_simd,
	[WCVMM_PROBE_UNALIGNED_LOAD_PAIR] = probe_unaligned_load_pair,
	[WCVMM_PROBE_UNALIGNED_STORE_PAIR] = probe_unaligned_store_pair,
	[WCVMM_PROBE_SIMD_HALF_ALIGNED] = probe_simd_half_aligned,
	[WCVMM_PROBE_ZERO_BLOCK] = probe_zero_block,
	[WCVMM_PROBE_EXCLUSIVE] = probe_exclusive,
	[WCVMM_PROBE_ATOMIC] = probe_atomic,
	[WCVMM_PROBE_FETCH] = probe_fetch,
	[WCVMM_PROBE_DATA_READ] = probe_data_read,
	[WCVMM_PROBE_DATA_WRITE] = probe_data_write,
	[WCVMM_PROBE_TAG_RETENTION] = probe_tag_retention,
	[WCVMM_PROBE_STORE_BANDWIDTH] = probe_store_bandwidth,
	[WCVMM_PROBE_LOAD_LATENCY] = probe_load_latency,
};

#define PROBE_END (sizeof(probes) / sizeof(probes[0]))

static int params_are_sane(const struct wcvmm_params *params)
{
	if (params->magic != WCVMM_ABI_MAGIC || params->version != WCVMM_ABI_VERSION ||
	    params->window_count > WCVMM_MAX_WINDOWS || params->stage1_count > WCVMM_MAX_STAGE1 ||
	    params->cell_count > WCVMM_MAX_CELLS || params->cell_count > WCVMM_MAX_RECORDS)
		return 0;
	for (wcvmm_u32 i = 0; i < params->window_count; i++)
		if (!window_is_mappable(params->windows[i].gpa, params->windows[i].length))
			return 0;
	return 1;
}

static int cell_is_sane(const struct wcvmm_params *params, const struct wcvmm_cell *cell)
{
	if (cell->window >= params->window_count || cell->stage1 >= params->stage1_count || cell->probe >= PROBE_END ||
	    !probes[cell->probe] || cell->flags & ~WCVMM_CELL_VERBOSE || cell->offset % 64)
		return 0;
	if ((cell->probe == WCVMM_PROBE_STORE_BANDWIDTH || cell->probe == WCVMM_PROBE_LOAD_LATENCY) &&
	    cell->argument > WCVMM_MAX_REPETITIONS)
		return 0;

	const wcvmm_u64 length = params->windows[cell->window].length;

	return length >= STRETCH && cell->offset <= length - STRETCH;
}

/* A fault that the probing access cannot have caused is the guest's own, and no answer to the cell. */
static void check_fault_is_the_probes(wcvmm_u64 address)
{
	const wcvmm_u64 at = guard.address & ((1ull << 56) - 1);	/* without the tag */

	if (syndrome_has_address(guard.syndrome) && (at < address || at >= address + STRETCH))
		guest_unexpected(4, guard.syndrome, guard.address, guard.pc);
}

static void answer(const struct wcvmm_params *params, const struct wcvmm_cell *cell, struct wcvmm_record *record)
{
	if (!cell_is_sane(params, cell)) {
		record->outcome = WCVMM_OUTCOME_BAD_CELL;
		return;
	}

	struct probe probe = {
		.index = record->cell,
		.stage1 = params->stage1[cell->stage1],
		.argument = cell->argument,
		.value = record->value,
	};

	probe.address = window_map(params->windows[cell->window].gpa + cell->offset, cell->stage1,
				   cell->probe == WCVMM_PROBE_FETCH);
	window_forget_translation(probe.address);
	record->outcome = guard_call(probes[cell->probe], &probe);
	if (!record->outcome) {
		check_fault_is_the_probes(probe.address);
		record->outcome = syndrome_outcome(guard.syndrome);
		record->syndrome = guard.syndrome;
		record->address = syndrome_has_address(guard.syndrome) ? guard.address : 0;
	}
	window_unmap(probe.address);
}

static void describe(const struct wcvmm_cell *cell, const struct wcvmm_record *record)
{
	print("cell ");
	print_decimal(record->cell);
	print(" window ");
	print_decimal(cell->window);
	print(" stage1 ");
	print_decimal(cell->stage1);
	print(" probe ");
	print_decimal(cell->probe);
	print(" outcome ");
	print_decimal(record->outcome);
	print(" esr ");
	print_hex(record->syndrome);
	print("\n");
}

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	if (ram != RAM_BASE)
		return WCVMM_STATUS_BAD_PARAMS;

	const struct wcvmm_params *params = (const void *)(ram + WCVMM_PARAMS_OFFSET);
	const struct wcvmm_cell *cells = (const void *)(ram + WCVMM_CELLS_OFFSET);
	volatile struct wcvmm_log *log = (void *)(ram + WCVMM_LOG_OFFSET);

	log->record_count = 0;
	log->running = 0;
	log->magic = WCVMM_ABI_MAGIC;
	if (id_field(id_aa64mmfr0_el1, 28) == 15)	/* TGran4: no 4 KiB pages */
		return WCVMM_STATUS_BAD_CPU;
	if (!params_are_sane(params))
		return WCVMM_STATUS_BAD_PARAMS;

	print("wcvmm arm64 guest: ");
	print_decimal(params->cell_count);
	print(" cells, ");
	print_decimal(params->window_count);
	print(" windows\n");
	window_set_types(params->stage1, params->stage1_count);

	for (wcvmm_u32 i = 0; i < params->cell_count; i++) {
		struct wcvmm_record *record = (struct wcvmm_record *)&log->records[i];

		*record = (struct wcvmm_record){ .cell = i };
		log->running = i + 1;
		__asm__ volatile("dmb ish" : : : "memory");
		answer(params, &cells[i], record);
		__asm__ volatile("dmb ish" : : : "memory");
		log->record_count = i + 1;
		log->running = 0;
		if (record->outcome != WCVMM_OUTCOME_BAD_CELL && cells[i].flags & WCVMM_CELL_VERBOSE)
			describe(&cells[i], record);
	}
	return WCVMM_STATUS_OK;
}
