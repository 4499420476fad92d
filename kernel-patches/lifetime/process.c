// SPDX-License-Identifier: GPL-2.0-only
/* Mappings that outlive what they were made with: the file descriptor, the mapping that they were copied from, the parent. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

/* Access to a device cannot be had twice, which tells whether anything still holds the first file. A mapping does. */
static bool is_held(void)
{
	int fd = open_node(addresses[0]), iommufd = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	bool held;

	need(fd >= 0 && iommufd >= 0, "open again");
	errno = 0;
	held = bind_iommufd(fd, iommufd) && errno == EINVAL;
	close(fd);
	close(iommufd);
	return held;
}

static void open_and_map(struct device *device, struct window *windows)
{
	open_device(device, addresses[0]);
	map_windows(device, MEMORY_BAR, windows);
	mark_all(windows);
}

static void without_descriptor(void)
{
	struct window windows[MAX_WAYS];
	struct device device, copy;
	bool dead;

	open_and_map(&device, windows);
	copy = device;
	copy.fd = dup(device.fd);
	close(device.fd);
	memory_off(&copy);
	dead = all_dead(windows);
	memory_on(&copy);
	ok(dead && all_marked(windows), "the descriptor is closed, a copy takes memory away and gives it back");
	close_device(&copy);
	ok(all_marked(windows), "every descriptor is closed, the mappings live");
	ok(!munmap(windows[0].at, page_size()) && reads(windows[0].at + page_size(), mark_of(1)), "a page is unmapped, its neighbour lives");
	ok(is_held(), "the mappings hold the file");
	munmap(windows[0].at, windows[0].length);
	for (int i = 1; i < nr_ways; i++) {
		ok(is_held() && marked(&windows[i]), "what is left holds the file: %s", windows[i].way->name);
		munmap(windows[i].at, windows[i].length);
	}
	ok(!is_held(), "with the last mapping, the file is gone");
}

static void forked(void)
{
	struct window windows[MAX_WAYS];
	struct device device;
	struct peer peer;
	uint32_t value;
	bool child;

	open_and_map(&device, windows);
	peer_start(&peer);
	for (int i = 0; i < nr_ways; i++) {
		const char *name = windows[i].way->name;

		ok(!peer_poke(&peer, windows[i].at, ~i) && reads(windows[i].at, ~i), "what the child writes, the parent reads: %s", name);
		ok(!poke(windows[i].at, i) && !peer_peek(&peer, windows[i].at, &value) && value == (uint32_t)i, "and the other way around: %s", name);
		peer_munmap(&peer, windows[i].at, page_size());
		ok(reads(windows[i].at, i) && peer_peek(&peer, windows[i].at, &value), "what the child unmaps, the parent keeps: %s", name);
	}
	unmap_windows(windows);
	peer_close(&peer, device.fd);
	peer_close(&peer, device.iommufd);
	close_device(&device);
	child = true;
	for (int i = 0; i < nr_ways && windows[i].length > page_size(); i++)
		child = child && !peer_peek(&peer, windows[i].at + page_size(), &value) && value == mark_of(windows[i].first / page_size() + 1);
	ok(child && is_held(), "only the child has mappings, no one a descriptor: they live");
	peer_stop(&peer);
	ok(!is_held(), "with the child, the file is gone");
}

/* The child's first access to each page comes after its parent's end, and so does the device's loss of memory. */
static void outlive(int parent_lives, const struct device *device, struct window *windows)
{
	char byte;
	bool dead;

	ok(read(parent_lives, &byte, 1) == 0, "the parent is gone");
	ok(all_marked(windows), "the child has its mappings");
	memory_off(device);
	dead = all_dead(windows);
	memory_on(device);
	ok(dead && all_marked(windows), "it takes memory away from them and gives it back");
	_exit(0);
}

static void orphan(void)
{
	struct window windows[MAX_WAYS];
	struct device device;
	int lives[2];

	/* So that this process can wait for its child's child. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	need(!pipe(lives), "pipe");
	if (!fork()) {
		open_and_map(&device, windows);
		if (!fork()) {
			close(lives[1]);
			outlive(lives[0], &device, windows);
		}
		_exit(0);
	}
	close(lives[0]);
	close(lives[1]);
	while (wait(NULL) > 0)
		;
	ok(!is_held(), "with the child, the file is gone");
}

void process_group(void)
{
	without_descriptor();
	forked();
	orphan();
}
