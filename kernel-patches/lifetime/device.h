/* SPDX-License-Identifier: GPL-2.0-only */
/* A device of vfio-pci, the ways to map it, and what can happen to it. */
#ifndef LIFETIME_DEVICE_H
#define LIFETIME_DEVICE_H

#include "check.h"
#include "node.h"
#include "uapi.h"

struct device {
	const char *address;
	int fd, iommufd;
	uint32_t ioas, flags, regions;
	/* Where the file has the configuration space. */
	uint64_t config;
};

/* The devices of the command line. The first has plain memory in BAR 2. */
extern const char **addresses;
extern int nr_addresses;
#define MEMORY_BAR 2

/* Ends the group if the device cannot be opened. */
void open_device(struct device *device, const char *address);
void close_device(struct device *device);
int bind_iommufd(int fd, int iommufd);
/* Learns what there is to know about an open file. */
void learn(struct device *device);

bool region_info(int fd, uint32_t region, struct vfio_region_info *info);
/* Mask of the attributes that the region info lists, -1 if it has no such list. */
long listed_attributes(int fd, uint32_t region);
int get_cookie(int fd, uint32_t region, uint32_t attribute, struct cookie *cookie);
int feature(int fd, uint32_t flags);
void *map(int fd, uint64_t offset, size_t length);
size_t page_size(void);
size_t page_align(uint64_t size);

/* At the offset of the region info, and with a cookie of each attribute that a BAR of these machines can have. */
struct way {
	const char *name;
	/* Negative: no cookie. */
	int attribute;
};
#define MAX_WAYS 4
extern const struct way ways[MAX_WAYS];
/* 1 on a kernel without cookies. */
extern int nr_ways;
uint64_t offset_of(int fd, uint32_t region, const struct way *way);

/* A piece of a region, mapped in one of the ways. */
struct window {
	const struct way *way;
	char *at;
	size_t length;
	/* Byte of the region, and what says the same of the device file. */
	uint64_t first, offset;
};
/* One for each way, side by side if the region has enough pages. */
void map_windows(const struct device *device, uint32_t region, struct window *windows);
void unmap_windows(struct window *windows);
/* Writes to each page of a window a number that says which page of the region it is. */
void mark(const struct window *window);
/* Each page of the window is there, and the right one. */
bool marked(const struct window *window);
/* The same for all of the windows that map_windows() has made, and whether each is gone: an access is a bus error. */
void mark_all(const struct window *windows);
bool all_marked(const struct window *windows);
bool all_dead(const struct window *windows);
uint32_t mark_of(uint64_t page);

uint16_t config_read(const struct device *device, unsigned int at);
void config_write(const struct device *device, unsigned int at, uint16_t value);
/* Of a capability in configuration space, 0 = there is none. */
unsigned int find_capability(const struct device *device, uint8_t id);
void memory_on(const struct device *device);
void memory_off(const struct device *device);

#endif
