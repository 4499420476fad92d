// SPDX-License-Identifier: Apache-2.0
#include "runtime/guest.h"
#include "runtime/guard.h"
#include "runtime/memory-map.h"

struct guard guard;

/* KVM can only report a store whose syndrome says what it was: one register, no writeback, hence assembly. */
static void ring(wcvmm_u64 offset, wcvmm_u32 value)
{
	__asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(DOORBELL + offset) : "memory");
}

_Noreturn void guest_exit(wcvmm_u32 status)
{
	__asm__ volatile("dsb sy" : : : "memory");
	for (;;)
		ring(WCVMM_DOORBELL_EXIT, status);
}

_Noreturn void guest_unexpected(wcvmm_u64 vector, wcvmm_u64 syndrome, wcvmm_u64 address, wcvmm_u64 pc)
{
	static int before;

	if (!before) {
		before = 1;
		print("wcvmm guest: unexpected exception, vector ");
		print_decimal((wcvmm_u32)vector);
		print(" esr ");
		print_hex(syndrome);
		print(" far ");
		print_hex(address);
		print(" elr ");
		print_hex(pc);
		print("\n");
	}
	guest_exit(WCVMM_STATUS_EXCEPTION);
}

void guest_sync(wcvmm_u32 cell)
{
	__asm__ volatile("dsb sy" : : : "memory");
	ring(WCVMM_DOORBELL_SYNC, cell);
	__asm__ volatile("dsb sy" : : : "memory");
}

void print(const char *text)
{
	while (*text)
		ring(WCVMM_DOORBELL_PUTCHAR, (unsigned char)*text++);
}

void print_hex(wcvmm_u64 value)
{
	int shift = 60;

	while (shift > 0 && value >> shift == 0)
		shift -= 4;
	for (print("0x"); shift >= 0; shift -= 4)
		ring(WCVMM_DOORBELL_PUTCHAR, (wcvmm_u8)"0123456789abcdef"[value >> shift & 15]);
}

void print_decimal(wcvmm_u32 value)
{
	if (value >= 10)
		print_decimal(value / 10);
	ring(WCVMM_DOORBELL_PUTCHAR, '0' + value % 10);
}
