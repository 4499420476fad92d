// SPDX-License-Identifier: Apache-2.0
// Gives up with a status of its own.
#include "runtime/guest.h"

wcvmm_u32 guest_main(wcvmm_u64 ram)
{
	(void)ram;
	print("wcvmm bad guest: status 7\n");
	return 7;
}
