/* SPDX-License-Identifier: Apache-2.0 */
/* x86: the memory types that the guest's kernel has on record, in debugfs; no other architecture has such a list. */
#ifndef MEMTYPE_H
#define MEMTYPE_H

#include "linux/abi.h"

#define MEMTYPES "/sys/kernel/debug/x86/pat_memtype_list"
#define MEMTYPE_NONE 0xffu

/* The PAT type on record for the page at this physical address, MEMTYPE_NONE where there is none; or a negative errno. */
long memtype_at(wcvmm_u64 physical);

#endif
