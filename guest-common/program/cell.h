/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LINUX_CELL_H
#define LINUX_CELL_H

#include "linux/abi.h"

/* Asks one cell in a child, since a fault is an answer too, and writes its record; `page_size` is the guest's. */
void cell_ask(const struct wcvmm_linux_questions *questions, wcvmm_u32 index, wcvmm_u64 page_size);

#endif
