// SPDX-License-Identifier: GPL-2.0-only
/* BARs that huge pages map: how many page faults they take, and what cuts a huge page into small ones. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "groups.h"

#define GIB (1ull << 30)
/* Touched all over up to here, which an emulator does in a second. */
#define TOUCHED_BYTES (16 * GIB)

/* Of memory without a struct page: x86 has 1 GiB, arm64 what one entry of the second lowest level maps. */
static uint64_t huge_size(void)
{
#ifdef __aarch64__
	return (uint64_t)page_size() * (page_size() / 8);
#else
	return GIB;
#endif
}

/*
 * The pages that get cut and moved. Linux 7.3 on x86, without the series, crashes when a mapping by 1 GiB pages is cut at an
 * address that is not a multiple of 2 MiB, and leaves the device to the old address when it is moved, and to a child that
 * inherits half of a page.
 */
static uint64_t cut_size(void)
{
	return nr_ways == MAX_WAYS ? huge_size() : 2 << 20;
}

/* Address space, `beyond` behind a multiple of 1 GiB. */
static char *reserve(uint64_t length, uint64_t beyond)
{
	char *range = mmap(NULL, length + GIB + beyond, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	need(range != MAP_FAILED, "address space");
	return (char *)(((uintptr_t)range + GIB - 1) & ~(GIB - 1)) + beyond;
}

static char *map_aligned(int fd, uint64_t offset, uint64_t length, uint64_t beyond)
{
	return mmap(reserve(length, beyond), length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset);
}

static long faults_of(const char *at, uint64_t length, uint64_t step)
{
	long before;
	uint32_t value;

	before = faults();
	for (uint64_t offset = 0; offset < length; offset += step)
		if (peek(at + offset, &value))
			return -1;
	return faults() - before;
}

/* What the mapping shows at a byte of the region is what read() returns for it. */
static bool same_as_read(const struct device *device, const char *at, uint64_t region_offset, uint64_t byte)
{
	uint32_t mapped, read;

	return !peek(at, &mapped) && pread(device->fd, &read, 4, region_offset + byte) == 4 && mapped == read;
}

static void cut(const struct device *device, uint64_t offset, uint64_t region_offset, const char *name)
{
	uint64_t huge = cut_size(), page = page_size(), length = 4 * huge;
	/* Off by one huge page, so that no larger ones fit. */
	char *at = map_aligned(device->fd, offset, length, huge);
	uint32_t value;

	need(at != MAP_FAILED, "%s, mmap()", name);
	ok(faults_of(at, length, huge / 4) == 4, "%s, a part in 4 huge pages of %llu MiB", name, (unsigned long long)(huge >> 20));
	ok(!munmap(at + page, page) && peek(at + page, &value) == SIGSEGV && same_as_read(device, at + 2 * page, region_offset, 2 * page) &&
	   same_as_read(device, at, region_offset, 0), "%s, a page is cut out of a huge one", name);
	ok(!mprotect(at + huge + page, page, PROT_READ) && poke(at + huge + page, 0) == SIGSEGV && !poke(at + huge + 2 * page, 0x22) &&
	   same_as_read(device, at + huge + page, region_offset, huge + page) && same_as_read(device, at + huge + 2 * page, region_offset, huge + 2 * page),
	   "%s, a page of a huge one is made read only", name);
	memory_off(device);
	ok(peek(at + 2 * page, &value) == SIGBUS && peek(at + huge + page, &value) == SIGBUS && peek(at + 2 * huge, &value) == SIGBUS,
	   "%s, cut and whole huge pages are dead while memory is off", name);
	memory_on(device);
	ok(same_as_read(device, at + 2 * page, region_offset, 2 * page) && same_as_read(device, at + huge + page, region_offset, huge + page) &&
	   same_as_read(device, at + 2 * huge, region_offset, 2 * huge), "%s, and come back", name);
	munmap(at, length);
}

static bool moves(const struct device *device, char *from, char *to, uint64_t length, uint64_t region_offset, uint64_t byte, uint64_t step, long wanted_faults)
{
	size_t page = page_size();
	uint32_t value;

	/* The addresses are in the TLB now. */
	return !peek(from, &value) && !peek(from + length - page, &value) &&
	       mremap(from, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to &&
	       peek(from, &value) == SIGSEGV && peek(from + length - page, &value) == SIGSEGV &&
	       (wanted_faults < 0 || faults_of(to, length, step) == wanted_faults) &&
	       same_as_read(device, to, region_offset, byte) && same_as_read(device, to + length - page, region_offset, byte + length - page);
}

/* What is mapped where huge pages were is the process's own memory, and the device does not see it. */
static bool own_memory(const struct device *device, char *at, uint64_t region_offset, uint64_t byte)
{
	uint32_t before, after, value;
	char *own = mmap(at, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return own == at && pread(device->fd, &before, 4, region_offset + byte) == 4 && !peek(own, &value) && value == 0 &&
	       !poke(own, ~before) && reads(own, ~before) && pread(device->fd, &after, 4, region_offset + byte) == 4 && after == before &&
	       !munmap(own, page_size());
}

static void move(const struct device *device, uint64_t offset, uint64_t region_offset, const char *name)
{
	uint64_t huge = cut_size(), page = page_size(), length = 4 * huge;
	/* Off by one huge page, so that no larger ones fit. */
	char *at = map_aligned(device->fd, offset, length, huge), *fit = reserve(huge, huge), *part = reserve(huge, huge),
	     *misfit = reserve(huge, page);
	uint32_t value;

	need(at != MAP_FAILED, "%s, mmap()", name);
	poke(at + huge, 0x31);
	ok(faults_of(at, length, huge) >= 0, "%s, to be moved", name);
	ok(moves(device, at + huge, fit, huge, region_offset, huge, huge / 4, 0), "%s, a huge page is moved as one", name);
	ok(own_memory(device, at + huge, region_offset, huge), "%s, and something else mapped in its place", name);
	ok(moves(device, at + 2 * huge, misfit, huge, region_offset, 2 * huge, huge, -1), "%s, a huge page is moved to where it does not fit", name);
	ok(own_memory(device, at + 2 * huge, region_offset, 2 * huge), "%s, and something else mapped in its place", name);
	ok(moves(device, at + 3 * huge + huge / 2, part, huge / 2, region_offset, 3 * huge + huge / 2, huge, -1) &&
	   same_as_read(device, at + 3 * huge, region_offset, 3 * huge), "%s, half of a huge page is moved", name);
	memory_off(device);
	ok(peek(fit, &value) == SIGBUS && peek(misfit, &value) == SIGBUS && peek(part, &value) == SIGBUS && peek(at, &value) == SIGBUS,
	   "%s, moved pages are dead while memory is off", name);
	memory_on(device);
	ok(same_as_read(device, fit, region_offset, huge) && same_as_read(device, misfit, region_offset, 2 * huge) &&
	   same_as_read(device, part, region_offset, 3 * huge + huge / 2), "%s, moved pages come back", name);
	munmap(at, length);
	munmap(fit, huge);
	munmap(misfit, huge);
	munmap(part, huge / 2);
}

/* A child does not inherit all of a huge page. */
static void inherit(const struct device *device, uint64_t offset, uint64_t region_offset, const char *name)
{
	uint64_t huge = cut_size();
	char *at = map_aligned(device->fd, offset, huge, huge), *half = at + huge / 2;
	struct peer peer;
	uint32_t value;

	need(at != MAP_FAILED, "%s, mmap()", name);
	ok(!peek(at, &value) && !madvise(half, huge / 2, MADV_DONTFORK), "%s, MADV_DONTFORK for half of a huge page", name);
	peer_start(&peer);
	ok(peer_peek(&peer, at, &value) == 0 && peer_peek(&peer, half, &value) == SIGSEGV, "%s, a child has the other half alone", name);
	peer_stop(&peer);
	ok(same_as_read(device, at, region_offset, 0) && same_as_read(device, half, region_offset, huge / 2), "%s, the parent has both", name);
	munmap(at, huge);
}

static void one_way(const struct device *device, const struct vfio_region_info *info, const struct way *way)
{
	uint64_t offset = offset_of(device->fd, info->index, way), huge = huge_size(), page = page_size();
	bool all = info->size <= TOUCHED_BYTES;
	uint64_t step = all ? huge : info->size / 4;
	char name[100], *at, *small;
	uint32_t value;
	long count;

	snprintf(name, sizeof(name), "%s region %u, %llu GiB, %s", device->address, info->index, (unsigned long long)(info->size / GIB), way->name);
	at = map_aligned(device->fd, offset, info->size, 0);
	if (!ok(at != MAP_FAILED, "%s, mmap()", name))
		return;
	/* So that the code is there. */
	faults_of(name, 1, 1);
	count = faults_of(at, info->size, step);
	ok(count == (long)(info->size / step), "%s, %ld faults at %llu places", name, count, (unsigned long long)(info->size / step));
	ok(faults_of(at + huge - page, info->size - huge, step) == 0, "%s, none for the ends of these huge pages of %llu MiB", name, (unsigned long long)(huge >> 20));
	ok(!peek(at + info->size - 4, &value), "%s, the last word", name);
	for (uint64_t byte = 0; byte < 4 * huge; byte += huge + page)
		poke(at + byte, 0x11 + byte / page);
	ok(same_as_read(device, at, info->offset, 0) && same_as_read(device, at + huge + page, info->offset, huge + page) &&
	   same_as_read(device, at + 3 * (huge + page), info->offset, 3 * (huge + page)), "%s, the right pages", name);
	cut(device, offset, info->offset, name);
	/* Where huge pages don't fit, so that what was one has to be many. */
	small = map_aligned(device->fd, offset, 4 * huge, page);
	need(small != MAP_FAILED, "%s, mmap()", name);
	ok(faults_of(small, 16 * page, page) == 16, "%s, in small pages where huge ones do not fit", name);
	munmap(small, 4 * huge);
	move(device, offset, info->offset, name);
	inherit(device, offset, info->offset, name);
	munmap(at, info->size);
}

void large_group(void)
{
	bool found = false, found_tib = false;

	for (int i = 0; i < nr_addresses; i++) {
		struct vfio_region_info info;
		struct device device;

		open_device(&device, addresses[i]);
		for (uint32_t region = 0; region < VFIO_PCI_ROM_REGION_INDEX; region++) {
			if (!region_info(device.fd, region, &info) || !(info.flags & VFIO_REGION_INFO_FLAG_MMAP) || info.size < 4 * huge_size())
				continue;
			found = true;
			found_tib = found_tib || info.size > 1ull << 40;
			for (int j = 0; j < nr_ways; j++)
				one_way(&device, &info, &ways[j]);
		}
		close_device(&device);
	}
	if (!found)
		skip("no device given with a BAR of at least 4 huge pages");
	if (!found_tib)
		skip("no device given with a BAR of more than 1 TiB");
}
