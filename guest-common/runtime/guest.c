// SPDX-License-Identifier: Apache-2.0
#include "runtime/guest.h"
#include "runtime/cpu.h"
#include "runtime/guard.h"

struct guard guard;

_Noreturn void guest_exit(wcvmm_u32 status)
{
	full_barrier();
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
		print(" " NAME_OF_SYNDROME " ");
		print_hex(syndrome);
		print(" " NAME_OF_ADDRESS " ");
		print_hex(address);
		print(" " NAME_OF_PC " ");
		print_hex(pc);
		print("\n");
	}
	guest_exit(WCVMM_STATUS_EXCEPTION);
}

void guest_sync(wcvmm_u32 cell)
{
	full_barrier();
	ring(WCVMM_DOORBELL_SYNC, cell);
	full_barrier();
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
