// SPDX-License-Identifier: GPL-2.0-only
/* The driver is unbound while the device is in use: that waits for the file and for the last mapping. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

static int write_driver_file(const char *file, const char *text)
{
	char path[100];
	int fd, result;

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/vfio-pci/%s", file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	result = fd < 0 || write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return result;
}

/* A process that unbinds the driver when it is told to. It starts before the device is opened, and so holds nothing of it. */
static pid_t start_unbinder(int *go)
{
	int pipes[2];
	pid_t pid;
	char byte;

	need(!pipe(pipes), "pipe");
	pid = fork();
	need(pid >= 0, "fork");
	if (!pid)
		_exit(read(pipes[0], &byte, 1) == 1 ? write_driver_file("unbind", addresses[0]) : ECANCELED);
	close(pipes[0]);
	*go = pipes[1];
	return pid;
}

/* Who is woken up is runnable at once: asleep means that nothing has let it go on. */
static bool sleeps(pid_t pid)
{
	char path[40], state = '?';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
		state = '?';
	if (file)
		fclose(file);
	return (state == 'S' || state == 'D') && waitpid(pid, NULL, WNOHANG) == 0;
}

/* The kernel asks the user to give the device back by this. */
static int request_eventfd(const struct device *device)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_REQ_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd(0, EFD_CLOEXEC),
	};

	need(request.fd >= 0 && !ioctl(device->fd, VFIO_DEVICE_SET_IRQS, &request), "eventfd for the request");
	return request.fd;
}

static void still_usable(const struct device *device, const struct window *window)
{
	const char *name = window->way->name;
	uint32_t value;
	bool dead;
	char *at;

	ok(marked(window), "asked to let go, the mapping lives: %s", name);
	memory_off(device);
	dead = peek(window->at, &value);
	memory_on(device);
	ok(dead && marked(window), "asked to let go, memory goes and comes: %s", name);
	at = map(device->fd, offset_of(device->fd, MEMORY_BAR, window->way) + window->first, page_size());
	ok(at != MAP_FAILED && reads(at, mark_of(window->first / page_size())), "asked to let go, a new mapping: %s", name);
	munmap(at, page_size());
}

void unbind_group(void)
{
	struct window windows[MAX_WAYS];
	struct pollfd asked = { .events = POLLIN };
	struct device device;
	int go, status, fd;
	pid_t unbinder;

	unbinder = start_unbinder(&go);
	open_device(&device, addresses[0]);
	map_windows(&device, MEMORY_BAR, windows);
	mark_all(windows);
	asked.fd = request_eventfd(&device);
	need(write(go, "", 1) == 1, "start to unbind");
	/* As long as this takes; the limit is for a kernel that never asks. */
	ok(poll(&asked, 1, 30000) == 1, "unbind asks to let go of the device");
	fd = open_node(addresses[0]);
	ok(fd < 0, "it cannot be opened any more");
	for (int i = 0; i < nr_ways; i++)
		still_usable(&device, &windows[i]);
	close_device(&device);
	ok(sleeps(unbinder), "the file is closed, unbind waits for the mappings");
	for (int i = 0; i < nr_ways; i++) {
		ok(marked(&windows[i]) && sleeps(unbinder), "unbind waits, the mapping lives: %s", windows[i].way->name);
		munmap(windows[i].at, windows[i].length);
	}
	ok(waitpid(unbinder, &status, 0) == unbinder && !status, "with the last mapping gone, unbind ends well");

	ok(!write_driver_file("bind", addresses[0]), "bound again");
	open_device(&device, addresses[0]);
	map_windows(&device, MEMORY_BAR, windows);
	mark_all(windows);
	for (int i = 0; i < nr_ways; i++)
		ok(marked(&windows[i]), "and mapped again: %s", windows[i].way->name);
}
