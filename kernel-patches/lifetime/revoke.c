// SPDX-License-Identifier: GPL-2.0-only
/*
 * What takes a device's memory away takes it from every mapping, however and wherever it was made, in every process; and
 * gives it back. The windows at the old offset are the measure: kernels without cookies treat those the same.
 */
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

struct event {
	const char *name;
	/* False and errno: the device cannot do this. */
	bool (*down)(const struct device *device);
	/* NULL: it is over when down() returns. */
	bool (*up)(const struct device *device);
};

static bool disable_memory(const struct device *device)
{
	memory_off(device);
	return true;
}

static bool enable_memory(const struct device *device)
{
	memory_on(device);
	return true;
}

static bool set_power_state(const struct device *device, uint16_t state)
{
	unsigned int at = find_capability(device, PCI_CAP_ID_PM);

	if (!at) {
		errno = EOPNOTSUPP;
		return false;
	}
	config_write(device, at + PCI_PM_CTRL, (config_read(device, at + PCI_PM_CTRL) & ~PCI_PM_CTRL_STATE_MASK) | state);
	return true;
}

static bool sleep_d3(const struct device *device)
{
	return set_power_state(device, 3);
}

static bool wake_d0(const struct device *device)
{
	if (!set_power_state(device, 0))
		return false;
	/* A device may forget its command register in D3. */
	memory_on(device);
	return true;
}

static bool enter_low_power(const struct device *device)
{
	return !feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_ENTRY);
}

static bool exit_low_power(const struct device *device)
{
	return !feature(device->fd, VFIO_DEVICE_FEATURE_SET | FEATURE_LOW_POWER_EXIT);
}

static bool reset(const struct device *device)
{
	errno = EOPNOTSUPP;
	return device->flags & VFIO_DEVICE_FLAGS_RESET && !ioctl(device->fd, VFIO_DEVICE_RESET);
}

static bool hot_reset(const struct device *device)
{
	struct vfio_pci_hot_reset request = { .argsz = sizeof(request) };

	return !ioctl(device->fd, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

static const struct event events[] = {
	{ "memory off", disable_memory, enable_memory },
	{ "D3", sleep_d3, wake_d0 },
	{ "low power", enter_low_power, exit_low_power },
	{ "reset", reset, NULL },
	{ "hot reset", hot_reset, NULL },
};

/* Live, and by page table entries that are there already: what an event removes must have been there. */
static bool live_without_fault(const struct window *window)
{
	uint32_t value;
	bool live = !peek(window->at, &value);
	long before = faults();

	return live && !peek(window->at, &value) && faults() == before;
}

static void dead(const struct window *window, struct peer *peer, const char *when)
{
	uint32_t value;

	ok(peek(window->at, &value) == SIGBUS && peek(window->at + window->length - 4, &value) == SIGBUS && poke(window->at, 1) == SIGBUS,
	   "%s, dead: %s", when, window->way->name);
	ok(peer_peek(peer, window->at, &value) == SIGBUS, "%s, dead in another process: %s", when, window->way->name);
}

static void alive(const struct window *window, struct peer *peer, bool has_marks, const char *when)
{
	long before = faults();
	uint32_t value;
	bool live = !peek(window->at, &value);

	ok(live && faults() == before + 1, "%s, back, and its page table entry was gone: %s", when, window->way->name);
	if (has_marks)
		ok(marked(window), "%s, still the same pages: %s", when, window->way->name);
	ok(!peer_peek(peer, window->at, &value), "%s, back in another process: %s", when, window->way->name);
}

static void happens(const struct device *device, const struct event *event, struct window *windows, bool has_marks)
{
	char when[64], after[64];
	struct peer peer;
	uint32_t value;

	snprintf(when, sizeof(when), "%s, %s", device->address, event->name);
	snprintf(after, sizeof(after), "%s, after %s", device->address, event->name);
	peer_start(&peer);
	for (int i = 0; i < nr_ways; i++) {
		if (has_marks)
			mark(&windows[i]);
		ok(live_without_fault(&windows[i]) && !peer_peek(&peer, windows[i].at, &value), "%s, live before: %s", when, windows[i].way->name);
	}
	if (!event->down(device)) {
		skip("%s: the device cannot do that, %s", when, strerror(errno));
	} else {
		for (int i = 0; event->up && i < nr_ways; i++)
			dead(&windows[i], &peer, when);
		if (event->up)
			ok(event->up(device), "%s ends", when);
		for (int i = 0; i < nr_ways; i++)
			alive(&windows[i], &peer, has_marks, after);
	}
	peer_stop(&peer);
}

/* Of the devices after the first, the first that has what a test of D3 needs. */
static bool open_with_power_states(struct device *device)
{
	for (int i = 1; i < nr_addresses; i++) {
		open_device(device, addresses[i]);
		if (find_capability(device, PCI_CAP_ID_PM))
			return true;
		close_device(device);
	}
	return false;
}

void revoke_group(void)
{
	struct window windows[MAX_WAYS];
	struct device device;

	open_device(&device, addresses[0]);
	map_windows(&device, MEMORY_BAR, windows);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		happens(&device, &events[i], windows, true);
	unmap_windows(windows);
	close_device(&device);

	if (!open_with_power_states(&device)) {
		skip("no device given with power management");
		return;
	}
	map_windows(&device, VFIO_PCI_BAR0_REGION_INDEX, windows);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		happens(&device, &events[i], windows, false);
}
