// SPDX-License-Identifier: GPL-2.0-only
/* The ways to map a BAR, next to each other. */
#include <signal.h>
#include <sys/mman.h>

#include "device.h"

const struct way ways[MAX_WAYS] = {
	{ "legacy", -1 },
	{ "default", ATTRIBUTE_DEFAULT },
	{ "device", ATTRIBUTE_DEVICE },
	{ "wc", ATTRIBUTE_WC },
};
int nr_ways = 1;

uint64_t offset_of(int fd, uint32_t region, const struct way *way)
{
	struct vfio_region_info info;
	struct cookie cookie;

	if (way->attribute < 0) {
		need(region_info(fd, region, &info), "region %u, info", region);
		return info.offset;
	}
	need(!get_cookie(fd, region, way->attribute, &cookie), "region %u, %s, cookie", region, way->name);
	return cookie.offset;
}

#define WINDOW_PAGES 8

void map_windows(const struct device *device, uint32_t region, struct window *windows)
{
	struct vfio_region_info info;
	size_t pages, each;

	need(region_info(device->fd, region, &info), "region %u, info", region);
	pages = page_align(info.size) / page_size();
	each = pages / MAX_WAYS < WINDOW_PAGES ? pages / MAX_WAYS : WINDOW_PAGES;
	for (int i = 0; i < nr_ways; i++) {
		struct window *window = &windows[i];

		window->way = &ways[i];
		window->length = (each ? each : 1) * page_size();
		window->first = each ? i * window->length : 0;
		window->offset = offset_of(device->fd, region, window->way) + window->first;
		window->at = map(device->fd, window->offset, window->length);
		need(window->at != MAP_FAILED, "region %u, %s, mmap", region, window->way->name);
	}
}

void unmap_windows(struct window *windows)
{
	for (int i = 0; i < nr_ways; i++)
		munmap(windows[i].at, windows[i].length);
}

uint32_t mark_of(uint64_t page)
{
	return 0x5a000000 + page;
}

void mark(const struct window *window)
{
	for (size_t at = 0; at < window->length; at += page_size())
		need(!poke(window->at + at, mark_of((window->first + at) / page_size())), "%s, write", window->way->name);
}

bool marked(const struct window *window)
{
	for (size_t at = 0; at < window->length; at += page_size())
		if (!reads(window->at + at, mark_of((window->first + at) / page_size())))
			return false;
	return true;
}

void mark_all(const struct window *windows)
{
	for (int i = 0; i < nr_ways; i++)
		mark(&windows[i]);
}

bool all_marked(const struct window *windows)
{
	for (int i = 0; i < nr_ways; i++)
		if (!marked(&windows[i]))
			return false;
	return true;
}

bool all_dead(const struct window *windows)
{
	uint32_t value;

	for (int i = 0; i < nr_ways; i++)
		if (peek(windows[i].at, &value) != SIGBUS)
			return false;
	return true;
}
