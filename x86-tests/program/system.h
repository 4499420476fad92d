/* SPDX-License-Identifier: Apache-2.0 */
/* How a program of Linux calls the kernel on x86-64, and what a signal's frame says of a fault. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <linux/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return number;
}

/* As in struct wcvmm_record: the vector, and the error code. */
static inline unsigned long long fault_syndrome(const struct ucontext *context)
{
	return (unsigned long long)context->uc_mcontext.trapno << 32 | (unsigned int)context->uc_mcontext.err;
}

static inline unsigned long long fault_address(const struct ucontext *context)
{
	return context->uc_mcontext.cr2;
}

#endif
