/* SPDX-License-Identifier: Apache-2.0 */
/* What the rest of the library OS does for the stack: the clock, waiting, the command line. The heap is the test support's. */
#include "netstack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <kl/clock.h>
#include <kl/platform.h>
#include <kl/random.h>
#include <kl/sched.h>

#include <linux/errno.h>

static const char *net0;
static struct kl_list pollers = KL_LIST_INIT(pollers);

uint64_t kl_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * KL_NS_PER_S + (uint64_t)now.tv_nsec;
}

void kl_random_bytes(void *buf, size_t n)
{
	if (getrandom(buf, n, 0) != (ssize_t)n)
		abort();
}

void platform_set_net0(const char *text)
{
	net0 = text;
}

const char *kl_cmdline_get(const char *key, unsigned n)
{
	return n == 0 && strcmp(key, "net0") == 0 ? net0 : NULL;
}

void kl_poller_add(struct kl_poller *poller)
{
	kl_list_push_back(&pollers, &poller->link);
}

bool kl_poll(void)
{
	bool any = device_poll();

	kl_timers_run();
	KL_LIST_FOR(link, &pollers)
	{
		struct kl_poller *poller = KL_LIST_ENTRY(link, struct kl_poller, link);

		any |= poller->poll(poller);
	}
	return any;
}

bool platform_round(void)
{
	bool any = kl_poll();

	any |= app_run();
	if (!any) {
		uint64_t now = kl_clock_ns(), next = kl_timers_next_ns();

		device_wait(next == KL_FOREVER ? KL_NS_PER_S : (next > now ? next - now : 0));
	}
	return any;
}

int kl_block(uint64_t deadline_ns, bool interruptible)
{
	(void)interruptible;
	while (!kl_current->woken) {
		uint64_t now = kl_clock_ns(), next = kl_timers_next_ns();

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		if (!kl_poll() && !kl_current->woken)
			device_wait(KL_MIN(deadline_ns, next) > now ? KL_MIN(deadline_ns, next) - now : 0);
	}
	kl_current->woken = false;
	return 0;
}

/* --- sockets without files: none of them blocks --- */

static struct kl_socket_family *inet;

void kl_socket_family_add(struct kl_socket_family *family)
{
	inet = family;
}

void kl_socket_init(struct kl_socket *sock, const struct kl_socket_ops *ops, int family, int type, int protocol)
{
	sock->ops = ops;
	sock->family = family;
	sock->type = type;
	sock->protocol = protocol;
	sock->rcvbuf = sock->sndbuf = 212992;
	sock->rcvlowat = 1;
	kl_waitq_init(&sock->wait);
}

bool kl_socket_nonblock(const struct kl_socket *sock, int flags)
{
	(void)sock;
	(void)flags;
	return true;
}

struct kl_socket *app_socket(int type)
{
	struct kl_socket *sock;

	return inet->create(type, 0, &sock) == 0 ? sock : NULL;
}
