// SPDX-License-Identifier: Apache-2.0
#include "program/cell.h"
#include "program/calls.h"
#include "program/log.h"
#include "program/memtype.h"
#include "program/resource.h"
#include "program/system.h"
#include "probes/probe.h"
#include "runtime/window.h"

#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/signal.h>

/* Of the child. */
static struct wcvmm_record *record;
static wcvmm_u64 mapped_page, mapped_size;
static long mapped_protection;

static void leave(enum wcvmm_outcome outcome)
{
	record->outcome = outcome;
	call(__NR_exit_group, 0, 0, 0, 0, 0, 0);
}

static enum wcvmm_outcome outcome_of(int signal, int code)
{
	if (signal == SIGBUS)
		return code == BUS_ADRALN ? WCVMM_OUTCOME_ALIGNMENT_FAULT : WCVMM_OUTCOME_EXTERNAL_ABORT;
	return signal == SIGILL ? WCVMM_OUTCOME_UNDEFINED : WCVMM_OUTCOME_OTHER_FAULT;
}

static void on_fault(int signal, void *info, void *context)
{
	record->syndrome = fault_syndrome(context);
	record->address = fault_address(context);
	leave(outcome_of(signal, ((const siginfo_t *)info)->si_code));
}

/* What the probes call between preparing memory and the access that counts. A new translation takes a change of rights. */
void window_forget_translation(wcvmm_u64 address)
{
	(void)address;
	call(__NR_mprotect, (long)mapped_page, (long)mapped_size, PROT_NONE, 0, 0, 0);
	call(__NR_mprotect, (long)mapped_page, (long)mapped_size, mapped_protection, 0, 0, 0);
}

static int stores(const struct wcvmm_cell *cell)
{
	if (!(cell->flags & WCVMM_CELL_REGISTERS))
		return 1;
	switch (cell->probe) {
	case WCVMM_PROBE_STAGE1_SELF_CHECK:
	case WCVMM_PROBE_UNALIGNED_LOAD:
	case WCVMM_PROBE_UNALIGNED_LOAD_SIMD:
	case WCVMM_PROBE_UNALIGNED_LOAD_PAIR:
	case WCVMM_PROBE_SIMD_HALF_ALIGNED:
	case WCVMM_PROBE_DATA_READ:
		return 0;
	default:
		return 1;
	}
}

static void self_check(const struct wcvmm_linux_window *window, const struct wcvmm_cell *cell)
{
	const long type = memtype_at(resource_physical(window) + window->offset + cell->offset);

	if (type < 0) {
		record->syndrome = WCVMM_LINUX_NOT_LISTED | (wcvmm_u64)-type;
		leave(WCVMM_OUTCOME_NOT_PRESENT);
	}
	record->value[0] = (wcvmm_u64)type;
	leave(type == (long)cell->argument ? WCVMM_OUTCOME_OK : WCVMM_OUTCOME_WRONG_DATA);
}

static void answer(const struct wcvmm_linux_window *window, const struct wcvmm_cell *cell, wcvmm_u32 index,
		   wcvmm_u64 page_size)
{
	static const int signals[] = { SIGBUS, SIGSEGV, SIGILL, SIGFPE };
	struct probe probe = { .argument = cell->argument, .value = record->value, .index = index };

	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		handle_signal(signals[i], on_fault);
	probe.registers = cell->flags & WCVMM_CELL_REGISTERS ? 1 : 0;
	mapped_protection = PROT_READ | (stores(cell) ? PROT_WRITE : 0);
	if (window->device[0]) {
		const struct resource_mapping mapping =
			resource_map(window, cell->stage1, cell->offset, stores(cell), page_size);

		if (!mapping.address) {
			record->syndrome = mapping.failed;
			leave(WCVMM_OUTCOME_NOT_PRESENT);
		}
		probe.address = mapping.address;
	} else {
		probe.address = log_control();
	}
	mapped_page = probe.address & ~(page_size - 1);
	mapped_size = page_size;
	if (cell->probe == WCVMM_PROBE_STAGE1_SELF_CHECK)
		self_check(window, cell);
	if (cell->probe == WCVMM_PROBE_DATA_READ) {
		record->value[1] = load(probe.address);
		leave(WCVMM_OUTCOME_OK);
	}

	probe_fn *const run = probe_of(cell->probe);

	leave(run ? run(&probe) : WCVMM_OUTCOME_BAD_CELL);
}

void cell_ask(const struct wcvmm_linux_questions *questions, wcvmm_u32 index, wcvmm_u64 page_size)
{
	const struct wcvmm_cell *const cell = &questions->cells[index];
	const struct wcvmm_linux_window *const window =
		cell->window < questions->window_count ? &questions->windows[cell->window] : 0;

	record = log_record(index);
	record->cell = index;
	/* A child that ends without having said why has met something that no handler sees. */
	record->outcome = window ? WCVMM_OUTCOME_OTHER_FAULT : WCVMM_OUTCOME_BAD_CELL;
	log_running(index);
	if (window) {
		const long child = call(__NR_clone, SIGCHLD, 0, 0, 0, 0, 0);

		if (child == 0)
			answer(window, cell, index, page_size);
		if (child > 0)
			call(__NR_wait4, child, 0, 0, 0, 0, 0);
	}
	log_counted(index);
}
