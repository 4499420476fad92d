// SPDX-License-Identifier: Apache-2.0
#include "program/calls.h"
#include "program/system.h"

#include <linux/fcntl.h>
#include <linux/signal.h>

#define MODE_0755 0755

long call(long number, long a, long b, long c, long d, long e, long f)
{
	return system_call(number, a, b, c, d, e, f);
}

long open_file(const char *path, int flags)
{
	return call(__NR_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0, 0, 0);
}

long read_file(const char *path, void *into, wcvmm_u64 size)
{
	const long fd = open_file(path, O_RDONLY);
	wcvmm_u64 done = 0;
	long got = 1;

	if (fd < 0)
		return fd;
	while (got > 0 && done < size) {
		got = call(__NR_read, fd, (long)into + (long)done, (long)(size - done), 0, 0, 0);
		done += got > 0 ? (wcvmm_u64)got : 0;
	}
	call(__NR_close, fd, 0, 0, 0, 0, 0);
	return got < 0 ? got : (long)done;
}

long write_file(const char *path, const char *text)
{
	const long fd = open_file(path, O_WRONLY);
	long length = 0, done;

	if (fd < 0)
		return fd;
	while (text[length])
		length++;
	done = call(__NR_write, fd, (long)text, length, 0, 0, 0);
	call(__NR_close, fd, 0, 0, 0, 0, 0);
	return done;
}

void mount_at(const char *type, const char *where)
{
	call(__NR_mkdirat, AT_FDCWD, (long)where, MODE_0755, 0, 0, 0);
	call(__NR_mount, (long)type, (long)where, (long)type, 0, 0, 0);
}

/* struct sigaction as 64-bit kernels have it. The handler never returns; x86's kernel wants something to restore all the same. */
void handle_signal(int signal, signal_handler *handler)
{
	const struct {
		unsigned long handler, flags, restorer, mask;
	} action = { (unsigned long)handler, SA_SIGINFO | SA_RESTORER, (unsigned long)handler, 0 };

	call(__NR_rt_sigaction, signal, (long)&action, 0, sizeof(action.mask), 0, 0);
}
