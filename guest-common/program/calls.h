/* SPDX-License-Identifier: Apache-2.0 */
/* What the program asks of its kernel. All return what the kernel does: a negative errno where it refuses. */
#ifndef CALLS_H
#define CALLS_H

#include "linux/abi.h"

typedef void signal_handler(int signal, void *info, void *context);

long call(long number, long a, long b, long c, long d, long e, long f);

long open_file(const char *path, int flags);
/* As many bytes as there are, up to size. */
long read_file(const char *path, void *into, wcvmm_u64 size);
long write_file(const char *path, const char *text);
/* Makes the folder, too. What cannot be mounted is missed by who wants to read it. */
void mount_at(const char *type, const char *where);
void handle_signal(int signal, signal_handler *handler);

#endif
