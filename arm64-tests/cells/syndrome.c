// SPDX-License-Identifier: Apache-2.0
#include "cells/syndrome.h"

enum exception_class {
	EC_UNKNOWN		= 0x00,
	EC_TRAPPED_SYSREG	= 0x18,
	EC_FETCH_ABORT_LOWER	= 0x20,
	EC_FETCH_ABORT		= 0x21,
	EC_PC_ALIGNMENT		= 0x22,
	EC_DATA_ABORT_LOWER	= 0x24,
	EC_DATA_ABORT		= 0x25,
};

enum fault_status {
	FSC_EXTERNAL		= 0x10,
	FSC_EXTERNAL_ON_WALK	= 0x13,	/* levels -1 to 3: 0x13..0x17; 0x11 is a tag check fault, 0x12 is reserved */
	FSC_EXTERNAL_ON_WALK_END = 0x17,
	FSC_ALIGNMENT		= 0x21,
	FSC_UNSUPPORTED_ATOMIC	= 0x35,
};

#define ISS_FAR_NOT_VALID	(1u << 10)

static unsigned class_of(wcvmm_u64 syndrome)
{
	return syndrome >> 26 & 0x3f;
}

static int is_abort(wcvmm_u64 syndrome)
{
	const unsigned class = class_of(syndrome);

	return class == EC_FETCH_ABORT || class == EC_FETCH_ABORT_LOWER || class == EC_DATA_ABORT ||
	       class == EC_DATA_ABORT_LOWER;
}

static enum wcvmm_outcome data_abort_outcome(unsigned status)
{
	if (status == FSC_ALIGNMENT)
		return WCVMM_OUTCOME_ALIGNMENT_FAULT;
	if (status == FSC_UNSUPPORTED_ATOMIC)
		return WCVMM_OUTCOME_ATOMIC_FAULT;
	if (status == FSC_EXTERNAL || (status >= FSC_EXTERNAL_ON_WALK && status <= FSC_EXTERNAL_ON_WALK_END))
		return WCVMM_OUTCOME_EXTERNAL_ABORT;
	return WCVMM_OUTCOME_OTHER_FAULT;
}

enum wcvmm_outcome syndrome_outcome(wcvmm_u64 syndrome)
{
	switch (class_of(syndrome)) {
	case EC_UNKNOWN:
	case EC_TRAPPED_SYSREG:
		return WCVMM_OUTCOME_UNDEFINED;
	/* A permission fault, or the external abort that KVM injects for a fetch from device memory: both refuse it. */
	case EC_FETCH_ABORT:
	case EC_FETCH_ABORT_LOWER:
		return WCVMM_OUTCOME_FETCH_ABORT;
	case EC_DATA_ABORT:
	case EC_DATA_ABORT_LOWER:
		return data_abort_outcome(syndrome & 0x3f);
	default:
		return WCVMM_OUTCOME_OTHER_FAULT;
	}
}

int syndrome_has_address(wcvmm_u64 syndrome)
{
	return class_of(syndrome) == EC_PC_ALIGNMENT || (is_abort(syndrome) && !(syndrome & ISS_FAR_NOT_VALID));
}
