// SPDX-License-Identifier: Apache-2.0
#include "program/resource.h"
#include "program/calls.h"
#include "program/text.h"

#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#define MOST_ERRNO 4096

static struct text path_of(const struct wcvmm_linux_window *window, char *into, wcvmm_u64 room, const char *name)
{
	struct text path = { .at = into, .room = room };

	text_add(&path, DEVICES);
	text_add(&path, window->device);
	text_add(&path, name);
	return path;
}

void resource_enable(const struct wcvmm_linux_window *window)
{
	char path[64];

	path_of(window, path, sizeof(path), "/enable");
	write_file(path, "1");
}

wcvmm_u64 resource_physical(const struct wcvmm_linux_window *window)
{
	char path[64], lines[1024];

	path_of(window, path, sizeof(path), "/resource");

	const long length = read_file(path, lines, sizeof(lines));
	const char *at = lines, *end = lines + (length < 0 ? 0 : length);

	for (wcvmm_u32 bar = 0; bar < window->bar; bar++) {
		while (at < end && *at != '\n')
			at++;
		at += at < end;
	}
	return text_hex(&at, end);
}

struct resource_mapping resource_map(const struct wcvmm_linux_window *window, wcvmm_u32 stage1, wcvmm_u64 offset,
				     int writable, wcvmm_u64 page_size)
{
	char name[64];
	struct text path = path_of(window, name, sizeof(name), "/resource");
	const wcvmm_u64 from = window->offset + offset, first = from & ~(page_size - 1);
	const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;

	text_add_decimal(&path, window->bar);
	if (stage1 == WCVMM_LINUX_RESOURCE_WC)
		text_add(&path, "_wc");

	const long fd = open_file(name, writable ? O_RDWR : O_RDONLY);
	long at;

	if (fd < 0)
		return (struct resource_mapping){ .failed = WCVMM_LINUX_NOT_OPENED | (wcvmm_u64)-fd };
	at = call(__NR_mmap, 0, (long)page_size, protection, MAP_SHARED, fd, (long)first);
	call(__NR_close, fd, 0, 0, 0, 0, 0);
	if (at < 0 && at > -MOST_ERRNO)
		return (struct resource_mapping){ .failed = WCVMM_LINUX_NOT_MAPPED | (wcvmm_u64)-at };
	return (struct resource_mapping){ .address = (wcvmm_u64)at + from - first };
}
