/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYNDROME_H
#define SYNDROME_H

#include "abi.h"

/* The outcome that the syndrome of a record stands for. */
enum wcvmm_outcome syndrome_outcome(wcvmm_u64 syndrome);

/* 1 when the CPU says which address faulted. */
int syndrome_has_address(wcvmm_u64 syndrome);

#endif
