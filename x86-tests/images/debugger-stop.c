// SPDX-License-Identifier: Apache-2.0
// Touches each window and then stops for a debugger that looks at nested paging from outside, as Bochs' does
// (testbed/bochs/ept.ts reads the registers). Without one, `xchg %bx, %bx` does nothing.
#include "runtime/cpu.h"
#include "runtime/guest.h"
#include "runtime/window.h"

#define MARK 0x77636d6dull	/* that this stop is meant */

static void stop(wcvmm_u64 address, wcvmm_u64 gpa)
{
	__asm__ volatile("xchg %%bx, %%bx" : : "a"(address), "c"(gpa), "d"(MARK) : "memory");
}

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	const struct wcvmm_params *params = (const struct wcvmm_params *)(ram + WCVMM_PARAMS_OFFSET);
	const wcvmm_u8 write_back = 6;

	window_set_types(&write_back, 1);
	for (wcvmm_u32 i = 0; i < params->window_count; i++) {
		const wcvmm_u64 gpa = params->windows[i].gpa;
		const wcvmm_u64 address = window_map(gpa, 0, 0);

		load(address);
		stop(address, gpa);
		window_unmap(address);
	}
	return WCVMM_STATUS_OK;
}
