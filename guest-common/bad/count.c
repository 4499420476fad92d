// SPDX-License-Identifier: Apache-2.0
// Claims more records than a log can hold.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	struct wcvmm_log *log = (void *)(ram + WCVMM_LOG_OFFSET);

	log->magic = WCVMM_ABI_MAGIC;
	log->record_count = 0xffffffffu;
	log->running = 0xffffffffu;
	return WCVMM_STATUS_OK;
}
