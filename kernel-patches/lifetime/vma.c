// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process can do to a mapping: the pages that remain are the right ones, of the right type, and still go away
 * with the device's memory.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>

#include "device.h"
#include "groups.h"

/* The page of a window that was moved, or cut, is still this page of the region. */
static bool is_page(const struct window *window, const char *at, size_t page)
{
	return reads(at, mark_of(window->first / page_size() + page));
}

static bool goes_and_comes(const struct device *device, const struct window *window, const char *at, size_t page)
{
	uint32_t value;
	bool dead;

	memory_off(device);
	dead = peek(at, &value) == SIGBUS;
	memory_on(device);
	return dead && is_page(window, at, page);
}

/* arm64 tells Device memory from Normal memory by an access that is not aligned. */
static bool keeps_type(const struct window *window, const char *at)
{
#ifdef __aarch64__
	return peek_unaligned(at) == (window->way->attribute == ATTRIBUTE_WC ? 0 : SIGBUS);
#else
	(void)window;
	(void)at;
	return true;
#endif
}

static char *free_range(size_t length)
{
	char *at = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	need(at != MAP_FAILED, "mmap of nothing");
	return at;
}

static void moved(const struct device *device, struct window *window)
{
	const char *name = window->way->name;
	size_t page = page_size(), length = window->length;
	char *target = free_range(length), *at;
	uint32_t value;

	at = mremap(window->at, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target);
	ok(at == target && peek(window->at, &value) == SIGSEGV, "mremap() moves: %s", name);
	window->at = at;
	ok(marked(window) && keeps_type(window, at), "moved, the same pages: %s", name);
	ok(goes_and_comes(device, window, at + page, 1), "moved, dead while memory is off: %s", name);

	refused(mremap(at, length, length + page, MREMAP_MAYMOVE), EFAULT, "mremap() does not grow: %s", name);
	refused(mremap(at, 0, length, MREMAP_MAYMOVE), EFAULT, "mremap() does not make a second one: %s", name);
	refused(mremap(at, length, length, MREMAP_MAYMOVE | MREMAP_DONTUNMAP), EINVAL, "mremap() does not leave the first one: %s", name);
	ok(marked(window), "refused, nothing has changed: %s", name);

	ok(mremap(at, length, length - page, 0) == at && peek(at + length - page, &value) == SIGSEGV, "mremap() shrinks: %s", name);
	window->length -= page;
	ok(marked(window) && goes_and_comes(device, window, at, 0), "shrunk, dead while memory is off: %s", name);
}

static void hole(const struct device *device, struct window *window)
{
	const char *name = window->way->name;
	size_t page = page_size(), pages = window->length / page;
	uint32_t value;
	char *again;

	ok(!munmap(window->at + 2 * page, page) && peek(window->at + 2 * page, &value) == SIGSEGV, "munmap() of a page in the middle: %s", name);
	ok(is_page(window, window->at + page, 1) && is_page(window, window->at + 3 * page, 3), "beside a hole, the same pages: %s", name);
	ok(goes_and_comes(device, window, window->at + page, 1) && goes_and_comes(device, window, window->at + (pages - 1) * page, pages - 1),
	   "beside a hole, dead while memory is off: %s", name);
	again = map(device->fd, window->offset + 2 * page, page);
	ok(again != MAP_FAILED && is_page(window, again, 2), "what was unmapped can be mapped again: %s", name);
	munmap(again, page);
}

static void protection(const struct device *device, struct window *window)
{
	const char *name = window->way->name;
	size_t page = page_size();
	char *at = window->at;
	uint32_t value;

	ok(!mprotect(at, page, PROT_READ) && poke(at, 1) == SIGSEGV, "mprotect() to read only: %s", name);
	ok(is_page(window, at, 0) && keeps_type(window, at), "read only, the same page: %s", name);
	ok(goes_and_comes(device, window, at, 0), "read only, dead while memory is off: %s", name);
	ok(!mprotect(at, page, PROT_NONE) && peek(at, &value) == SIGSEGV, "mprotect() to nothing: %s", name);
	ok(!mprotect(at, page, PROT_READ | PROT_WRITE) && !poke(at, mark_of(window->first / page)), "mprotect() back: %s", name);
	ok(goes_and_comes(device, window, at, 0) && keeps_type(window, at), "writable again, the same page, dead while memory is off: %s", name);
}

