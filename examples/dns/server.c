// SPDX-License-Identifier: Apache-2.0
#define _GNU_SOURCE
#include "server.h"

#include "answer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CLIENTS_MAX = 32,
	QUERY_MAX_BYTES = 4096, /* longer ones are none: a question takes 271 octets at most */
	UDP_BATCH = 64,         /* packets in a row before TCP has its turn */
	BACKLOG = 64,
	TIMEOUT_MS = 10000, /* for a query to come or an answer to be taken */
	FD_UDP = 0,
	FD_LISTEN = 1,
	FD_CLIENTS = 2,
};

struct client {
	int64_t since_ms; /* when it began or got its last answer */
	size_t in_used;
	size_t out_at, out_used; /* what is in out and not sent yet */
	uint8_t in[2 + QUERY_MAX_BYTES];
	uint8_t out[2 + MESSAGE_MAX_BYTES];
};

struct server {
	const struct zone *zone;
	unsigned int client_count;
	struct pollfd fds[FD_CLIENTS + CLIENTS_MAX];
	struct client *clients[CLIENTS_MAX]; /* each in the order of fds; the rest are free */
	struct client room[CLIENTS_MAX];
	uint8_t packet[QUERY_MAX_BYTES];
	uint8_t answer[MESSAGE_MAX_BYTES];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_socket(int type, uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
		!bind(fd, (struct sockaddr *)&address, sizeof(address)) &&
		(type != SOCK_STREAM || !listen(fd, BACKLOG)))
		return fd;
	close(fd); /* leaves errno as it is, as it succeeds */
	return -1;
}

struct server *server_open(const struct zone *zone, uint16_t port)
{
	struct server *server = mmap(NULL, sizeof(*server), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int udp, tcp;

	if (server == MAP_FAILED)
		return NULL;
	udp = open_socket(SOCK_DGRAM, port);
	if (udp < 0)
		goto no_udp;
	tcp = open_socket(SOCK_STREAM, port);
	if (tcp < 0)
		goto no_tcp;
	server->zone = zone;
	server->fds[FD_UDP] = (struct pollfd){.fd = udp, .events = POLLIN};
	server->fds[FD_LISTEN] = (struct pollfd){.fd = tcp, .events = POLLIN};
	for (unsigned int i = 0; i < CLIENTS_MAX; i++)
		server->clients[i] = &server->room[i];
	return server;

no_tcp:
	close(udp);
no_udp:
	munmap(server, sizeof(*server));
	return NULL;
}

static void serve_udp(struct server *server)
{
	for (unsigned int i = 0; i < UDP_BATCH; i++) {
		struct sockaddr_storage peer;
		socklen_t peer_bytes = sizeof(peer);
		ssize_t got = recvfrom(server->fds[FD_UDP].fd, server->packet, sizeof(server->packet), MSG_TRUNC,
			(struct sockaddr *)&peer, &peer_bytes);
		size_t bytes;

		if (got < 0 && errno == EAGAIN)
			return;
		if (got < 0 || (size_t)got > sizeof(server->packet))
			continue;
		bytes = answer_packet(server->zone, OVER_UDP, server->packet, (size_t)got, server->answer);
		/* An answer that can't be sent is lost, as any packet may be. */
		if (bytes)
			sendto(server->fds[FD_UDP].fd, server->answer, bytes, 0, (struct sockaddr *)&peer, peer_bytes);
	}
}

static void drop_client(struct server *server, unsigned int i)
{
	struct client *client = server->clients[i];
	unsigned int last = --server->client_count;

	close(server->fds[FD_CLIENTS + i].fd);
	server->fds[FD_CLIENTS + i] = server->fds[FD_CLIENTS + last];
	server->clients[i] = server->clients[last];
	server->clients[last] = client;
}

static unsigned int idlest_client(const struct server *server)
{
	unsigned int found = 0;

	for (unsigned int i = 1; i < server->client_count; i++)
		if (server->clients[i]->since_ms < server->clients[found]->since_ms)
			found = i;
	return found;
}

/* Takes new clients in; when there is no room, whoever had no answer for the longest time must go (RFC 7766, 6.2.3). */
static void accept_clients(struct server *server)
{
	for (unsigned int i = 0; i < CLIENTS_MAX; i++) {
		int fd = accept4(server->fds[FD_LISTEN].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct client *client;

		if (fd < 0)
			return;
		if (server->client_count == CLIENTS_MAX)
			drop_client(server, idlest_client(server));
		client = server->clients[server->client_count];
		client->since_ms = now_ms();
		client->in_used = client->out_at = client->out_used = 0;
		server->fds[FD_CLIENTS + server->client_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
}

/* Answers the first whole query in the buffer. Returns 1, 0 when there is none yet, -1 when the client must go. */
static int answer_client(struct server *server, struct client *client)
{
	size_t bytes = (size_t)client->in[0] << 8 | client->in[1], answer;

	if (client->in_used < 2)
		return 0;
	if (bytes > QUERY_MAX_BYTES)
		return -1;
	if (client->in_used < 2 + bytes)
		return 0;
	answer = answer_packet(server->zone, OVER_TCP, client->in + 2, bytes, client->out + 2);
	if (!answer)
		return -1;
	client->out[0] = (uint8_t)(answer >> 8);
	client->out[1] = (uint8_t)answer;
	client->out_at = 0;
	client->out_used = 2 + answer;
	client->in_used -= 2 + bytes;
	memmove(client->in, client->in + 2 + bytes, client->in_used);
	client->since_ms = now_ms();
	return 1;
}

/* Sends what there is to send. Returns false when the client must go. */
static bool flush_client(struct client *client, int fd)
{
	while (client->out_at < client->out_used) {
		ssize_t sent = send(fd, client->out + client->out_at, client->out_used - client->out_at, MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN;
		client->out_at += (size_t)sent;
	}
	return true;
}

/* Reads queries and answers them in order, one after the other. Returns false when the client must go. */
static bool serve_client(struct server *server, struct client *client, struct pollfd *fd)
{
	ssize_t got;

	if (client->out_at == client->out_used) {
		got = recv(fd->fd, client->in + client->in_used, sizeof(client->in) - client->in_used, 0);
		if (got <= 0)
			return got < 0 && errno == EAGAIN;
		client->in_used += (size_t)got;
	}
	for (;;) {
		int found;

		if (!flush_client(client, fd->fd))
			return false;
		if (client->out_at < client->out_used) {
			fd->events = POLLOUT;
			return true;
		}
		found = answer_client(server, client);
		if (found < 0)
			return false;
		if (!found)
			break;
	}
	fd->events = POLLIN;
	return true;
}

/* Returns the milliseconds until the first client's time is over, -1 when there is none. */
static int time_left_ms(const struct server *server)
{
	int64_t left;

	if (!server->client_count)
		return -1;
	left = server->clients[idlest_client(server)]->since_ms + TIMEOUT_MS - now_ms();
	return left < 0 ? 0 : (int)left;
}

void server_run(struct server *server)
{
	for (;;) {
		unsigned int count = server->client_count;
		int64_t now;

		if (poll(server->fds, FD_CLIENTS + count, time_left_ms(server)) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		now = now_ms();
		for (unsigned int i = count; i-- > 0;) {
			struct pollfd *fd = &server->fds[FD_CLIENTS + i];
			struct client *client = server->clients[i];

			if ((fd->revents && !serve_client(server, client, fd)) || client->since_ms + TIMEOUT_MS <= now)
				drop_client(server, i);
		}
		if (server->fds[FD_UDP].revents)
			serve_udp(server);
		if (server->fds[FD_LISTEN].revents)
			accept_clients(server);
	}
}
