// SPDX-License-Identifier: Apache-2.0
// Touches each window, says so and stays, so that the instance's memory can be read from outside (test/outside-tables.ts).
#include "runtime/cpu.h"
#include "runtime/guest.h"
#include "runtime/window.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	const struct wcvmm_params *params = (const struct wcvmm_params *)(ram + WCVMM_PARAMS_OFFSET);
	const wcvmm_u8 strictest = 0;	/* x86: UC; arm64: Device-nGnRnE */

	window_set_types(&strictest, 1);
	for (wcvmm_u32 i = 0; i < params->window_count; i++) {
		const wcvmm_u64 address = window_map(params->windows[i].gpa, 0, 0);

		load(address);
		window_unmap(address);
	}
	print("held\n");
	for (;;)
		full_barrier();
}
