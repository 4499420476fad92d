// SPDX-License-Identifier: GPL-2.0-only
/* The other process: does what it is asked to with its own copy of the mappings. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

struct request {
	enum { PEEK, POKE, MUNMAP, CLOSE } what;
	void *at;
	size_t length;
	uint32_t value;
};

struct answer {
	int signal;
	uint32_t value;
};

static void serve(int requests, int answers)
{
	struct request request;

	while (read(requests, &request, sizeof(request)) == sizeof(request)) {
		struct answer answer = { 0, 0 };

		switch (request.what) {
		case PEEK:
			answer.signal = peek(request.at, &answer.value);
			break;
		case POKE:
			answer.signal = poke(request.at, request.value);
			break;
		case MUNMAP:
			munmap(request.at, request.length);
			break;
		case CLOSE:
			close(request.value);
			break;
		}
		if (write(answers, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

void peer_start(struct peer *peer)
{
	int requests[2], answers[2];

	need(!pipe(requests) && !pipe(answers), "pipe");
	peer->pid = fork();
	need(peer->pid >= 0, "fork");
	if (!peer->pid) {
		close(requests[1]);
		close(answers[0]);
		serve(requests[0], answers[1]);
	}
	close(requests[0]);
	close(answers[1]);
	peer->requests = requests[1];
	peer->answers = answers[0];
}

static struct answer ask(struct peer *peer, struct request request)
{
	struct answer answer = { -1, 0 };

	need(write(peer->requests, &request, sizeof(request)) == sizeof(request) &&
	     read(peer->answers, &answer, sizeof(answer)) == sizeof(answer), "the other process answers");
	return answer;
}

int peer_peek(struct peer *peer, const void *at, uint32_t *value)
{
	struct answer answer = ask(peer, (struct request){ .what = PEEK, .at = (void *)at });

	*value = answer.value;
	return answer.signal;
}

int peer_poke(struct peer *peer, void *at, uint32_t value)
{
	return ask(peer, (struct request){ .what = POKE, .at = at, .value = value }).signal;
}

void peer_munmap(struct peer *peer, void *at, size_t length)
{
	ask(peer, (struct request){ .what = MUNMAP, .at = at, .length = length });
}

void peer_close(struct peer *peer, int fd)
{
	ask(peer, (struct request){ .what = CLOSE, .value = fd });
}

void peer_stop(struct peer *peer)
{
	close(peer->requests);
	close(peer->answers);
	/* A later child may have a copy of the pipe's end. */
	kill(peer->pid, SIGKILL);
	waitpid(peer->pid, NULL, 0);
}
