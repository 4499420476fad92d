/* SPDX-License-Identifier: GPL-2.0-only */
/* Shared with ../stress. */
#ifndef LIFETIME_NODE_H
#define LIFETIME_NODE_H

/* The file in /dev/vfio/devices of a PCI device, opened, and no more than that; -1 and errno. */
int open_node(const char *address);

#endif
