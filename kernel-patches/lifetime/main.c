// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks the single answers of VFIO's mmap cookies, and how long their mappings live:
 *
 *	lifetime ADDRESS...
 *
 * takes PCI devices that are bound to vfio-pci. The first one must have memory in BAR 2, with nothing of value in it.
 * Each check is a line that begins with ok, FAIL or skip. Exit code: 0 nothing failed, 1 something did, 2 usage, 77 the
 * kernel has no cookies; then only the old offsets are checked, and that every request for a cookie gets ENOTTY.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

/* 1, 0, or -1 if the device cannot be asked. */
static int kernel_has_cookies(void)
{
	int fd = open_node(addresses[0]), iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC), answer;

	if (fd < 0 || iommufd < 0 || bind_iommufd(fd, iommufd)) {
		perror(addresses[0]);
		return -1;
	}
	answer = !feature(fd, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET | FEATURE_MMAP_COOKIE) || errno != ENOTTY;
	close(fd);
	close(iommufd);
	return answer;
}

/* x86: for which ranges a memory type is reserved. Mappings that are gone must not be among them. */
static size_t read_memory_types(char *text, size_t size)
{
	int fd = open("/sys/kernel/debug/x86/pat_memtype_list", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t more;

	while (fd >= 0 && (more = read(fd, text + length, size - length)) > 0)
		length += more;
	close(fd);
	return length;
}

static const struct group {
	const char *name;
	void (*run)(void);
	bool needs_cookies;
} groups[] = {
	{ "errors", errors_group, true },
	{ "regions", regions_group, false },
	{ "show", show_group, true },
	{ "revoke", revoke_group, false },
	{ "vma", vma_group, false },
	{ "process", process_group, false },
	{ "two files", two_files_group, false },
	{ "DMA-buf", dma_buf_group, false },
	{ "large", large_group, false },
	{ "unbind", unbind_group, false },
};

int main(int count, char **arguments)
{
	static char before[16384], after[16384];
	struct utsname kernel;
	int cookies;

	if (count < 2) {
		fprintf(stderr, "lifetime ADDRESS...\n");
		return 2;
	}
	addresses = (const char **)arguments + 1;
	nr_addresses = count - 1;
	check_init();
	cookies = kernel_has_cookies();
	if (cookies < 0)
		return 2;
	if (cookies)
		nr_ways = MAX_WAYS;
	else
		run_group("no cookies", no_cookies_group);
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		size_t length = read_memory_types(before, sizeof(before));

		if (groups[i].needs_cookies && !cookies)
			continue;
		run_group(groups[i].name, groups[i].run);
		if (length)
			ok(read_memory_types(after, sizeof(after)) == length && !memcmp(before, after, length),
			   "%s leaves no memory type reserved", groups[i].name);
	}
	uname(&kernel);
	printf("%s %s, pages of %zu KiB: %d passed, %d failed%s\n", kernel.release, kernel.machine, page_size() / 1024, counts->passed,
	       counts->failed, cookies ? "" : "; the kernel has no mmap cookies");
	if (counts->failed)
		return 1;
	return cookies ? 0 : 77;
}
