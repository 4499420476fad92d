// SPDX-License-Identifier: Apache-2.0
// Runs into an exception that no probe provoked.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	(void)ram;
	__asm__ volatile("udf #0");
	return WCVMM_STATUS_OK;
}
