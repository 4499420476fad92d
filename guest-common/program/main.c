// SPDX-License-Identifier: Apache-2.0
/*
 * /init of a Linux guest: maps each window of a passed-through BAR as any program of the guest could, by resourceN and
 * resourceN_wc of sysfs, asks its cells there, and powers off. Static, with no C library, so that an initramfs is this one
 * file and the questions.
 */
#include "program/calls.h"
#include "program/cell.h"
#include "program/log.h"
#include "program/memtype.h"
#include "program/resource.h"
#include "program/text.h"

#include <asm/unistd.h>
#include <linux/auxvec.h>
#include <linux/fcntl.h>
#include <linux/reboot.h>
#include <linux/time.h>
#include <linux/utsname.h>

#define SMALLEST_PAGE	4096
#define BILLION		1000000000ull
#define MILLION		1000000ull
/* The kernel's log reaches every console that there is; at this level whatever "quiet" says. */
#define URGENT		"<0>"

static union {
	struct wcvmm_linux_questions of;
	wcvmm_u8 bytes[sizeof(struct wcvmm_linux_questions) + WCVMM_MAX_CELLS * sizeof(struct wcvmm_cell)];
} questions;

static char text_bytes[WCVMM_LINUX_MAX_TEXT + 1];

static wcvmm_u64 boot_ns(void)
{
	struct timespec now = { 0 };

	call(__NR_clock_gettime, CLOCK_BOOTTIME, (long)&now, 0, 0, 0, 0);
	return (wcvmm_u64)now.tv_sec * BILLION + (wcvmm_u64)now.tv_nsec;
}

/* The stack of a new process: the count of arguments, they, 0, the environment, 0, pairs of the auxiliary vector. */
static wcvmm_u64 page_size_of(const long *stack)
{
	const long *at = stack + 1 + stack[0] + 1;

	while (*at)
		at++;
	for (at++; at[0] != AT_NULL; at += 2)
		if (at[0] == AT_PAGESZ)
			return (wcvmm_u64)at[1];
	return SMALLEST_PAGE;
}

static void say(const char *what, wcvmm_u64 ns)
{
	char line[128];
	struct text text = { .at = line, .room = sizeof(line) };

	text_add(&text, URGENT "wcvmm: ");
	text_add(&text, what);
	text_add(&text, " after ");
	text_add_decimal(&text, ns / MILLION);
	text_add(&text, " ms\n");
	write_file("/dev/kmsg", line);
}

/* Ends the guest; a kernel that cannot power off reboots, which ends it too. */
static void power_off(void)
{
	call(__NR_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, (long)LINUX_REBOOT_CMD_POWER_OFF, 0, 0, 0);
	call(__NR_reboot, (long)LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_RESTART, 0, 0, 0);
	for (;;)
		call(__NR_ppoll, 0, 0, 0, 0, 0, 0);
}

static int read_questions(void)
{
	const long length = read_file(WCVMM_LINUX_QUESTIONS, questions.bytes, sizeof(questions));
	const wcvmm_u64 head = sizeof(questions.of);

	return length >= (long)head && questions.of.magic == WCVMM_LINUX_MAGIC &&
	       questions.of.window_count <= WCVMM_LINUX_MAX_WINDOWS && questions.of.cell_count <= WCVMM_MAX_CELLS &&
	       (wcvmm_u64)length == head + questions.of.cell_count * sizeof(struct wcvmm_cell);
}

/* What the guest's kernel is, and which memory types it has on record before this program maps anything: its drivers'. */
static void describe_kernel(void)
{
	static struct new_utsname name;
	static char list[WCVMM_LINUX_MAX_TEXT];
	struct text text = { .at = text_bytes, .room = sizeof(text_bytes) };
	long length;

	call(__NR_uname, (long)&name, 0, 0, 0, 0, 0);
	text_add(&text, name.release);
	text_add(&text, "\n");
	length = read_file(MEMTYPES, list, sizeof(list));
	if (length > 0)
		text_add_bytes(&text, list, (wcvmm_u64)length);
	log_text(text.at, text.length);
}

void linux_main(const long *stack)
{
	const wcvmm_u64 began = boot_ns(), page_size = page_size_of(stack);

	say("init", began);
	if (!read_questions()) {
		say("no questions: the initramfs is not this version's;", boot_ns());
		power_off();
	}
	if (!log_start(&questions.of, began)) {
		say("no memory;", boot_ns());
		power_off();
	}
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	for (wcvmm_u32 i = 0; i < questions.of.window_count; i++)
		if (questions.of.windows[i].device[0])
			resource_enable(&questions.of.windows[i]);
	describe_kernel();
	for (wcvmm_u32 cell = 0; cell < questions.of.cell_count; cell++)
		cell_ask(&questions.of, cell, page_size);
	say("answered", boot_ns());
	power_off();
}
