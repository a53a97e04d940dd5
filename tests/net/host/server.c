/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The services that both sides of the tests offer: echo; sink (counts to the end, answers with count and checksum); source (reads how
 * many bytes are wanted, sends them); http (answers each request with 612 bytes, closes when asked to).
 */
#include "netstack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/eventpoll.h>

#include <kl/inet.h>

#define CHUNK 65536
#define LISTENERS_MAX 8

struct conn {
	struct kl_waiter waiter;
	struct kl_socket *sock;
	struct conn *next_ready;
	bool ready;
	int service;
	uint64_t received, to_send, sent;
	uint32_t sum;
	uint8_t *buf; /* echo: what is still to be sent back */
	size_t buf_used, buf_sent;
	bool eof, closing;
	char tail[4];
};

struct listener {
	struct kl_waiter waiter;
	struct kl_socket *sock;
	int service;
	bool ready;
};

unsigned app_open;
unsigned long app_accepted;
static struct conn *ready;
static struct listener listeners[LISTENERS_MAX];
static unsigned listeners_count;

struct kl_sockaddr app_address(const char *ip, unsigned port)
{
	struct kl_sockaddr address;
	const char *end;
	uint32_t ip_be = 0;

	if (ip != NULL && !kl_net_parse_address(ip, &ip_be, &end)) {
		fprintf(stderr, "netstack-host: not an address: %s\n", ip);
		exit(2);
	}
	kl_inet_address_put(&address, ip_be, (uint16_t)port);
	return address;
}

uint32_t app_crc(uint32_t crc, const uint8_t *data, size_t n)
{
	static uint32_t table[256];

	if (table[1] == 0) {
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t v = i;

			for (int bit = 0; bit < 8; bit++)
				v = v & 1 ? v >> 1 ^ 0xedb88320u : v >> 1;
			table[i] = v;
		}
	}
	crc = ~crc;
	for (size_t i = 0; i < n; i++)
		crc = crc >> 8 ^ table[(crc ^ data[i]) & 255];
	return ~crc;
}

static void make_ready(struct conn *c)
{
	if (c->ready)
		return;
	c->ready = true;
	c->next_ready = ready;
	ready = c;
}

static void conn_wake(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	make_ready(KL_CONTAINER(w, struct conn, waiter));
}

static void conn_close(struct conn *c)
{
	/* It may have become ready again while it ran. */
	for (struct conn **at = &ready; c->ready && *at != NULL; at = &(*at)->next_ready) {
		if (*at == c) {
			*at = c->next_ready;
			break;
		}
	}
	kl_waitq_remove(&c->waiter);
	c->sock->ops->release(c->sock);
	free(c->buf);
	free(c);
	app_open--;
}

static kl_ssize receive(struct conn *c, void *buf, size_t n)
{
	struct kl_iter it;
	struct kl_message msg = {.it = &it};

	kl_iter_kernel(&it, buf, n);
	return c->sock->ops->receive(c->sock, &msg);
}

static kl_ssize send(struct conn *c, const void *buf, size_t n)
{
	struct kl_iter it;
	struct kl_message msg = {.it = &it};

	kl_iter_kernel(&it, (void *)buf, n);
	return c->sock->ops->send(c->sock, &msg);
}

/* Each returns false when the connection is done with. */

static bool run_echo(struct conn *c)
{
	if (c->buf == NULL)
		c->buf = malloc(CHUNK);
	for (;;) {
		kl_ssize n;

		while (c->buf_sent < c->buf_used) {
			n = send(c, c->buf + c->buf_sent, c->buf_used - c->buf_sent);
			if (n == -EAGAIN)
				return true;
			if (n <= 0)
				return false;
			c->buf_sent += (size_t)n;
		}
		if (c->eof)
			return false;
		n = receive(c, c->buf, CHUNK);
		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return false;
		c->eof = n == 0;
		c->buf_used = (size_t)n;
		c->buf_sent = 0;
	}
}

static bool run_sink(struct conn *c)
{
	static uint8_t buf[CHUNK];

	for (;;) {
		kl_ssize n = receive(c, buf, sizeof(buf));
		uint64_t answer[2];

		if (n == -EAGAIN)
			return true;
		if (n < 0)
			return false;
		if (n == 0) {
			answer[0] = c->received;
			answer[1] = c->sum;
			send(c, answer, sizeof(answer));
			return false;
		}
		c->sum = app_crc(c->sum, buf, (size_t)n);
		c->received += (uint64_t)n;
	}
}

static bool run_source(struct conn *c)
{
	static uint8_t buf[CHUNK];

	if (c->received < 8) {
		kl_ssize n = receive(c, (uint8_t *)&c->to_send + c->received, 8 - c->received);

		if (n <= 0)
			return n == -EAGAIN;
		c->received += (uint64_t)n;
		if (c->received < 8)
			return true;
	}
	while (c->sent < c->to_send) {
		size_t part = KL_MIN(c->to_send - c->sent, (uint64_t)CHUNK);
		kl_ssize n;

		for (size_t i = 0; i < part; i++)
			buf[i] = app_pattern(c->sent + i);
		n = send(c, buf, part);
		if (n == -EAGAIN)
			return true;
		if (n <= 0)
			return false;
		c->sent += (uint64_t)n;
	}
	return false;
}

