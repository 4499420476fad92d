// SPDX-License-Identifier: Apache-2.0
// Reaches for an address that has no memslot and is not the doorbell.
#include "runtime/cpu.h"
#include "runtime/guest.h"
#include "runtime/window.h"

#define NOWHERE 0x7ffffff000ull		/* the last page below 2^39 */

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	const wcvmm_u8 device = 0;	/* arm64: Device-nGnRnE; x86: UC */

	(void)ram;
	window_set_types(&device, 1);
	store(window_map(NOWHERE, 0, 0), 0);
	return WCVMM_STATUS_OK;
}
