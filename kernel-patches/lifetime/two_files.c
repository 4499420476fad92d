// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two files of one device, which only the group interface gives. They share an inode, but not their cookies: what an
 * offset means depends on the file, and what happens to the device happens to the mappings of both.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

static int open_group(void)
{
	char link[100], target[200], path[220];
	ssize_t length;
	int group, container;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", addresses[0]);
	length = readlink(link, target, sizeof(target) - 1);
	need(length > 0, "IOMMU group");
	target[length] = 0;
	snprintf(path, sizeof(path), "/dev/vfio/%s", strrchr(target, '/') + 1);
	group = open(path, O_RDWR | O_CLOEXEC);
	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	need(group >= 0 && container >= 0, "%s", path);
	need(!ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) && !ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), "container");
	return group;
}

static void get_file(int group, struct device *device)
{
	*device = (struct device){ .address = addresses[0], .iommufd = -1 };
	device->fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, addresses[0]);
	need(device->fd >= 0, "device file");
	learn(device);
}

/* Asked for in a different order, the first cookie of each file is one for another attribute. */
static void own_cookies(const struct device *one, const struct device *other)
{
	uint64_t mine = offset_of(one->fd, MEMORY_BAR, &ways[2]), its, second;
	size_t page = page_size();
	char *device, *wc, *legacy;
	uint32_t value;

	refused(map(other->fd, mine, page), ENXIO, "the other file does not know a cookie");
	its = offset_of(other->fd, MEMORY_BAR, &ways[3]);
	ok(mine == its, "both files have their first cookie at the same offset");
	device = map(one->fd, mine, page);
	wc = map(other->fd, its, page);
	ok(device != MAP_FAILED && wc != MAP_FAILED && !peek_unaligned(wc), "it is DEVICE in one and WC in the other");
#ifdef __aarch64__
	ok(peek_unaligned(device) == SIGBUS, "unaligned access tells them apart");
#endif
	legacy = map(one->fd, offset_of(one->fd, MEMORY_BAR, &ways[0]), page);
	ok(legacy != MAP_FAILED && !peek(legacy, &value), "the page at its old offset, while it is DEVICE in one file and WC in the other");
	munmap(legacy, page);
	second = offset_of(other->fd, MEMORY_BAR, &ways[2]);
	ok(second != mine, "DEVICE of the other file, asked for later, is at another offset");
	refused(map(one->fd, second, page), ENXIO, "where the first file has nothing");
	munmap(device, page);
	munmap(wc, page);
}

static bool all_fault_once(const struct window *windows)
{
	uint32_t value;

	for (int i = 0; i < nr_ways; i++) {
		long before = faults();

		if (peek(windows[i].at, &value) || faults() != before + 1)
			return false;
	}
	return true;
}

void two_files_group(void)
{
	struct window first[MAX_WAYS], second[MAX_WAYS];
	struct device one, other;
	int group = open_group();

	get_file(group, &one);
	get_file(group, &other);
	memory_on(&one);
	if (nr_ways > 1)
		own_cookies(&one, &other);
	/* The same pages in the same ways: two of each kind go together. */
	map_windows(&one, MEMORY_BAR, first);
	map_windows(&other, MEMORY_BAR, second);
	mark_all(first);
	ok(all_marked(first) && all_marked(second), "both files map the same pages");
	memory_off(&one);
	ok(all_dead(first) && all_dead(second), "one file takes memory away from the mappings of both");
	memory_on(&other);
	ok(all_marked(first) && all_marked(second), "the other one gives it back to both");
	close(other.fd);
	ok(all_marked(second), "one file's descriptor is closed, its mappings live");
	memory_off(&one);
	ok(all_dead(second), "the other file takes memory away from them");
	memory_on(&one);
	ok(all_marked(second), "and gives it back");
	if (one.flags & VFIO_DEVICE_FLAGS_RESET) {
		ok(!ioctl(one.fd, VFIO_DEVICE_RESET) && all_fault_once(second), "it resets the device, and their page table entries are gone");
		ok(all_marked(second), "after that, the same pages");
	}
	close(one.fd);
	unmap_windows(first);
	ok(all_marked(second), "the other file is gone with its mappings, these live");
	unmap_windows(second);
}
