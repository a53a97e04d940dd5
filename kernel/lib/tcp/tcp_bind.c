/* SPDX-License-Identifier: Apache-2.0 */
/* Local ports: bind(2)'s rules as Linux has them (socket(7)), ephemeral ports by RFC 6056. */
#include "tcp_priv.h"

#include <kl/random.h>

#include <linux/errno.h>

static struct kl_list *bucket_of(uint16_t port)
{
	return &tcp_root.bound[port % TCP_BIND_BUCKETS];
}

static bool overlap(uint32_t a_be, uint32_t b_be)
{
	return a_be == 0 || b_be == 0 || a_be == b_be;
}

/* Whether others on the port rule out that t has it too. */
static bool conflicts(const struct tcp *t, uint32_t address_be, uint16_t port)
{
	KL_LIST_FOR(link, bucket_of(port))
	{
		const struct tcp *other = KL_LIST_ENTRY(link, struct tcp, bind_link);

		if (other == t || other->node.local_port != port || !overlap(address_be, other->bound_be))
			continue;
		if (t->sock.reuse_port && other->sock.reuse_port)
			continue;
		if (t->sock.reuse_addr && other->sock.reuse_addr && other->state != TCP_S_LISTEN)
			continue;
		return true;
	}
	return false;
}

/* Connections that a former listener accepted, and those in TIME-WAIT, keep the port from whoever has no SO_REUSEADDR. */
static bool has_connections(uint32_t address_be, uint16_t port)
{
	for (uint32_t i = 0; i <= tcp_root.buckets_mask; i++) {
		for (const struct tcp_node *node = tcp_root.buckets[i]; node != NULL; node = node->next) {
			if (node->local_port == port && overlap(address_be, node->local_be))
				return true;
		}
	}
	return false;
}

static void bind_to(struct tcp *t, uint32_t address_be, uint16_t port)
{
	t->node.local_be = t->bound_be = address_be;
	t->node.local_port = port;
	t->bound = true;
	kl_list_push_back(bucket_of(port), &t->bind_link);
}

int tcp_bind_port(struct tcp *t, uint32_t address_be, uint16_t port)
{
	uint32_t range = KL_INET_PORT_LAST - KL_INET_PORT_FIRST + 1, start;

	if (port != 0) {
		if (conflicts(t, address_be, port) || (!t->sock.reuse_addr && has_connections(address_be, port)))
			return -EADDRINUSE;
		bind_to(t, address_be, port);
		return 0;
	}
	start = kl_random_u32() % range;
	for (uint32_t i = 0; i < range; i++) {
		port = (uint16_t)(KL_INET_PORT_FIRST + (start + i) % range);
		if (!conflicts(t, address_be, port) && (t->sock.reuse_addr || !has_connections(address_be, port))) {
			bind_to(t, address_be, port);
			return 0;
		}
	}
	return -EADDRINUSE;
}

void tcp_unbind(struct tcp *t)
{
	if (!t->bound)
		return;
	kl_list_remove(&t->bind_link);
	t->bound = false;
}

int tcp_listen_conflict(struct tcp *t)
{
	KL_LIST_FOR(link, bucket_of(t->node.local_port))
	{
		const struct tcp *other = KL_LIST_ENTRY(link, struct tcp, bind_link);

		if (other != t && other->state == TCP_S_LISTEN && other->node.local_port == t->node.local_port &&
			overlap(other->bound_be, t->bound_be) && !(t->sock.reuse_port && other->sock.reuse_port))
			return -EADDRINUSE;
	}
	return 0;
}

/* Only a port that nobody bound on purpose: one is reusable for different peers, but not a listener's. */
static bool usable(const struct tcp *t, uint16_t port)
{
	struct tcp_node *node;

	KL_LIST_FOR(link, bucket_of(port))
	{
		const struct tcp *other = KL_LIST_ENTRY(link, struct tcp, bind_link);

		if (other->node.local_port == port && overlap(other->bound_be, t->node.local_be))
			return false;
	}
	node = tcp_node_find(t->node.local_be, port, t->node.remote_be, t->node.remote_port);
	if (node == NULL)
		return true;
	if (node->kind != TCP_TIMEWAIT)
		return false;
	{
		/* RFC 6191: after a second the timestamps tell old segments from new ones. */
		struct tcp_timewait *tw = KL_CONTAINER(node, struct tcp_timewait, node);

		if (!tw->has_ts || tw->until_ns - tcp_now() + KL_NS_PER_S > TCP_TIME_WAIT_NS)
			return false;
		tcp_timewait_free(tw);
		return true;
	}
}

int tcp_bind_ephemeral(struct tcp *t)
{
	struct {
		uint32_t local_be, remote_be, port;
	} key = {t->node.local_be, t->node.remote_be, t->node.remote_port};
	uint32_t range = KL_INET_PORT_LAST - KL_INET_PORT_FIRST + 1;
	uint32_t offset = (uint32_t)kl_inet_hash(&key, sizeof(key));

	for (uint32_t i = 0; i < range; i++) {
		uint16_t port = (uint16_t)(KL_INET_PORT_FIRST + (offset + tcp_root.port_counter++) % range);

		if (usable(t, port)) {
			t->node.local_port = port;
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}
