/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYNDROME_H
#define SYNDROME_H

#include "abi.h"

/* The outcome that ESR_EL1 stands for (Arm ARM, ESR_EL1: EC, and the fault status codes of its ISS). */
enum wcvmm_outcome syndrome_outcome(wcvmm_u64 syndrome);

/* 1 when FAR_EL1 holds the address that faulted. */
int syndrome_has_address(wcvmm_u64 syndrome);

#endif
