// SPDX-License-Identifier: GPL-2.0-only
/* What can be found out about offsets: the region info's capabilities, /proc/<pid>/fdinfo and /proc/<pid>/maps. */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

/* A caller that has no room for capabilities is told how much they need, and gets none. */
static void capabilities(const struct device *device)
{
	struct vfio_region_info info;

	need(region_info(device->fd, MEMORY_BAR, &info), "region info");
	ok(info.flags & VFIO_REGION_INFO_FLAG_CAPS && !info.cap_offset, "without room for capabilities, there are none in the answer");
	ok(info.argsz >= sizeof(info) + sizeof(struct attributes_capability), "argsz says how much room they need");
	ok(listed_attributes(device->fd, MEMORY_BAR) == (1 << ATTRIBUTE_DEFAULT | 1 << ATTRIBUTE_DEVICE | 1 << ATTRIBUTE_WC),
	   "DEFAULT, DEVICE and WC are listed for a BAR");
}

struct shown {
	unsigned long long first, end;
	unsigned int region;
	char attribute[20];
};

/* The lines of a device file, in their order. */
static int read_fdinfo(int fd, struct shown *shown, int most)
{
	char path[64], line[300];
	int count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	need(file != NULL, "%s", path);
	while (count < most && fgets(line, sizeof(line), file))
		if (sscanf(line, "vfio-mmap: %llx-%llx region %u %19s", &shown[count].first, &shown[count].end, &shown[count].region, shown[count].attribute) == 4)
			count++;
	fclose(file);
	return count;
}

static bool is_shown(const struct shown *shown, int count, uint64_t offset, uint64_t length, uint32_t region, const char *attribute)
{
	for (int i = 0; i < count; i++)
		if (shown[i].first == offset && shown[i].end == offset + length && shown[i].region == region && !strcmp(shown[i].attribute, attribute))
			return true;
	return false;
}

static void fdinfo(const struct device *device)
{
	struct shown shown[40];
	int old = 0, count = read_fdinfo(device->fd, shown, 40);
	bool listed = true;
	struct vfio_region_info info;

	for (uint32_t region = 0; region < device->regions; region++)
		if (region_info(device->fd, region, &info) && info.flags & VFIO_REGION_INFO_FLAG_MMAP) {
			old++;
			listed = listed && is_shown(shown, count, info.offset, page_align(info.size), region, "default");
		}
	ok(listed && count == old, "fdinfo has the old offset of each BAR that can be mapped, and nothing else (%d)", count);
	region_info(device->fd, MEMORY_BAR, &info);
	for (int i = 1; i < nr_ways; i++) {
		uint64_t offset = offset_of(device->fd, MEMORY_BAR, &ways[i]);

		count = read_fdinfo(device->fd, shown, 40);
		ok(count == old + i && is_shown(shown, count, offset, page_align(info.size), MEMORY_BAR, ways[i].name),
		   "fdinfo has a line for the cookie of %s", ways[i].name);
	}
}

/* The file's offset of what is mapped at an address, 0 = nothing of VFIO's. */
static uint64_t offset_in_maps(const void *at)
{
	unsigned long long first, end, offset;
	uint64_t found = 0;
	char line[400];
	FILE *file;

	file = fopen("/proc/self/maps", "r");
	need(file != NULL, "/proc/self/maps");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%llx-%llx %*s %llx", &first, &end, &offset) == 3 && first == (uintptr_t)at && strstr(line, "vfio"))
			found = offset;
	fclose(file);
	return found;
}

void show_group(void)
{
	struct window windows[MAX_WAYS];
	struct device device;

	open_device(&device, addresses[0]);
	capabilities(&device);
	fdinfo(&device);
	map_windows(&device, MEMORY_BAR, windows);
	for (int i = 0; i < nr_ways; i++)
		ok(offset_in_maps(windows[i].at) == windows[i].offset, "maps has the offset of a slice, %s", windows[i].way->name);
}
