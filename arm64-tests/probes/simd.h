/* SPDX-License-Identifier: Apache-2.0 */
/* One access of a whole 128-bit register. The compiler is told to use none, so v0 is free. */
#ifndef SIMD_H
#define SIMD_H

#include "abi.h"

static inline void load_simd(wcvmm_u64 address, wcvmm_u64 got[2])
{
	__asm__ volatile("ldr q0, [%2]\n\tmov %0, v0.d[0]\n\tmov %1, v0.d[1]"
			 : "=&r"(got[0]), "=&r"(got[1]) : "r"(address) : "memory");
}

static inline void store_simd(wcvmm_u64 address, const wcvmm_u64 words[2])
{
	__asm__ volatile("mov v0.d[0], %0\n\tmov v0.d[1], %1\n\tstr q0, [%2]"
			 : : "r"(words[0]), "r"(words[1]), "r"(address) : "memory");
}

#endif
