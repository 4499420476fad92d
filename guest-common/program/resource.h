/* SPDX-License-Identifier: Apache-2.0 */
/* A device's BAR as the guest's own kernel gives it to a program: by sysfs. */
#ifndef RESOURCE_H
#define RESOURCE_H

#include "linux/abi.h"

#define DEVICES "/sys/bus/pci/devices/"

/* Switches it on, as a driver would: until then it does not answer. */
void resource_enable(const struct wcvmm_linux_window *window);

/* Where the BAR is, as the guest's kernel has placed it; 0 where it has none. */
wcvmm_u64 resource_physical(const struct wcvmm_linux_window *window);

struct resource_mapping {
	/* 0: `failed` says why, as a record's syndrome. */
	wcvmm_u64 address, failed;
};

/* The page of the guest's that has `offset` of the window; for loads, and for stores if asked. */
struct resource_mapping resource_map(const struct wcvmm_linux_window *window, wcvmm_u32 stage1, wcvmm_u64 offset,
				     int writable, wcvmm_u64 page_size);

#endif
