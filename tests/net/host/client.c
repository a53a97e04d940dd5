/* SPDX-License-Identifier: Apache-2.0 */
/* Many connections at a time to a peer's service, each checked. */
#include "netstack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/clock.h>
#include <kl/inet.h>

#define CHUNK 65536

struct client {
	struct kl_waiter waiter;
	struct kl_socket *sock;
	bool ready, connected, shut;
	uint64_t sent, received;
	uint32_t sum;
	uint64_t answer[2];
};

static unsigned long finished, failed;
static const char *first_failure;

static void wake(struct kl_waiter *w, uint32_t events)
{
	(void)events;
	KL_CONTAINER(w, struct client, waiter)->ready = true;
}

static bool start(struct client *c, const struct client_plan *plan)
{
	struct kl_sockaddr address = app_address(plan->ip, plan->port);
	int err;

	*c = (struct client){.sock = app_socket(KL_SOCK_STREAM), .ready = true};
	if (c->sock == NULL)
		return false;
	c->waiter.wake = wake;
	kl_waitq_add(&c->sock->wait, &c->waiter);
	err = c->sock->ops->connect(c->sock, &address, true);
	if (err != 0 && err != -EINPROGRESS) {
		fprintf(stderr, "netstack-host: connect: %s\n", strerror(-err));
		kl_waitq_remove(&c->waiter);
		c->sock->ops->release(c->sock);
		c->sock = NULL;
		return false;
	}
	return true;
}

static void end(struct client *c, const char *failure)
{
	kl_waitq_remove(&c->waiter);
	c->sock->ops->release(c->sock);
	c->sock = NULL;
	finished++;
	if (failure != NULL) {
		failed++;
		if (first_failure == NULL)
			first_failure = failure;
	}
}

static kl_ssize transfer(struct client *c, void *buf, size_t n, bool out)
{
	struct kl_iter it;
	struct kl_message msg = {.it = &it};

	kl_iter_kernel(&it, buf, n);
	return out ? c->sock->ops->send(c->sock, &msg) : c->sock->ops->receive(c->sock, &msg);
}

/* -EAGAIN, 0 when all is sent and the half closed, or an error. */
static kl_ssize send_pattern(struct client *c, uint64_t bytes, bool count_only)
{
	static uint8_t buf[CHUNK];

	while (c->sent < (count_only ? 8 : bytes)) {
		size_t part = KL_MIN((count_only ? 8 : bytes) - c->sent, (uint64_t)CHUNK);
		kl_ssize n;

		for (size_t i = 0; i < part; i++)
			buf[i] = count_only ? ((uint8_t *)&bytes)[c->sent + i] : app_pattern(c->sent + i);
		n = transfer(c, buf, part, true);
		if (n < 0)
			return n;
		c->sum = app_crc(c->sum, buf, (size_t)n);
		c->sent += (uint64_t)n;
	}
	if (!c->shut) {
		c->shut = true;
		return c->sock->ops->shutdown(c->sock, KL_SHUT_WR);
	}
	return 0;
}

/* NULL: goes on. */
static const char *check_received(struct client *c, const struct client_plan *plan)
{
	static uint8_t buf[CHUNK];

	for (;;) {
		kl_ssize n = plan->service == SERVICE_SINK
			? transfer(c, (uint8_t *)c->answer + c->received, sizeof(c->answer) - c->received, false)
			: transfer(c, buf, sizeof(buf), false);

		if (n == -EAGAIN)
			return NULL;
		if (n < 0)
			return strerror((int)-n);
		if (n == 0 || (plan->service == SERVICE_SINK && c->received + (uint64_t)n == sizeof(c->answer)))
			break;
		for (kl_ssize i = 0; plan->service != SERVICE_SINK && i < n; i++) {
			if (buf[i] != app_pattern(c->received + (uint64_t)i))
				return "wrong data";
		}
		c->received += (uint64_t)n;
	}
	if (plan->service == SERVICE_SINK)
		return c->answer[0] == plan->bytes && c->answer[1] == c->sum ? "" : "the peer received something else";
	return c->received == plan->bytes ? "" : "the stream is too short";
}

static void run(struct client *c, const struct client_plan *plan)
{
	const char *result;
	kl_ssize n;

	c->ready = false;
	c->sock->ops->poll(c->sock, NULL);
	n = send_pattern(c, plan->bytes, plan->service == SERVICE_SOURCE);
	if (n < 0 && n != -EAGAIN) {
		end(c, strerror((int)-n));
		return;
	}
	result = check_received(c, plan);
	if (result != NULL)
		end(c, *result == 0 ? NULL : result);
}

int client_run(const struct client_plan *plan)
{
	struct client *clients = calloc(plan->parallel, sizeof(*clients));
	unsigned long started = 0;
	uint64_t begin = kl_clock_ns(), progress = begin;

	while (finished < plan->connections) {
		unsigned long before = finished;
		bool any = false;

		for (unsigned i = 0; i < plan->parallel; i++) {
			if (clients[i].sock == NULL && started < plan->connections && start(&clients[i], plan))
				started++;
			if (clients[i].sock != NULL && clients[i].ready) {
				run(&clients[i], plan);
				any = true;
			}
		}
		if (finished != before || any)
			progress = kl_clock_ns();
		if (kl_clock_ns() - progress > 120 * KL_NS_PER_S) {
			fprintf(stderr, "netstack-host: stalled after %lu connections\n", finished);
			return 1;
		}
		if (any)
			kl_poll();
		else
			platform_round();
	}
	free(clients);
	printf("connections %lu failed %lu seconds %.3f%s%s\n", finished, failed,
		(double)(kl_clock_ns() - begin) / KL_NS_PER_S, first_failure != NULL ? " first: " : "",
		first_failure != NULL ? first_failure : "");
	fflush(stdout);
	return failed != 0;
}