static bool run_http(struct conn *c)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 612\r\nContent-Type: text/html\r\n\r\n";
	static char body[612], buf[4096];
	kl_ssize n = receive(c, buf, sizeof(buf) - 1);

	if (n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	buf[n] = 0;
	if (strstr(buf, "Connection: close") != NULL)
		c->closing = true;
	memset(body, 'x', sizeof(body));
	for (kl_ssize i = 0; i < n; i++) {
		memmove(c->tail, c->tail + 1, 3);
		c->tail[3] = buf[i];
		if (memcmp(c->tail, "\r\n\r\n", 4) == 0 &&
			(send(c, head, sizeof(head) - 1) <= 0 || send(c, body, sizeof(body)) <= 0))
			return false;
	}
	return !c->closing;
}

static void conn_run(struct conn *c)
{
	bool more;

	switch (c->service) {
	case SERVICE_ECHO: more = run_echo(c); break;
	case SERVICE_SINK: more = run_sink(c); break;
	case SERVICE_SOURCE: more = run_source(c); break;
	default: more = run_http(c); break;
	}
	if (!more)
		conn_close(c);
}

static void accept_all(struct listener *l)
{
	struct kl_socket *sock;

	while (l->sock != NULL && l->sock->ops->accept(l->sock, true, &sock) == 0) {
		struct conn *c = calloc(1, sizeof(*c));

		if (c == NULL)
			abort();
		c->sock = sock;
		c->service = l->service;
		c->waiter.wake = conn_wake;
		kl_waitq_add(&sock->wait, &c->waiter);
		app_open++;
		app_accepted++;
		make_ready(c);
	}
}

static struct kl_socket *udp;
static struct kl_waiter udp_waiter;
static bool udp_ready;

static void udp_wake(struct kl_waiter *w, uint32_t events)
{
	(void)w;
	(void)events;
	udp_ready = true;
}

void app_serve_udp(unsigned port)
{
	struct kl_sockaddr address = app_address(NULL, port);

	udp = app_socket(KL_SOCK_DGRAM);
	udp->broadcast = true;
	if (udp->ops->bind(udp, &address) != 0)
		abort();
	udp_waiter.wake = udp_wake;
	kl_waitq_add(&udp->wait, &udp_waiter);
}

static void run_udp(void)
{
	static uint8_t buf[CHUNK];

	for (;;) {
		struct kl_sockaddr from;
		struct kl_iter it;
		struct kl_message msg = {.it = &it, .addr = &from};
		kl_ssize n;

		kl_iter_kernel(&it, buf, sizeof(buf));
		n = udp->ops->receive(udp, &msg);
		if (n < 0)
			return;
		kl_iter_kernel(&it, buf, (size_t)n);
		msg.flags = 0;
		udp->ops->send(udp, &msg);
	}
}

static void listener_wake(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	KL_CONTAINER(w, struct listener, waiter)->ready = true;
}

bool app_run(void)
{
	struct conn *batch = ready;
	bool any = batch != NULL;

	for (unsigned i = 0; i < listeners_count; i++) {
		if (listeners[i].ready) {
			listeners[i].ready = false;
			accept_all(&listeners[i]);
			any = true;
		}
	}
	if (udp_ready) {
		udp_ready = false;
		run_udp();
		any = true;
	}
	batch = ready;
	ready = NULL;
	while (batch != NULL) {
		struct conn *c = batch;

		batch = c->next_ready;
		c->ready = false;
		/* As a server with epoll would: asks what is possible, which also says that it waits for room. */
		c->sock->ops->poll(c->sock, NULL);
		conn_run(c);
	}
	return any;
}

void app_serve(unsigned port, int service)
{
	struct listener *l = &listeners[listeners_count++];
	struct kl_sockaddr address = app_address(NULL, port);
	struct kl_socket *sock = app_socket(KL_SOCK_STREAM);

	sock->reuse_addr = true;
	if (sock->ops->bind(sock, &address) != 0 || sock->ops->listen(sock, 1024) != 0)
		abort();
	*l = (struct listener){.sock = sock, .service = service, .waiter = {.wake = listener_wake}};
	kl_waitq_add(&sock->wait, &l->waiter);
}

void app_close_listeners(void)
{
	for (unsigned i = 0; i < listeners_count; i++) {
		if (listeners[i].sock == NULL)
			continue;
		kl_waitq_remove(&listeners[i].waiter);
		listeners[i].sock->ops->release(listeners[i].sock);
		listeners[i].sock = NULL;
	}
	if (udp != NULL) {
		kl_waitq_remove(&udp_waiter);
		udp->ops->release(udp);
		udp = NULL;
	}
}
