// SPDX-License-Identifier: Apache-2.0
// Leaves a log that is not one.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	struct wcvmm_log *log = (void *)(ram + WCVMM_LOG_OFFSET);

	log->magic = ~WCVMM_ABI_MAGIC;
	return WCVMM_STATUS_OK;
}
