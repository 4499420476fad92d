// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"

const char **addresses;
int nr_addresses;

int bind_iommufd(int fd, int iommufd)
{
	struct bind_iommufd request = { sizeof(request), 0, iommufd, 0 };

	return ioctl(fd, BIND_IOMMUFD, &request);
}

void open_device(struct device *device, const char *address)
{
	struct ioas_alloc ioas = { sizeof(ioas), 0, 0 };
	struct attach_ioas attach = { sizeof(attach), 0, 0 };

	*device = (struct device){ .address = address };
	device->fd = open_node(address);
	need(device->fd >= 0, "%s, open", address);
	device->iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	need(device->iommufd >= 0, "/dev/iommu");
	need(!bind_iommufd(device->fd, device->iommufd), "%s, bind", address);
	need(!ioctl(device->iommufd, IOAS_ALLOC, &ioas), "%s, IOAS", address);
	attach.ioas = device->ioas = ioas.ioas;
	need(!ioctl(device->fd, ATTACH_IOAS, &attach), "%s, attach", address);
	learn(device);
	memory_on(device);
}

void learn(struct device *device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info config;

	need(!ioctl(device->fd, VFIO_DEVICE_GET_INFO, &info), "%s, info", device->address);
	device->flags = info.flags;
	device->regions = info.num_regions;
	need(region_info(device->fd, VFIO_PCI_CONFIG_REGION_INDEX, &config), "%s, configuration space", device->address);
	device->config = config.offset;
}

void close_device(struct device *device)
{
	close(device->fd);
	close(device->iommufd);
}

bool region_info(int fd, uint32_t region, struct vfio_region_info *info)
{
	*info = (struct vfio_region_info){ .argsz = sizeof(*info), .index = region };
	return !ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, info);
}

long listed_attributes(int fd, uint32_t region)
{
	union {
		struct vfio_region_info info;
		char bytes[1024];
	} answer = { .info = { .argsz = sizeof(answer), .index = region } };

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &answer) || !(answer.info.flags & VFIO_REGION_INFO_FLAG_CAPS))
		return -1;
	for (uint32_t at = answer.info.cap_offset; at && at <= sizeof(answer) - sizeof(struct attributes_capability);) {
		struct attributes_capability *capability = (void *)(answer.bytes + at);

		if (capability->header.id == CAPABILITY_MMAP_ATTRIBUTES)
			return capability->attributes;
		at = capability->header.next;
	}
	return -1;
}

int get_cookie(int fd, uint32_t region, uint32_t attribute, struct cookie *cookie)
{
	*cookie = (struct cookie){ sizeof(*cookie), VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE, region, attribute, 0, 0 };
	return ioctl(fd, VFIO_DEVICE_FEATURE, cookie);
}

int feature(int fd, uint32_t flags)
{
	struct vfio_device_feature request = { sizeof(request), flags };

	return ioctl(fd, VFIO_DEVICE_FEATURE, &request);
}

void *map(int fd, uint64_t offset, size_t length)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
}

size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

size_t page_align(uint64_t size)
{
	return (size + page_size() - 1) & ~(page_size() - 1);
}

uint16_t config_read(const struct device *device, unsigned int at)
{
	uint16_t value = 0xffff;

	need(pread(device->fd, &value, 2, device->config + at) == 2, "%s, read configuration space", device->address);
	return value;
}

void config_write(const struct device *device, unsigned int at, uint16_t value)
{
	need(pwrite(device->fd, &value, 2, device->config + at) == 2, "%s, write configuration space", device->address);
}

unsigned int find_capability(const struct device *device, uint8_t id)
{
	unsigned int at = config_read(device, PCI_CAPABILITY_LIST) & 0xfc;

	for (int i = 0; at && i < 48; i++) {
		uint16_t header = config_read(device, at);

		if ((header & 0xff) == id)
			return at;
		at = header >> 8 & 0xfc;
	}
	return 0;
}

void memory_on(const struct device *device)
{
	config_write(device, PCI_COMMAND, config_read(device, PCI_COMMAND) | PCI_COMMAND_MEMORY);
}

void memory_off(const struct device *device)
{
	config_write(device, PCI_COMMAND, config_read(device, PCI_COMMAND) & ~PCI_COMMAND_MEMORY);
}
