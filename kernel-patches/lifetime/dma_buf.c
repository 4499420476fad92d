// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BAR that is exported as a DMA-buf and mapped by cookies at once: whatever takes one away takes the other. Whether the
 * DMA-buf is revoked is seen by putting it into an I/O address space.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

#define EXPORTED_PAGES 16

static int export(const struct device *device)
{
	struct dma_buf_request request = {
		.argsz = sizeof(request),
		.flags = VFIO_DEVICE_FEATURE_GET | FEATURE_DMA_BUF,
		.region = MEMORY_BAR,
		.open_flags = O_RDWR | O_CLOEXEC,
		.ranges = 1,
		.length = EXPORTED_PAGES * page_size(),
	};

	return ioctl(device->fd, VFIO_DEVICE_FEATURE, &request);
}

static int put_in(const struct device *device, int dma_buf, uint64_t *iova)
{
	struct ioas_map_file request = {
		.size = sizeof(request),
		.flags = IOAS_MAP_WRITEABLE | IOAS_MAP_READABLE,
		.ioas = device->ioas,
		.fd = dma_buf,
		.length = EXPORTED_PAGES * page_size(),
	};
	int result = ioctl(device->iommufd, IOAS_MAP_FILE, &request);

	*iova = request.iova;
	return result;
}

static int take_out(const struct device *device, uint64_t iova)
{
	struct ioas_unmap request = { sizeof(request), device->ioas, iova, EXPORTED_PAGES * page_size() };

	return ioctl(device->iommufd, IOAS_UNMAP, &request);
}

static bool usable(const struct device *device, int dma_buf)
{
	uint64_t iova;

	return !put_in(device, dma_buf, &iova) && !take_out(device, iova);
}

static bool revoked(const struct device *device, int dma_buf)
{
	uint64_t iova;

	errno = 0;
	return put_in(device, dma_buf, &iova) == -1 && errno == ENODEV;
}

static void together(const struct device *device, int dma_buf, const struct window *windows)
{
	uint64_t iova;
	int late;

	ok(all_marked(windows) && usable(device, dma_buf), "exported and mapped");
	need(!put_in(device, dma_buf, &iova), "I/O address space");
	memory_off(device);
	ok(all_dead(windows) && revoked(device, dma_buf), "memory off: mappings dead, DMA-buf revoked");
	ok(!take_out(device, iova), "memory off: what was in the I/O address space can be taken out");
	late = export(device);
	ok(late >= 0 && revoked(device, late), "memory off: a DMA-buf exported now is born revoked");
	memory_on(device);
	ok(all_marked(windows) && usable(device, dma_buf) && usable(device, late), "memory on: all of them are back");
	close(late);

	ok(!feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY) && all_dead(windows) && revoked(device, dma_buf),
	   "low power: mappings dead, DMA-buf revoked");
	ok(!feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_EXIT) && all_marked(windows) && usable(device, dma_buf),
	   "low power ends: both are back");
	if (device->flags & VFIO_DEVICE_FLAGS_RESET)
		ok(!ioctl(device->fd, VFIO_DEVICE_RESET) && all_marked(windows) && usable(device, dma_buf), "after a reset, both are back");
}

static int open_both(struct device *device, struct window *windows)
{
	int dma_buf;

	open_device(device, addresses[0]);
	map_windows(device, MEMORY_BAR, windows);
	mark_all(windows);
	dma_buf = export(device);
	if (dma_buf < 0 && errno == ENOTTY) {
		skip("the kernel has no DMA-buf of BARs (CONFIG_VFIO_PCI_DMABUF)");
		_exit(0);
	}
	need(dma_buf >= 0, "export");
	return dma_buf;
}

void dma_buf_group(void)
{
	struct window windows[MAX_WAYS];
	struct device device;
	int dma_buf = open_both(&device, windows);

	together(&device, dma_buf, windows);
	close(dma_buf);
	ok(all_marked(windows), "the DMA-buf is closed, the mappings live");
	unmap_windows(windows);
	close_device(&device);

	dma_buf = open_both(&device, windows);
	unmap_windows(windows);
	ok(usable(&device, dma_buf), "the mappings are gone, the DMA-buf lives");
	close_device(&device);
	close(dma_buf);

	dma_buf = open_both(&device, windows);
	close(device.fd);
	ok(all_marked(windows) && usable(&device, dma_buf), "the descriptor is closed, the mappings keep themselves and the DMA-buf alive");
	unmap_windows(windows);
	ok(revoked(&device, dma_buf), "with the last mapping the device is closed, and the DMA-buf revoked for good");
	close(device.iommufd);
	open_device(&device, addresses[0]);
	map_windows(&device, MEMORY_BAR, windows);
	ok(all_marked(windows) && revoked(&device, dma_buf), "the device is opened again: mappings live, the old DMA-buf does not");
	close(dma_buf);
	ok(all_marked(windows), "it is closed, the mappings live");
}
