/* SPDX-License-Identifier: Apache-2.0 */
/* The doorbell: the console and the way out. */
#ifndef GUEST_H
#define GUEST_H

#include "abi.h"

/* Each guest image defines this: it gets the start of RAM and returns a WCVMM_STATUS_*. */
wcvmm_u32 guest_main(wcvmm_u64 ram);

_Noreturn void guest_exit(wcvmm_u32 status);
/* Called by the exception vectors: `vector` is the number of the one that was entered. */
_Noreturn void guest_unexpected(wcvmm_u64 vector, wcvmm_u64 syndrome, wcvmm_u64 address, wcvmm_u64 pc);

void guest_sync(wcvmm_u32 cell);

void print(const char *text);
void print_hex(wcvmm_u64 value);
void print_decimal(wcvmm_u32 value);

#endif
