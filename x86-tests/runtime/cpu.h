/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CPU_H
#define CPU_H

#include "abi.h"
#include "runtime/memory-map.h"

#define NAME_OF_ARCH		"x86"
#define NAME_OF_SYNDROME	"syndrome"
#define NAME_OF_ADDRESS		"cr2"
#define NAME_OF_PC		"rip"
#define GUARDED_VECTOR(syndrome) ((syndrome) >> 32)

_Static_assert(DOORBELL_EXIT == WCVMM_DOORBELL_EXIT && STATUS_BAD_CPU == WCVMM_STATUS_BAD_CPU, "not as in abi.h");

#define MSR_PAT 0x277u

struct cpuid {
	wcvmm_u32 eax, ebx, ecx, edx;
};

/* Zeroes for a leaf that the CPU does not have. */
static inline struct cpuid cpuid(wcvmm_u32 leaf)
{
	struct cpuid of = { .eax = leaf & 0x80000000u };

	__asm__ volatile("cpuid" : "+a"(of.eax), "=b"(of.ebx), "+c"(of.ecx), "=d"(of.edx));
	if (of.eax < leaf)
		return (struct cpuid){ 0 };
	of = (struct cpuid){ .eax = leaf };
	__asm__ volatile("cpuid" : "+a"(of.eax), "=b"(of.ebx), "+c"(of.ecx), "=d"(of.edx));
	return of;
}

static inline wcvmm_u64 read_msr(wcvmm_u32 number)
{
	wcvmm_u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (wcvmm_u64)high << 32 | low;
}

static inline void write_msr(wcvmm_u32 number, wcvmm_u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(number), "a"((wcvmm_u32)value), "d"((wcvmm_u32)(value >> 32)) : "memory");
}

static inline wcvmm_u64 read_cr3(void)
{
	wcvmm_u64 cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	return cr3;
}

/* The time stamp counter, with everything before it complete, stores too, and nothing after it started. */
static inline wcvmm_u64 ticks(void)
{
	wcvmm_u32 low, high;

	__asm__ volatile("mfence\n\tlfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (wcvmm_u64)high << 32 | low;
}

/* 0 where the CPU does not tell, as most hypervisors' do not: then the VMM must know. */
static inline wcvmm_u64 ticks_per_second(void)
{
	const struct cpuid clock = cpuid(0x15);

	return clock.eax ? (wcvmm_u64)clock.ecx * clock.ebx / clock.eax : 0;
}

/* start.S got here: the CPU has long mode and all that goes with it. */
static inline int cpu_is_enough(void)
{
	return 1;
}

/* Every access before it is globally visible, write-combining buffers too. */
static inline void full_barrier(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

/* The host sees the stores before it before those after it: the CPU keeps the order of stores to RAM. */
static inline void publish_barrier(void)
{
	__asm__ volatile("" : : : "memory");
}

static inline void store_fence(void)
{
	__asm__ volatile("sfence" : : : "memory");
}

/* Whatever memory type it is mapped with, the line leaves every cache (SDM vol. 2A, CLFLUSH). */
static inline void flush_line(wcvmm_u64 address)
{
	__asm__ volatile("clflush (%0)" : : "r"(address) : "memory");
}

/* In assembly, so that the compiler makes one 32-bit store of it, which is what an exit to the VMM can report. */
static inline void ring(wcvmm_u64 offset, wcvmm_u32 value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(DOORBELL + offset) : "memory");
}

static inline wcvmm_u64 load(wcvmm_u64 address)
{
	wcvmm_u64 value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void store(wcvmm_u64 address, wcvmm_u64 value)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

/*
 * The address, which waits for the word that was read and does not depend on what it is. Not XOR: the CPU knows
 * that a register XORed with itself is 0, and waits for nothing.
 */
static inline wcvmm_u64 after(wcvmm_u64 address, wcvmm_u64 word)
{
	__asm__ volatile("andq $0, %1\n\taddq %1, %0" : "+r"(address), "+r"(word) : : "cc");
	return address;
}

static inline void undefined_instruction(void)
{
	__asm__ volatile("ud2");
}

#endif
