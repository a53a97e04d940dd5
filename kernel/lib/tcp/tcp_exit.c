/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the program. Linux would go on sending for it: here what is queued must reach the peers before the VM ends. Bounded, so
 * that a peer that is gone does not keep a VM alive.
 */
#include "tcp_priv.h"

#include <kl/platform.h>
#include <kl/process.h>

#define WAIT_NS (2 * KL_NS_PER_S)
#define STEP_NS (KL_NS_PER_MS / 2)

/* As if each descriptor had been closed. No thread of the program runs any more, so nobody looks at what is freed. */
static void close_all(void)
{
	for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++) {
		while (!kl_list_empty(&tcp_root.listeners[i]))
			tcp_free(KL_LIST_FIRST(&tcp_root.listeners[i], struct tcp_listen, link)->tcp);
	}
	for (uint32_t i = 0; i <= tcp_root.buckets_mask; i++) {
		struct tcp_node *node = tcp_root.buckets[i];

		while (node != NULL) {
			struct tcp *t = KL_CONTAINER(node, struct tcp, node);

			if (node->kind != TCP_CONNECTION || t->orphan) {
				node = node->next;
				continue;
			}
			t->sock.linger.on = t->sock.linger.on && t->sock.linger.seconds == 0;
			tcp_close(t);
			node = tcp_root.buckets[i]; /* t may be gone */
		}
	}
}

/* Whether a peer still has to acknowledge something, the end of the stream included. */
static bool unfinished(void)
{
	for (uint32_t i = 0; i <= tcp_root.buckets_mask; i++) {
		for (const struct tcp_node *node = tcp_root.buckets[i]; node != NULL; node = node->next) {
			const struct tcp *t = KL_CONTAINER(node, struct tcp, node);

			if (node->kind == TCP_CONNECTION && t->snd_una != tcp_send_limit(t))
				return true;
		}
	}
	return false;
}

static void on_exit(void)
{
	uint64_t until = kl_clock_ns() + WAIT_NS;

	if (tcp_root.connections == 0)
		return;
	close_all();
	for (;;) {
		bool found = kl_poll();

		if (!unfinished() || kl_clock_ns() >= until)
			break;
		if (!found)
			kl_platform->wait(STEP_NS);
	}
	/* What the last round answered. */
	kl_poll();
}

int kl_tcp_exit_init(void);
int kl_tcp_exit_init(void)
{
	static struct kl_exit_hook hook = {.fn = on_exit};

	kl_exit_hook_add(&hook);
	return 0;
}
