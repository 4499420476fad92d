// SPDX-License-Identifier: Apache-2.0
// The instance's way to Bochs: a byte written to port 0xe9 comes out of Bochs' standard output.
//
//   bochs-port send FIFO...   each FIFO is a stream, its number is its place; ends when the last one has no writer left
//   bochs-port stop           stops at Bochs' debugger, which decides how it goes on
//   bochs-port display        switches the display adapter to a mode in which its BAR is plain memory
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

#define PORT		0xe9
#define FRAME_START	0x1e
#define MOST_STREAMS	8

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void put(const void *bytes, size_t length)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(length) : "d"(PORT) : "memory");
}

/* A frame: its start, the stream, the length, the bytes. This process alone writes them, so none is torn. */
static void put_frame(uint8_t stream, const void *bytes, uint32_t length)
{
	const uint8_t header[] = { FRAME_START, stream, (uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), (uint8_t)(length >> 24) };

	put(header, sizeof(header));
	put(bytes, length);
}

/* Passes on all that there is; 0 when no writer is left. */
static int drain(uint8_t stream, int fd)
{
	static uint8_t bytes[65536];

	for (;;) {
		ssize_t length = read(fd, bytes, sizeof(bytes));

		if (length > 0)
			put_frame(stream, bytes, (uint32_t)length);
		else if (length == 0)
			return 0;
		else if (errno == EAGAIN)
			return 1;
		else if (errno != EINTR)
			fail("read");
	}
}

static int send_streams(int count, char **names)
{
	struct pollfd streams[MOST_STREAMS];
	const int last = count - 1;

	if (count < 1 || count > MOST_STREAMS)
		return 2;
	for (int i = 0; i < count; i++) {
		/* All but the last also have a writer here, so that they do not end between two commands. */
		streams[i].fd = open(names[i], (i == last ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
		streams[i].events = POLLIN;
		if (streams[i].fd < 0)
			fail(names[i]);
	}
	for (;;) {
		int live = 1;

		if (poll(streams, (nfds_t)count, -1) < 0 && errno != EINTR)
			fail("poll");
		/* What was written before a word on the last stream must arrive before it. */
		for (int i = 0; i < last; i++)
			drain((uint8_t)i, streams[i].fd);
		if (streams[last].revents)
			live = drain((uint8_t)last, streams[last].fd);
		if (!live)
			return 0;
	}
}

/* Bochs' VBE extension: an index to 0x1ce, its value to 0x1cf; without a mode the BAR reads as ones. */
static int enable_display(void)
{
	static const struct { uint16_t index, value; } mode[] = {
		{ 4, 0 },	/* off, to change the rest */
		{ 1, 1024 },	/* width */
		{ 2, 768 },	/* height */
		{ 3, 8 },	/* bits per pixel: as many as the VNC display takes */
		{ 4, 0x41 },	/* on, with a linear frame buffer */
	};

	if (ioperm(0x1ce, 3, 1))
		fail("ioperm");
	for (size_t i = 0; i < sizeof(mode) / sizeof(*mode); i++) {
		outw(mode[i].index, 0x1ce);
		outw(mode[i].value, 0x1cf);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && !strcmp(argv[1], "stop")) {
		__asm__ volatile("xchg %%bx, %%bx" : : : "memory");
		return 0;
	}
	if (argc >= 2 && !strcmp(argv[1], "display"))
		return enable_display();
	if (argc < 3 || strcmp(argv[1], "send"))
		return 2;
	if (ioperm(PORT, 1, 1))
		fail("ioperm");
	return send_streams(argc - 2, argv + 2);
}
