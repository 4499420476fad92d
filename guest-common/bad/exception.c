// SPDX-License-Identifier: Apache-2.0
// Runs into an exception that no probe provoked.
#include "runtime/cpu.h"
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	(void)ram;
	undefined_instruction();
	return WCVMM_STATUS_OK;
}
