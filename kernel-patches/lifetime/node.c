// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "node.h"

int open_node(const char *address)
{
	char path[128], node[400] = "";
	struct dirent *entry;
	DIR *folder;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vfio-dev", address);
	folder = opendir(path);
	if (!folder)
		return -1;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] == 'v')
			snprintf(node, sizeof(node), "/dev/vfio/devices/%s", entry->d_name);
	closedir(folder);
	return open(node, O_RDWR | O_CLOEXEC);
}
