// SPDX-License-Identifier: Apache-2.0
#include "program/log.h"
#include "program/calls.h"
#include "runtime/cpu.h"

#include <asm/unistd.h>
#include <linux/mman.h>

#define CONTROL_AT	64u	/* behind the head of its page, and aligned as a probe's memory is */

_Static_assert(sizeof(struct wcvmm_linux_page) == WCVMM_LINUX_PAGE_SIZE, "a page and its head");
_Static_assert(WCVMM_LINUX_CONTENT % sizeof(struct wcvmm_record) == 0, "no record on two pages");

static struct wcvmm_linux_page *pages;
static wcvmm_u32 page_count, cell_count;

static void *content(wcvmm_u64 at)
{
	return pages[at / WCVMM_LINUX_CONTENT].content + at % WCVMM_LINUX_CONTENT;
}

static struct wcvmm_log *head(void)
{
	return content(0);
}

int log_start(const struct wcvmm_linux_questions *questions, wcvmm_u64 boot_ns)
{
	cell_count = questions->cell_count;

	const wcvmm_u64 size = sizeof(struct wcvmm_log) - sizeof(((struct wcvmm_log *)0)->records) +
			       (wcvmm_u64)cell_count * sizeof(struct wcvmm_record) + WCVMM_LINUX_MAX_TEXT;
	const wcvmm_u32 used = (wcvmm_u32)((size + WCVMM_LINUX_CONTENT - 1) / WCVMM_LINUX_CONTENT);
	/* The control's page is the last one. */
	const long at = call(__NR_mmap, 0, (long)(used + 1) * WCVMM_LINUX_PAGE_SIZE, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at < 0 && at > -WCVMM_LINUX_PAGE_SIZE)
		return 0;
	pages = (struct wcvmm_linux_page *)at;
	page_count = used;
	for (wcvmm_u32 i = 0; i <= used; i++) {
		pages[i].index = i;
		pages[i].page_count = used;
		pages[i].mark[1] = ~questions->mark[1];
		pages[i].mark[0] = ~questions->mark[0];
	}
	head()->reserved[WCVMM_LINUX_BOOT_NS] = boot_ns;
	publish_barrier();
	head()->magic = WCVMM_ABI_MAGIC;
	return 1;
}

wcvmm_u64 log_control(void)
{
	return (wcvmm_u64)&pages[page_count] + CONTROL_AT;
}

void log_running(wcvmm_u32 cell)
{
	head()->running = cell + 1;
	publish_barrier();
}

struct wcvmm_record *log_record(wcvmm_u32 cell)
{
	return content(sizeof(struct wcvmm_record) * ((wcvmm_u64)cell + 1));
}

void log_counted(wcvmm_u32 cell)
{
	publish_barrier();
	head()->record_count = cell + 1;
	publish_barrier();
	head()->running = 0;
}

void log_text(const char *text, wcvmm_u64 length)
{
	const wcvmm_u64 start = sizeof(struct wcvmm_record) * ((wcvmm_u64)cell_count + 1);

	for (wcvmm_u64 i = 0; i < length && i < WCVMM_LINUX_MAX_TEXT; i++)
		*(char *)content(start + i) = text[i];
	publish_barrier();
	head()->reserved[WCVMM_LINUX_TEXT_LENGTH] = length < WCVMM_LINUX_MAX_TEXT ? length : WCVMM_LINUX_MAX_TEXT;
}