static void advice(const struct window *window)
{
	const char *name = window->way->name;
	struct peer peer;
	uint32_t value;

	refused(madvise(window->at, window->length, MADV_DONTNEED), EINVAL, "MADV_DONTNEED: %s", name);
	refused(madvise(window->at, window->length, MADV_POPULATE_READ), EINVAL, "MADV_POPULATE_READ: %s", name);
	ok(marked(window), "after that advice, the same pages: %s", name);
	ok(!madvise(window->at, window->length, MADV_DONTFORK), "MADV_DONTFORK: %s", name);
	peer_start(&peer);
	ok(peer_peek(&peer, window->at, &value) == SIGSEGV, "a child does not get it then: %s", name);
	peer_stop(&peer);
	ok(marked(window), "the parent keeps it: %s", name);
}

/* Each window in turn takes the place of another one's mapping: nothing of that may remain. */
static void replaced(const struct device *device, const struct window *window, const struct window *other)
{
	char *at = map(device->fd, window->offset, window->length), *over;
	struct window there = *other;

	need(at != MAP_FAILED, "%s, mmap", window->way->name);
	peek_unaligned(at);
	there.at = over = mmap(at, other->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device->fd, other->offset);
	ok(over == at && marked(&there) && keeps_type(other, at), "MAP_FIXED over %s, the new pages: %s", window->way->name, other->way->name);
	ok(goes_and_comes(device, other, at, 0), "MAP_FIXED over %s, dead while memory is off: %s", window->way->name, other->way->name);
	munmap(at, window->length);
}

/* The same page of the region, so that on x86 the types would not go together if the first one were still there. */
static void replaced_same_page(const struct device *device, const struct window *window, const struct way *way)
{
	char *at = map(device->fd, window->offset, window->length);
	struct window there = *window;

	need(at != MAP_FAILED, "%s, mmap", window->way->name);
	peek_unaligned(at);
	there.way = way;
	there.at = mmap(at, window->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, device->fd, offset_of(device->fd, MEMORY_BAR, way) + window->first);
	ok(there.at == at && marked(&there) && keeps_type(&there, at), "MAP_FIXED over the same pages as %s: %s", window->way->name, way->name);
	munmap(at, window->length);
}

void vma_group(void)
{
	void (*const each[])(const struct device *, struct window *) = { moved, hole, protection };
	struct window windows[MAX_WAYS];
	struct device device;

	open_device(&device, addresses[0]);
	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		map_windows(&device, MEMORY_BAR, windows);
		for (int j = 0; j < nr_ways; j++) {
			mark(&windows[j]);
			ok(keeps_type(&windows[j], windows[j].at), "mapped: %s", windows[j].way->name);
			each[i](&device, &windows[j]);
		}
		close_device(&device);
		/* Whatever is left of the windows keeps the file. */
		for (int j = 0; j < nr_ways; j++)
			munmap(windows[j].at, windows[j].length);
		open_device(&device, addresses[0]);
	}
	map_windows(&device, MEMORY_BAR, windows);
	for (int i = 0; i < nr_ways; i++) {
		mark(&windows[i]);
		advice(&windows[i]);
	}
	unmap_windows(windows);
	for (int i = 0; i < nr_ways; i++)
		for (int j = 0; j < nr_ways; j++)
			if (i != j) {
				replaced(&device, &windows[i], &windows[j]);
				replaced_same_page(&device, &windows[i], &ways[j]);
			}
}
