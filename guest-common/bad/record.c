// SPDX-License-Identifier: Apache-2.0
// Answers a cell that nobody asked about, with an outcome that does not exist.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	struct wcvmm_log *log = (void *)(ram + WCVMM_LOG_OFFSET);

	log->magic = WCVMM_ABI_MAGIC;
	log->records[0].cell = 0x7fffffffu;
	log->records[0].outcome = 99;
	log->record_count = 1;
	return WCVMM_STATUS_OK;
}
