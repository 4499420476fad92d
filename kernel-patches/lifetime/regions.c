// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every region of every device: what its info says, what cookies it gets and what can be mapped must agree. Among the
 * devices are BARs smaller than a page, two that share a page, I/O ports, a ROM, and an MSI-X table in a BAR.
 */
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

/* The offset's alignment that the uAPI promises, for addresses that huge pages fit to. */
static uint64_t alignment_of(uint64_t size)
{
	size_t page = page_size();
	uint64_t pud = page * (page / 8) * (page / 8), alignment = page;

	while (alignment < size && alignment < pud)
		alignment *= 2;
	return alignment;
}

/* Kernels without the series know only the first TiB of a region at its old offset. */
static size_t known_length(const struct vfio_region_info *info)
{
	size_t length = page_align(info->size);

	return nr_ways > 1 || length < 1ull << 40 ? length : 1ull << 40;
}

/* The first and the last page are there: the last is where a length in another unit would show. */
static bool ends_live(int fd, uint64_t offset, size_t length)
{
	char *first = map(fd, offset, page_size()), *last = map(fd, offset + length - page_size(), page_size());
	uint32_t value;
	bool live = first != MAP_FAILED && last != MAP_FAILED && !peek(first, &value) && !peek(last, &value);

	munmap(first, page_size());
	munmap(last, page_size());
	return live;
}

static void mappable(const struct device *device, const struct vfio_region_info *info, const char *name)
{
	size_t length = page_align(info->size);
	long listed = listed_attributes(device->fd, info->index);
	bool sizes = true, aligned = true, live = true;
	struct cookie cookie;
	uint64_t last = 0;

	ok(ends_live(device->fd, info->offset, known_length(info)), "%s, first and last page at the old offset", name);
	if (nr_ways == 1) {
		ok(listed == -1, "%s, no attributes are listed", name);
		return;
	}
	ok(listed > 0 && listed & 1 << ATTRIBUTE_DEFAULT && !(listed >> ATTRIBUTES), "%s, attributes are listed, DEFAULT among them", name);
	for (int i = 0; i < ATTRIBUTES; i++) {
		if (!(listed & 1 << i)) {
			refused(get_cookie(device->fd, info->index, i, &cookie), EOPNOTSUPP, "%s, attribute %d, which is not listed", name, i);
			continue;
		}
		need(!get_cookie(device->fd, info->index, i, &cookie), "%s, attribute %d, which is listed", name, i);
		sizes = sizes && cookie.size == length;
		aligned = aligned && cookie.offset % alignment_of(info->size) == 0;
		live = live && ends_live(device->fd, cookie.offset, length);
		last = cookie.offset + length - page_size();
	}
	ok(sizes, "%s, cookies for %zu pages", name, length / page_size());
	ok(aligned, "%s, cookies at multiples of %#llx", name, (unsigned long long)alignment_of(info->size));
	ok(live, "%s, first and last page with each cookie", name);
	refused(map(device->fd, last, 2 * page_size()), ENXIO, "%s, beyond the end", name);
}

/* At its old offset, a BAR of more than 1 TiB takes those of the regions after it. */
static bool is_taken(const struct device *device, uint64_t offset)
{
	struct vfio_region_info info;

	for (uint32_t region = 0; region < device->regions; region++)
		if (region_info(device->fd, region, &info) && info.flags & VFIO_REGION_INFO_FLAG_MMAP && info.offset <= offset && offset < info.offset + info.size)
			return true;
	return false;
}

static void not_mappable(const struct device *device, uint32_t region, bool exists, uint64_t offset, const char *name)
{
	struct cookie cookie;

	for (int i = 0; nr_ways > 1 && i < ATTRIBUTES; i++)
		refused(get_cookie(device->fd, region, i, &cookie), exists ? EOPNOTSUPP : EINVAL, "%s, attribute %d", name, i);
	ok(listed_attributes(device->fd, region) == -1, "%s, no attributes are listed", name);
	if (is_taken(device, offset))
		return;
	/* EINVAL is what kernels without the series say. */
	refused(map(device->fd, offset, page_size()), nr_ways > 1 ? ENXIO : EINVAL, "%s, mmap() at the old offset", name);
}

static int small, sharing, ports, roms;

static void one_region(const struct device *device, uint32_t region)
{
	struct vfio_region_info info;
	char name[100];

	if (!region_info(device->fd, region, &info)) {
		snprintf(name, sizeof(name), "%s region %u, absent", device->address, region);
		not_mappable(device, region, false, (uint64_t)region << 40, name);
		return;
	}
	snprintf(name, sizeof(name), "%s region %u, %#llx bytes", device->address, region, (unsigned long long)info.size);
	if (info.flags & VFIO_REGION_INFO_FLAG_MMAP) {
		mappable(device, &info, name);
		small += info.size < page_size();
		return;
	}
	not_mappable(device, region, info.size > 0, info.offset, name);
	if (region < VFIO_PCI_ROM_REGION_INDEX && info.size) {
		bool port = config_read(device, PCI_BASE_ADDRESS_0 + 4 * region) & PCI_BASE_ADDRESS_SPACE_IO;

		ports += port;
		sharing += !port;
	}
	roms += region == VFIO_PCI_ROM_REGION_INDEX && info.size;
}

/* Whoever is allowed to map a BAR sees its MSI-X table. Who reads the BAR through the file does not. */
static void msix_table(const struct device *device)
{
	unsigned int at = find_capability(device, PCI_CAP_ID_MSIX);
	uint32_t table, region, offset, mapped, read;
	struct vfio_region_info info;

	if (!at)
		return;
	table = config_read(device, at + PCI_MSIX_TABLE) | config_read(device, at + PCI_MSIX_TABLE + 2) << 16;
	region = table & PCI_MSIX_TABLE_BIR;
	offset = table & PCI_MSIX_TABLE_OFFSET;
	if (!region_info(device->fd, region, &info) || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP))
		return;
	for (int i = 0; i < nr_ways; i++) {
		uint32_t in_page = offset % page_size();
		char *page = map(device->fd, offset_of(device->fd, region, &ways[i]) + offset - in_page, page_size());

		need(page != MAP_FAILED, "%s, MSI-X table, %s, mmap", device->address, ways[i].name);
		/* Vector control of the first vector: one bit to mask it, the others are 0. */
		ok(!peek(page + in_page + PCI_MSIX_ENTRY_VECTOR_CTRL, &mapped) && !(mapped & ~PCI_MSIX_ENTRY_CTRL_MASKBIT),
		   "%s region %u, the page with the MSI-X table can be mapped, %s", device->address, region, ways[i].name);
		munmap(page, page_size());
	}
	need(pread(device->fd, &read, 4, info.offset + offset + PCI_MSIX_ENTRY_VECTOR_CTRL) == 4, "MSI-X table, read");
	ok(read == ~0u, "%s region %u, read() sees no MSI-X table", device->address, region);
}

void regions_group(void)
{
	for (int i = 0; i < nr_addresses; i++) {
		struct device device;

		open_device(&device, addresses[i]);
		for (uint32_t region = 0; region < device.regions; region++)
			one_region(&device, region);
		msix_table(&device);
		close_device(&device);
	}
	ok(small > 0, "a BAR smaller than a page was among them");
	if (!sharing)
		skip("no device given with a BAR that shares a page with another");
	if (!ports)
		skip("no device given with a BAR of I/O ports");
	if (!roms)
		skip("no device given with a ROM");
}
