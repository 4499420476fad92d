/* SPDX-License-Identifier: Apache-2.0 */
/* What a bandwidth or latency cell asks for, from its argument. */
#ifndef MEASURE_H
#define MEASURE_H

#include "abi.h"
#include "runtime/window.h"

#define WORD_BYTES 8u

struct measure {
	wcvmm_u64 repetitions;
	wcvmm_u64 size;
	wcvmm_u64 stride;
	int store_first;
};

static inline struct measure measure_of(wcvmm_u64 argument, wcvmm_u64 usual_stride)
{
	const wcvmm_u64 size = argument >> WCVMM_MEASURE_SIZE_SHIFT & 0xffff;
	const wcvmm_u64 stride = argument >> WCVMM_MEASURE_STRIDE_SHIFT;

	return (struct measure){
		.repetitions = argument & WCVMM_MEASURE_REPETITIONS_MASK,
		.size = size ? size : STRETCH,
		.stride = stride ? stride : usual_stride,
		.store_first = !!(argument & WCVMM_MEASURE_STORE_FIRST),
	};
}

static inline int measure_is_sane(wcvmm_u64 argument)
{
	const struct measure measure = measure_of(argument, WORD_BYTES);

	return measure.repetitions <= WCVMM_MAX_REPETITIONS && measure.size <= STRETCH && measure.size % WORD_BYTES == 0 &&
	       measure.stride <= STRETCH && measure.stride % WORD_BYTES == 0;
}

static inline wcvmm_u64 measure_accesses(const struct measure *measure)
{
	return measure->repetitions * ((measure->size + measure->stride - 1) / measure->stride);
}

#endif
