// Carries SSH connections over a port that is no network: frames to and from the host, a program with a socket for each.
//
//	ssh-port PORT PROGRAM [ARGUMENT...]
//
// A frame is a connection's number, a kind, and the length of what follows, little endian: 1, 1 and 2 bytes. The program has its
// end of a connection as its standard input and output.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind { OPEN = 1, DATA = 2, CLOSE = 3 };

#define LONGEST 4096

static int port;
static int ends[256];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void whole_write(int to, const uint8_t *data, size_t length)
{
	while (length > 0) {
		ssize_t done = write(to, data, length);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		data += done;
		length -= done;
	}
}

static void whole_read(int from, uint8_t *data, size_t length)
{
	while (length > 0) {
		ssize_t done = read(from, data, length);

		if (done < 0 && errno == EINTR)
			continue;
		// Nobody is there yet, or any more: the host opens the port before the first frame, and keeps it.
		if (done <= 0) {
			usleep(20000);
			continue;
		}
		data += done;
		length -= done;
	}
}

// One write per frame, so that frames of several processes do not mix.
static void send_frame(uint8_t id, enum kind kind, const uint8_t *data, uint16_t length)
{
	uint8_t frame[4 + LONGEST] = { id, kind, length & 0xff, length >> 8 };

	for (uint16_t at = 0; at < length; at++)
		frame[4 + at] = data[at];
	whole_write(port, frame, 4 + length);
}

static void pump(uint8_t id, int from)
{
	uint8_t data[LONGEST];
	ssize_t length;

	while ((length = read(from, data, sizeof(data))) > 0 || (length < 0 && errno == EINTR))
		if (length > 0)
			send_frame(id, DATA, data, length);
	send_frame(id, CLOSE, NULL, 0);
	_exit(0);
}

static void open_connection(uint8_t id, char **program)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		fail("socketpair");
	if (fork() == 0) {
		dup2(pair[1], 0);
		dup2(pair[1], 1);
		execv(program[0], program);
		_exit(127);
	}
	if (fork() == 0) {
		close(pair[1]);
		pump(id, pair[0]);
	}
	close(pair[1]);
	ends[id] = pair[0];
}

int main(int count, char **words)
{
	uint8_t head[4], data[LONGEST];

	if (count < 3)
		return 2;
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	port = open(words[1], O_RDWR | O_CLOEXEC);
	if (port < 0)
		fail(words[1]);
	for (int id = 0; id < 256; id++)
		ends[id] = -1;
	for (;;) {
		whole_read(port, head, sizeof(head));
		uint8_t id = head[0];
		uint16_t length = head[2] | head[3] << 8;

		if (length > LONGEST)
			fail("a frame that is too long");
		whole_read(port, data, length);
		if (ends[id] >= 0 && head[1] == DATA)
			whole_write(ends[id], data, length);
		if (ends[id] >= 0 && head[1] != DATA) {
			// The pump's copy too: its read ends, and so does the program's.
			shutdown(ends[id], SHUT_RDWR);
			close(ends[id]);
			ends[id] = -1;
		}
		if (head[1] == OPEN)
			open_connection(id, words + 2);
	}
}
