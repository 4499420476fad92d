// SPDX-License-Identifier: GPL-2.0-only
/* A kernel without the series: it says so, whatever it is asked. */
#include "device.h"
#include "groups.h"

void no_cookies_group(void)
{
	for (int i = 0; i < nr_addresses; i++) {
		struct device device;
		struct cookie cookie;
		int answers = 0;

		open_device(&device, addresses[i]);
		refused(feature(device.fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE), ENOTTY, "%s, PROBE", addresses[i]);
		for (uint32_t region = 0; region < device.regions; region++)
			for (int attribute = 0; attribute < ATTRIBUTES; attribute++)
				answers += !get_cookie(device.fd, region, attribute, &cookie) || errno != ENOTTY;
		ok(!answers, "%s, ENOTTY for every region and attribute", addresses[i]);
		close_device(&device);
	}
}
