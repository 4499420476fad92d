// SPDX-License-Identifier: GPL-2.0-only
/* Every answer that include/uapi/linux/vfio.h promises to a request for a cookie, and to mmap() with one. */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

static int request(int fd, uint32_t flags, uint32_t argsz, struct cookie *cookie)
{
	cookie->argsz = argsz;
	cookie->flags = flags | FEATURE_MMAP_COOKIE;
	return ioctl(fd, VFIO_DEVICE_FEATURE, cookie);
}

static void feature_flags(int fd)
{
	struct cookie cookie = { .region = MEMORY_BAR };
	const uint32_t whole = sizeof(cookie), header = sizeof(struct vfio_device_feature);

	ok(!request(fd, VFIO_DEVICE_FEATURE_PROBE, header, &cookie), "PROBE");
	ok(!request(fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET, header, &cookie), "PROBE for GET");
	refused(request(fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET, whole, &cookie), EINVAL, "PROBE for SET");
	refused(request(fd, VFIO_DEVICE_FEATURE_SET, whole, &cookie), EINVAL, "SET");
	refused(request(fd, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_SET, whole, &cookie), EINVAL, "GET and SET");
	refused(request(fd, 0, whole, &cookie), EINVAL, "neither GET nor SET");
	ok(!cookie.offset && !cookie.size, "none of them has written anything");
	refused(request(fd, VFIO_DEVICE_FEATURE_GET, whole - 1, &cookie), EINVAL, "argsz one too small");
	refused(request(fd, VFIO_DEVICE_FEATURE_GET, header, &cookie), EINVAL, "argsz of the header");
	refused(request(fd, VFIO_DEVICE_FEATURE_GET, header - 1, &cookie), EINVAL, "argsz less than the header");
	ok(!request(fd, VFIO_DEVICE_FEATURE_GET, whole + 8, &cookie) && cookie.offset, "argsz larger than needed");
}

