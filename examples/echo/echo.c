// SPDX-License-Identifier: Apache-2.0
/* Sends back what it gets, for many connections at a time. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 7, CONNECTIONS = 256 };

struct connection {
	size_t from, to; /* what is in data and not sent yet */
	char data[4096];
};

static struct pollfd polls[1 + CONNECTIONS];
static struct connection connections[1 + CONNECTIONS];
static int used = 1;

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, 64)) {
		perror("echo: listen");
		exit(1);
	}
	return fd;
}

static void take_connections(void)
{
	while (used <= CONNECTIONS) {
		int fd = accept4(polls[0].fd, NULL, NULL, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		polls[used] = (struct pollfd){.fd = fd, .events = POLLIN};
		connections[used].from = connections[used].to = 0;
		used++;
	}
}

/* Returns 0 when the connection has ended. */
static int serve(int i)
{
	struct connection *c = &connections[i];
	ssize_t count;

	if (c->from == c->to) {
		count = read(polls[i].fd, c->data, sizeof(c->data));
		if (count <= 0)
			return count < 0 && errno == EAGAIN;
		c->from = 0;
		c->to = (size_t)count;
	}
	count = write(polls[i].fd, c->data + c->from, c->to - c->from);
	if (count < 0 && errno != EAGAIN)
		return 0;
	if (count > 0)
		c->from += (size_t)count;
	polls[i].events = c->from == c->to ? POLLIN : POLLOUT;
	return 1;
}

int main(void)
{
	polls[0] = (struct pollfd){.fd = listen_on(PORT), .events = POLLIN};
	printf("echo: listening on port %d\n", PORT);
	fflush(stdout);
	for (;;) {
		if (poll(polls, (nfds_t)used, -1) < 0 && errno != EINTR) {
			perror("echo: poll");
			return 1;
		}
		for (int i = used - 1; i > 0; i--) {
			if (!polls[i].revents || serve(i))
				continue;
			close(polls[i].fd);
			used--;
			polls[i] = polls[used];
			connections[i] = connections[used];
		}
		if (polls[0].revents)
			take_connections();
		polls[0].events = used <= CONNECTIONS ? POLLIN : 0;
	}
}
