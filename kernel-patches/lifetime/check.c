// SPDX-License-Identifier: GPL-2.0-only
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

struct counts *counts;
static const char *group_name = "lifetime";

static sigjmp_buf escape;
static volatile sig_atomic_t armed;

static void on_fault(int number)
{
	if (!armed) {
		signal(number, SIG_DFL);
		raise(number);
		return;
	}
	siglongjmp(escape, number);
}

void check_init(void)
{
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* Whoever reads along sees what was the last check before a hang; and a child inherits no half line. */
	setlinebuf(stdout);
	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
}

static void say(const char *result, const char *format, va_list arguments)
{
	char line[300];

	vsnprintf(line, sizeof(line), format, arguments);
	printf("%s %s: %s\n", result, group_name, line);
}

static void say_result(bool passed, const char *format, va_list arguments)
{
	__atomic_fetch_add(passed ? &counts->passed : &counts->failed, 1, __ATOMIC_RELAXED);
	say(passed ? "ok  " : "FAIL", format, arguments);
}

bool ok(bool condition, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_result(condition, format, arguments);
	va_end(arguments);
	return condition;
}

void skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say("skip", format, arguments);
	va_end(arguments);
}

void need(bool condition, const char *format, ...)
{
	int error = errno;
	va_list arguments;
	char line[200];

	if (condition)
		return;
	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	ok(false, "%s: %s", line, strerror(error));
	_exit(0);
}

bool refused_with(long result, int got, int wanted, const char *format, ...)
{
	bool passed = result == -1 && got == wanted;
	va_list arguments;

	va_start(arguments, format);
	say_result(passed, format, arguments);
	va_end(arguments);
	if (!passed)
		printf("     got %ld, %s instead of %s\n", result, strerror(got), strerror(wanted));
	return passed;
}

void run_group(const char *name, void (*group)(void))
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		group_name = name;
		group();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		group_name = name;
		ok(false, "the group ended by signal %d", pid < 0 ? 0 : WTERMSIG(status));
		group_name = "lifetime";
	}
}

int peek(const void *at, uint32_t *value)
{
	int number = sigsetjmp(escape, 1);

	if (!number) {
		armed = 1;
		*value = *(const volatile uint32_t *)at;
	}
	armed = 0;
	return number;
}

int poke(void *at, uint32_t value)
{
	int number = sigsetjmp(escape, 1);

	if (!number) {
		armed = 1;
		*(volatile uint32_t *)at = value;
	}
	armed = 0;
	return number;
}

int peek_unaligned(const void *at)
{
	int number = sigsetjmp(escape, 1);
	uint64_t value;

	if (!number) {
		armed = 1;
#ifdef __aarch64__
		/* The compiler would be free to take several loads. */
		asm volatile("ldr %0, [%1]" : "=r"(value) : "r"((const char *)at + 1) : "memory");
#else
		asm volatile("mov 1(%1), %0" : "=r"(value) : "r"(at) : "memory");
#endif
	}
	armed = 0;
	return number;
}

bool reads(const void *at, uint32_t wanted)
{
	uint32_t value;

	return !peek(at, &value) && value == wanted;
}

long faults(void)
{
	volatile struct rseq *area = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);
	struct rusage usage;

	/*
	 * When it moves a process to another CPU, the kernel writes here. After a fork(), the first write takes a fault: not
	 * at any time, but now.
	 */
	if (__rseq_size)
		area->flags = 0;
	/* The first time, to write the answer may take a fault that the answer does not know. */
	getrusage(RUSAGE_SELF, &usage);
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}
