// SPDX-License-Identifier: Apache-2.0
// Never exits and never leaves the guest.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	(void)ram;
	for (;;)
		__asm__ volatile("nop");
}
