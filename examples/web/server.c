// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server.h"

#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 448, /* two descriptors each stay below the usual limit of 1024 */
	EVENTS_MAX = 64,
	BACKLOG = 511,
	TIMEOUT_MS = 15000, /* for a whole request's head; for RATE_BYTES of a response */
};

struct server {
	int root, listener, epoll;
	unsigned int used;                    /* entries of connections that ever were in use */
	struct connection *unused;            /* by their later */
	struct connection *earliest, *latest; /* those in use, by deadline */
	struct connection connections[CONNECTIONS_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_listener(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
		!bind(fd, (struct sockaddr *)&address, sizeof(address)) && !listen(fd, BACKLOG))
		return fd;
	close(fd); /* leaves errno as it is, as it succeeds */
	return -1;
}

struct server *server_open(int root, uint16_t port)
{
	struct server *server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct epoll_event event = {.events = EPOLLIN};

	if (server == MAP_FAILED)
		return NULL;
	server->root = root;
	server->listener = open_listener(port);
	if (server->listener < 0)
		goto no_listener;
	server->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (server->epoll < 0)
		goto no_epoll;
	if (!epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->listener, &event))
		return server;

	close(server->epoll);
no_epoll:
	close(server->listener);
no_listener:
	munmap(server, sizeof(*server));
	return NULL;
}

static void unlink_connection(struct server *server, struct connection *c)
{
	*(c->earlier ? &c->earlier->later : &server->earliest) = c->later;
	*(c->later ? &c->later->earlier : &server->latest) = c->earlier;
}

/* Gives a connection the whole time again: all have the same, so it goes to the list's end. */
static void link_last(struct server *server, struct connection *c, int64_t now)
{
	c->deadline_ms = now + TIMEOUT_MS;
	c->sent_bytes = 0;
	c->earlier = server->latest;
	c->later = NULL;
	*(server->latest ? &server->latest->later : &server->earliest) = c;
	server->latest = c;
}

static void drop(struct server *server, struct connection *c)
{
	unlink_connection(server, c);
	connection_end(c);
	c->fd = -1;
	c->later = server->unused;
	server->unused = c;
}

/* Returns room for a connection; when there is none, whoever has waited longest must go. */
static struct connection *room(struct server *server)
{
	struct connection *c;

	if (!server->unused && server->used < CONNECTIONS_MAX)
		return &server->connections[server->used++];
	if (!server->unused)
		drop(server, server->earliest);
	c = server->unused;
	server->unused = c->later;
	return c;
}

static void accept_connections(struct server *server, int64_t now)
{
	for (unsigned int i = 0; i < EVENTS_MAX; i++) {
		int one = 1, fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = {.events = EPOLLIN};
		struct connection *c;

		if (fd < 0) {
			/* Out of descriptors: the next one that closes makes room. */
			if ((errno == EMFILE || errno == ENFILE) && server->earliest)
				drop(server, server->earliest);
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		c = room(server);
		connection_start(c, fd);
		link_last(server, c, now);
		event.data.ptr = c;
		if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event))
			drop(server, c);
	}
}

static void serve(struct server *server, struct connection *c, int64_t now)
{
	enum progress progress = connection_serve(c, server->root);

	if (progress == PROGRESS_SOME) {
		unlink_connection(server, c);
		link_last(server, c, now);
	}
	if (progress != PROGRESS_ENDED && c->answering != c->waits_to_send) {
		struct epoll_event event = {.events = c->answering ? EPOLLOUT : EPOLLIN, .data.ptr = c};

		c->waits_to_send = c->answering;
		if (epoll_ctl(server->epoll, EPOLL_CTL_MOD, c->fd, &event))
			progress = PROGRESS_ENDED;
	}
	if (progress == PROGRESS_ENDED)
		drop(server, c);
}

static int time_left_ms(const struct server *server)
{
	int64_t left;

	if (!server->earliest)
		return -1;
	left = server->earliest->deadline_ms - now_ms();
	return left < 0 ? 0 : (int)left;
}

void server_run(struct server *server)
{
	struct epoll_event events[EVENTS_MAX];

	for (;;) {
		int count = epoll_wait(server->epoll, events, EVENTS_MAX, time_left_ms(server));
		bool has_new = false;
		int64_t now = now_ms();

		if (count < 0 && errno != EINTR)
			return;
		for (int i = 0; i < count; i++) {
			struct connection *c = events[i].data.ptr;

			if (c)
				serve(server, c, now);
			else
				has_new = true;
		}
		while (server->earliest && server->earliest->deadline_ms <= now)
			drop(server, server->earliest);
		/* Last: it may reuse connections that events were for. */
		if (has_new)
			accept_connections(server, now);
	}
}