/* The request at the end of a page, the next of which does not exist, or cannot be written. */
static void bad_buffers(int fd)
{
	char *pages = mmap(NULL, 2 * page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_device_feature *cut = (void *)(pages + page_size() - sizeof(*cut));
	struct cookie *constant = (void *)pages;

	refused(ioctl(fd, VFIO_DEVICE_FEATURE, NULL), EFAULT, "no buffer");
	*constant = (struct cookie){ sizeof(*constant), VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE, MEMORY_BAR, 0, 0, 0 };
	*cut = (struct vfio_device_feature){ sizeof(*constant), VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE };
	munmap(pages + page_size(), page_size());
	refused(ioctl(fd, VFIO_DEVICE_FEATURE, cut), EFAULT, "a buffer that ends after the header");
	mprotect(pages, page_size(), PROT_READ);
	refused(ioctl(fd, VFIO_DEVICE_FEATURE, constant), EFAULT, "a buffer that cannot be written");
	munmap(pages, page_size());
}

static void requests(const struct device *device)
{
	struct cookie cookie;
	int fd = device->fd;

	refused(get_cookie(fd, MEMORY_BAR, ATTRIBUTES, &cookie), EINVAL, "an unknown attribute");
	refused(get_cookie(fd, MEMORY_BAR, UINT_MAX, &cookie), EINVAL, "the largest attribute");
	refused(get_cookie(fd, MEMORY_BAR, ATTRIBUTE_CACHEABLE, &cookie), EOPNOTSUPP, "CACHEABLE of a BAR");
	refused(get_cookie(fd, device->regions, ATTRIBUTE_DEFAULT, &cookie), EINVAL, "a region after the last");
	refused(get_cookie(fd, UINT_MAX, ATTRIBUTE_DEFAULT, &cookie), EINVAL, "the largest region");
	refused(get_cookie(fd, 0x80000000 | MEMORY_BAR, ATTRIBUTE_DEFAULT, &cookie), EINVAL, "a region with the sign bit");
	refused(get_cookie(fd, VFIO_PCI_CONFIG_REGION_INDEX, ATTRIBUTES, &cookie), EINVAL, "an unknown attribute of a region that cannot be mapped");
	cookie = (struct cookie){ .region = MEMORY_BAR, .attribute = ATTRIBUTE_DEVICE, .offset = ~0ull, .size = ~0ull };
	ok(!request(fd, VFIO_DEVICE_FEATURE_GET, sizeof(cookie), &cookie) && cookie.region == MEMORY_BAR &&
	   cookie.attribute == ATTRIBUTE_DEVICE && cookie.size != ~0ull, "offset and size are only answers, region and attribute only questions");
}

static void same_again(const struct device *device)
{
	struct vfio_region_info info;
	struct cookie first[3], again;
	bool same = true, own = true;

	region_info(device->fd, MEMORY_BAR, &info);
	for (int i = 0; i < 3; i++) {
		need(!get_cookie(device->fd, MEMORY_BAR, i, &first[i]), "cookie");
		own = own && first[i].offset != info.offset;
		for (int j = 0; j < i; j++)
			own = own && (first[j].offset + first[j].size <= first[i].offset || first[i].offset + first[i].size <= first[j].offset);
	}
	ok(own, "each attribute has an offset of its own, none that of the region info, and they don't overlap");
	for (int i = 0; i < 300; i++)
		same = same && !get_cookie(device->fd, MEMORY_BAR, i % 3, &again) && again.offset == first[i % 3].offset && again.size == first[i % 3].size;
	ok(same, "the same request gets the same cookie, 300 times");
}

static void mmap_with(const struct device *device, const struct way *way)
{
	uint64_t offset = offset_of(device->fd, MEMORY_BAR, way);
	size_t page = page_size(), size;
	struct vfio_region_info info;
	char *at, byte;

	region_info(device->fd, MEMORY_BAR, &info);
	size = page_align(info.size);
	refused(map(device->fd, offset, size + page), ENXIO, "%s, one page too many", way->name);
	refused(map(device->fd, offset + size - page, 2 * page), ENXIO, "%s, across the end", way->name);
	refused(mmap(NULL, page, PROT_READ, MAP_PRIVATE, device->fd, offset), EINVAL, "%s, MAP_PRIVATE", way->name);
	refused(map(device->fd, offset + 1, page), EINVAL, "%s, not at a page", way->name);
	at = map(device->fd, offset + size - page, page);
	ok(at != MAP_FAILED && !munmap(at, page), "%s, the last page alone", way->name);
	at = map(device->fd, offset, size);
	ok(at != MAP_FAILED && !munmap(at, size), "%s, all of it", way->name);
	if (way->attribute < 0)
		return;
	refused(pread(device->fd, &byte, 1, offset), EINVAL, "%s, pread() at a cookie", way->name);
	refused(pwrite(device->fd, &byte, 1, offset), EINVAL, "%s, pwrite() at a cookie", way->name);
}

static void nobodys_offsets(const struct device *device)
{
	size_t page = page_size();
	uint64_t lowest = ~0ull;
	struct cookie cookie;

	for (int i = 0; i < 3; i++)
		if (!get_cookie(device->fd, MEMORY_BAR, i, &cookie) && cookie.offset < lowest)
			lowest = cookie.offset;
	refused(map(device->fd, lowest - page, page), ENXIO, "mmap() before the first cookie");
	refused(map(device->fd, lowest - page, 2 * page), ENXIO, "mmap() from before the first cookie into it");
	refused(map(device->fd, 1ull << 45, page), ENXIO, "mmap() at 32 TiB");
	refused(map(device->fd, 1ull << 55, page), ENXIO, "mmap() at 32 PiB");
	refused(map(device->fd, LLONG_MAX & ~(uint64_t)(page - 1), page), ENXIO, "mmap() at the last page of a file");
	refused(map(device->fd, device->config, page), ENXIO, "mmap() of configuration space");
}

void errors_group(void)
{
	struct device device;
	struct cookie before;
	int fd;

	fd = open_node(addresses[0]);
	need(fd >= 0, "open");
	refused(get_cookie(fd, MEMORY_BAR, ATTRIBUTE_DEFAULT, &before), EINVAL, "a file without access to the device");
	refused(map(fd, 0, page_size()), EINVAL, "mmap() of a file without access to the device");
	close(fd);

	open_device(&device, addresses[0]);
	refused(map(device.fd, 12ull << 40, page_size()), ENXIO, "mmap() where cookies begin, before there are any");
	feature_flags(device.fd);
	bad_buffers(device.fd);
	requests(&device);
	same_again(&device);
	for (int i = 0; i < nr_ways; i++)
		mmap_with(&device, &ways[i]);
	nobodys_offsets(&device);

	get_cookie(device.fd, MEMORY_BAR, ATTRIBUTE_WC, &before);
	close_device(&device);
	open_device(&device, addresses[0]);
	refused(map(device.fd, before.offset, page_size()), ENXIO, "a new file knows no cookie of the one before");
}
