/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CPU_H
#define CPU_H

#include "abi.h"
#include "runtime/memory-map.h"

#define NAME_OF_ARCH		"arm64"
#define NAME_OF_SYNDROME	"esr"
#define NAME_OF_ADDRESS		"far"
#define NAME_OF_PC		"elr"
#define GUARDED_VECTOR(syndrome) 4	/* synchronous, from this level with its own stack pointer */

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

static inline wcvmm_u64 ticks_per_second(void)
{
	return read_sysreg(cntfrq_el0);
}

static inline int cpu_is_enough(void)
{
	return id_field(id_aa64mmfr0_el1, 28) != 15;	/* TGran4: 4 KiB pages */
}

/* Every access before it is complete, to devices too. */
static inline void full_barrier(void)
{
	__asm__ volatile("dsb sy" : : : "memory");
}

/* The host sees the stores before it before those after it. */
static inline void publish_barrier(void)
{
	__asm__ volatile("dmb ish" : : : "memory");
}

/* KVM can only report a store whose syndrome says what it was: one register, no writeback, hence assembly. */
static inline void ring(wcvmm_u64 offset, wcvmm_u32 value)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(DOORBELL + offset) : "memory");
}

static inline wcvmm_u64 load(wcvmm_u64 address)
{
	wcvmm_u64 value;

	__asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void store(wcvmm_u64 address, wcvmm_u64 value)
{
	__asm__ volatile("str %0, [%1]" : : "r"(value), "r"(address) : "memory");
}

/* The address, which waits for the word that was read and does not depend on what it is. */
static inline wcvmm_u64 after(wcvmm_u64 address, wcvmm_u64 word)
{
	__asm__ volatile("eor %1, %1, %1\n\tadd %0, %0, %1" : "+r"(address), "+r"(word));
	return address;
}

static inline void undefined_instruction(void)
{
	__asm__ volatile("udf #0");
}

#endif
