/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host-probe FD:OFFSET...	what this machine's CPU does with loads from mappings of open files (arm64)
 *
 * For each argument: maps a page of the file that it inherited as FD, loads an aligned word and then one at +1, and prints a line
 * `aligned unaligned`, each `ok` or `SIGNAL/CODE` of the fault, or `refused ERRNO` where mmap fails.
 *
 * A program of its own, because the load may fault, and no JavaScript can handle SIGBUS or SIGSEGV of its own thread: here a
 * handler steps over the load, and if anything worse comes of it, this process ends and not the VMM. Nor can the load be left to
 * the kernel, by a system call that reads its argument there: an external abort, which some devices answer with, is a signal to
 * a program and a crash in the kernel.
 */
#include <linux/mman.h>

#include "program/system.h"

typedef unsigned long u64;
typedef unsigned int u32;

enum { PAGE = 4096, STDOUT = 1, SA_BYTES = 8, INSTRUCTION = 4 };

static volatile int signal_seen;
static volatile int code_seen;

static void on_fault(int number, siginfo_t *info, void *context)
{
	signal_seen = number;
	code_seen = info->si_code;
	((struct ucontext *)context)->uc_mcontext.pc += INSTRUCTION;
}

static void watch(int number)
{
	/* struct sigaction of the kernel's headers has no field for a handler of three arguments. */
	struct {
		void (*handler)(int, siginfo_t *, void *);
		u64 flags;
		void (*restorer)(void);
		u64 mask;
	} action = { .handler = on_fault, .flags = SA_SIGINFO };

	system_call(__NR_rt_sigaction, number, (u64)&action, 0, SA_BYTES, 0, 0);
}

/* One 32-bit load. No compiler may make it two. */
static void load(u64 address)
{
	u32 value;

	signal_seen = 0;
	__asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
}

static char line[128];
static u32 used;

static void put(char c)
{
	if (used < sizeof(line))
		line[used++] = c;
}

static void put_text(const char *text)
{
	while (*text)
		put(*text++);
}

static void put_number(long number)
{
	if (number >= 10)
		put_number(number / 10);
	put('0' + number % 10);
}

static void put_outcome(void)
{
	if (signal_seen == 0) {
		put_text("ok");
		return;
	}
	put_number(signal_seen);
	put('/');
	put_number(code_seen < 0 ? 0 : code_seen);
}

static void end_line(void)
{
	put('\n');
	system_call(__NR_write, STDOUT, (u64)line, used, 0, 0, 0);
	used = 0;
}

static void probe(int fd, u64 offset)
{
	long mapped = system_call(__NR_mmap, 0, PAGE, PROT_READ, MAP_SHARED, fd, offset);

	if (mapped < 0) {
		put_text("refused ");
		put_number(-mapped);
		end_line();
		return;
	}
	load(mapped);
	put_outcome();
	put(' ');
	load(mapped + 1);
	put_outcome();
	end_line();
	system_call(__NR_munmap, mapped, PAGE, 0, 0, 0, 0);
}

static u64 number_of(const char **text)
{
	u64 number = 0;

	while (**text >= '0' && **text <= '9')
		number = number * 10 + (u64)(*(*text)++ - '0');
	return number;
}

__attribute__((noreturn, used)) static void run(u64 *stack)
{
	const char **arguments = (const char **)(stack + 1);
	int failed = stack[0] < 2;

	watch(SIGBUS);
	watch(SIGSEGV);
	for (u64 i = 1; i < stack[0] && !failed; i++) {
		const char *text = arguments[i];
		u64 fd = number_of(&text);

		failed = *text++ != ':';
		if (!failed)
			probe((int)fd, number_of(&text));
	}
	system_call(__NR_exit, failed ? 2 : 0, 0, 0, 0, 0, 0);
	__builtin_unreachable();
}

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tb run\n");
