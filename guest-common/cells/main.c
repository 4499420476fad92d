// SPDX-License-Identifier: Apache-2.0
// Answers every cell with one record, in order.
#include "cells/syndrome.h"
#include "probes/measure.h"
#include "probes/probe.h"
#include "runtime/cpu.h"
#include "runtime/guard.h"
#include "runtime/guest.h"
#include "runtime/memory-map.h"
#include "runtime/window.h"

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

static int is_for_registers(wcvmm_u32 probe)
{
	return (probe >= WCVMM_PROBE_STAGE1_SELF_CHECK && probe <= WCVMM_PROBE_ZERO_BLOCK) || probe == WCVMM_PROBE_DATA_READ;
}

static int cell_is_sane(const struct wcvmm_params *params, const struct wcvmm_cell *cell)
{
	if (cell->window >= params->window_count || cell->stage1 >= params->stage1_count || !probe_of(cell->probe) ||
	    cell->flags & ~(WCVMM_CELL_VERBOSE | WCVMM_CELL_REGISTERS) || cell->offset % 64)
		return 0;
	if (cell->flags & WCVMM_CELL_REGISTERS && !is_for_registers(cell->probe))
		return 0;
	if ((cell->probe == WCVMM_PROBE_STORE_BANDWIDTH || cell->probe == WCVMM_PROBE_LOAD_LATENCY) &&
	    !measure_is_sane(cell->argument))
		return 0;

	const wcvmm_u64 length = params->windows[cell->window].length;

	return length >= STRETCH && cell->offset <= length - STRETCH;
}

/* A fault that the probing access cannot have caused is the guest's own, and no answer to the cell. */
static void check_fault_is_the_probes(wcvmm_u64 address)
{
	const wcvmm_u64 at = guard.address & ((1ull << 56) - 1);	/* without the tag */

	if (syndrome_has_address(guard.syndrome) && (at < address || at >= address + STRETCH))
		guest_unexpected(GUARDED_VECTOR(guard.syndrome), guard.syndrome, guard.address, guard.pc);
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
		.registers = !!(cell->flags & WCVMM_CELL_REGISTERS),
		.value = record->value,
	};

	probe.address = window_map(params->windows[cell->window].gpa + cell->offset, cell->stage1,
				   cell->probe == WCVMM_PROBE_FETCH);
	window_forget_translation(probe.address);
	record->outcome = guard_call(probe_of(cell->probe), &probe);
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
	print(" " NAME_OF_SYNDROME " ");
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
	if (!cpu_is_enough())
		return WCVMM_STATUS_BAD_CPU;
	if (!params_are_sane(params) || !window_set_types(params->stage1, params->stage1_count))
		return WCVMM_STATUS_BAD_PARAMS;

	print("wcvmm " NAME_OF_ARCH " guest: ");
	print_decimal(params->cell_count);
	print(" cells, ");
	print_decimal(params->window_count);
	print(" windows\n");

	for (wcvmm_u32 i = 0; i < params->cell_count; i++) {
		struct wcvmm_record *record = (struct wcvmm_record *)&log->records[i];

		*record = (struct wcvmm_record){ .cell = i };
		log->running = i + 1;
		publish_barrier();
		answer(params, &cells[i], record);
		publish_barrier();
		log->record_count = i + 1;
		log->running = 0;
		if (record->outcome != WCVMM_OUTCOME_BAD_CELL && cells[i].flags & WCVMM_CELL_VERBOSE)
			describe(&cells[i], record);
	}
	return WCVMM_STATUS_OK;
}
