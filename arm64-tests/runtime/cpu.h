/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CPU_H
#define CPU_H

#include "abi.h"

#define read_sysreg(name) ({							\
	wcvmm_u64 value_;							\
	__asm__ volatile("mrs %0, " #name : "=r"(value_) : : "memory");		\
	value_;									\
})

#define write_sysreg(name, value)						\
	__asm__ volatile("msr " #name ", %0\n\tisb" : : "r"((wcvmm_u64)(value)) : "memory")

/* An ID register's four-bit field. */
#define id_field(name, lsb) ((wcvmm_u32)(read_sysreg(name) >> (lsb) & 15))

/* The counter, with everything before it complete and nothing after it started. */
static inline wcvmm_u64 ticks(void)
{
	wcvmm_u64 now;

	__asm__ volatile("dsb sy\n\tisb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(now) : : "memory");
	return now;
}

#endif
