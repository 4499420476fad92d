/* SPDX-License-Identifier: Apache-2.0 */
/* How a program of Linux calls the kernel on arm64, and what a signal's frame says of a fault. */
#ifndef SYSTEM_H
#define SYSTEM_H

#include <linux/signal.h>

#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>

static inline long system_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

/* ESR_EL1, which the kernel gives with a fault that the program may know of; else 0. */
static inline unsigned long long fault_syndrome(const struct ucontext *context)
{
	const unsigned char *at = context->uc_mcontext.__reserved;
	const unsigned char *end = at + sizeof(context->uc_mcontext.__reserved);

	while (at + sizeof(struct esr_context) <= end) {
		const struct _aarch64_ctx *head = (const struct _aarch64_ctx *)at;

		if (head->magic == ESR_MAGIC)
			return ((const struct esr_context *)at)->esr;
		if (head->magic == 0 || head->size < sizeof(*head))
			break;
		at += head->size;
	}
	return 0;
}

static inline unsigned long long fault_address(const struct ucontext *context)
{
	return context->uc_mcontext.fault_address;
}

#endif
