/* SPDX-License-Identifier: GPL-2.0-only */
/* Results, and accesses to memory that may not be there. */
#ifndef LIFETIME_CHECK_H
#define LIFETIME_CHECK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Shared by all processes: a child's checks count, too. */
struct counts {
	int passed, failed;
};
extern struct counts *counts;

void check_init(void);

/* Each prints a line. It begins with the group's name. */
bool ok(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));
void skip(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* For what the checks need to go on: ends the group. */
void need(bool condition, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A system call that must fail, and how. MAP_FAILED and -1 are the same bits. */
#define refused(call, error, ...) \
	({ errno = 0; long result_ = (long)(call); refused_with(result_, errno, error, __VA_ARGS__); })
bool refused_with(long result, int got, int wanted, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Runs in a process of its own: what it opens is closed, what it breaks stays its own. */
void run_group(const char *name, void (*group)(void));

/* 0, or the signal that the access ended in. */
int peek(const void *at, uint32_t *value);
int poke(void *at, uint32_t value);
/* A load of 8 bytes at an address that is not a multiple of 8: on arm64, Device memory does not allow that. */
int peek_unaligned(const void *at);

bool reads(const void *at, uint32_t wanted);
/* Page faults of this process so far: an access that takes one has found no page table entry. */
long faults(void);

/* Another process with the same mappings, made by fork(). It ends when it is told, or with its parent. */
struct peer {
	int pid, requests, answers;
};
void peer_start(struct peer *peer);
int peer_peek(struct peer *peer, const void *at, uint32_t *value);
int peer_poke(struct peer *peer, void *at, uint32_t value);
void peer_munmap(struct peer *peer, void *at, size_t length);
void peer_close(struct peer *peer, int fd);
void peer_stop(struct peer *peer);

#endif
