// SPDX-License-Identifier: Apache-2.0
#include "cells/syndrome.h"

enum vector {
	VECTOR_UNDEFINED	= 6,
	VECTOR_PAGE_FAULT	= 14,
	VECTOR_ALIGNMENT	= 17,
};

static unsigned vector_of(wcvmm_u64 syndrome)
{
	return (unsigned)(syndrome >> 32);
}

enum wcvmm_outcome syndrome_outcome(wcvmm_u64 syndrome)
{
	switch (vector_of(syndrome)) {
	case VECTOR_UNDEFINED:
		return WCVMM_OUTCOME_UNDEFINED;
	case VECTOR_ALIGNMENT:
		return WCVMM_OUTCOME_ALIGNMENT_FAULT;
	default:
		return WCVMM_OUTCOME_OTHER_FAULT;
	}
}

int syndrome_has_address(wcvmm_u64 syndrome)
{
	return vector_of(syndrome) == VECTOR_PAGE_FAULT;
}
