/* SPDX-License-Identifier: Apache-2.0 */
/* Which connection a segment belongs to; numbers that an outsider must not guess. */
#include "tcp_priv.h"

#include <kl/random.h>

#include <linux/errno.h>

#define BUCKETS_START 64u
#define BUCKETS_MAX (1u << 17)

static uint32_t hash(uint32_t local_be, uint16_t local_port, uint32_t remote_be, uint16_t remote_port)
{
	uint64_t a = (((uint64_t)local_be << 32) | remote_be) ^ tcp_root.hash_key[0];
	uint64_t b = (((uint64_t)local_port << 16) | remote_port) ^ tcp_root.hash_key[1];

	/* Secret and cheap; each chain's length is also bounded by the limits on connections. */
	a *= 0x9e3779b97f4a7c15u;
	a ^= a >> 32;
	a = (a ^ b) * 0xd6e8feb86659fd93u;
	return (uint32_t)(a >> 32);
}

static uint32_t hash_node(const struct tcp_node *node)
{
	return hash(node->local_be, node->local_port, node->remote_be, node->remote_port);
}

int tcp_demux_init(void)
{
	for (unsigned i = 0; i < TCP_LISTEN_BUCKETS; i++)
		kl_list_init(&tcp_root.listeners[i]);
	for (unsigned i = 0; i < TCP_BIND_BUCKETS; i++)
		kl_list_init(&tcp_root.bound[i]);
	kl_random_bytes(tcp_root.hash_key, sizeof(tcp_root.hash_key));
	tcp_root.port_counter = kl_random_u32();
	tcp_root.buckets = kl_zalloc(BUCKETS_START * sizeof(tcp_root.buckets[0]));
	if (tcp_root.buckets == NULL)
		return -ENOMEM;
	tcp_root.buckets_mask = BUCKETS_START - 1;
	return 0;
}

/* Doubles the table; without memory it stays as it is, only slower. */
static void grow(void)
{
	uint32_t size = (tcp_root.buckets_mask + 1) * 2;
	struct tcp_node **buckets;

	if (size > BUCKETS_MAX)
		return;
	buckets = kl_zalloc(size * sizeof(buckets[0]));
	if (buckets == NULL)
		return;
	for (uint32_t i = 0; i <= tcp_root.buckets_mask; i++) {
		struct tcp_node *node = tcp_root.buckets[i];

		while (node != NULL) {
			struct tcp_node *next = node->next;
			struct tcp_node **bucket = &buckets[hash_node(node) & (size - 1)];

			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	kl_free(tcp_root.buckets);
	tcp_root.buckets = buckets;
	tcp_root.buckets_mask = size - 1;
}

void tcp_node_insert(struct tcp_node *node)
{
	struct tcp_node **bucket;

	if (++tcp_root.nodes_count > tcp_root.buckets_mask + 1)
		grow();
	bucket = &tcp_root.buckets[hash_node(node) & tcp_root.buckets_mask];
	node->next = *bucket;
	*bucket = node;
	node->hashed = true;
}

void tcp_node_remove(struct tcp_node *node)
{
	struct tcp_node **at;

	if (!node->hashed)
		return;
	at = &tcp_root.buckets[hash_node(node) & tcp_root.buckets_mask];
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->hashed = false;
	tcp_root.nodes_count--;
}

struct tcp_node *tcp_node_find(uint32_t local_be, uint16_t local_port, uint32_t remote_be, uint16_t remote_port)
{
	struct tcp_node *node =
		tcp_root.buckets[hash(local_be, local_port, remote_be, remote_port) & tcp_root.buckets_mask];

	for (; node != NULL; node = node->next) {
		if (node->remote_be == remote_be && node->remote_port == remote_port &&
			node->local_port == local_port && node->local_be == local_be)
			return node;
	}
	return NULL;
}

/* Of several with SO_REUSEPORT, one by the peer's address, so that a peer's connections are spread and repeatable. */
struct tcp *tcp_listener_find(uint32_t local_be, uint16_t port, uint32_t remote_be, uint16_t remote_port)
{
	struct kl_list *bucket = &tcp_root.listeners[port % TCP_LISTEN_BUCKETS];
	unsigned exact = 0, any = 0, n = 0, pick;

	KL_LIST_FOR(link, bucket)
	{
		struct tcp *t = KL_LIST_ENTRY(link, struct tcp_listen, link)->tcp;

		if (t->node.local_port == port) {
			exact += t->node.local_be == local_be;
			any += t->node.local_be == 0;
		}
	}
	if (exact + any == 0)
		return NULL;
	pick = exact + any == 1 ? 0 : hash(local_be, port, remote_be, remote_port) % (exact > 0 ? exact : any);
	KL_LIST_FOR(link, bucket)
	{
		struct tcp *t = KL_LIST_ENTRY(link, struct tcp_listen, link)->tcp;

		if (t->node.local_port == port && t->node.local_be == (exact > 0 ? local_be : 0) && n++ == pick)
			return t;
	}
	return NULL;
}

struct tuple {
	uint32_t local_be, remote_be;
	uint16_t local_port, remote_port;
	uint32_t purpose;
};

/* RFC 6528: a secret function of the addresses plus a clock of 4 us. */
uint32_t tcp_isn(const struct tcp_node *node)
{
	struct tuple tuple = {node->local_be, node->remote_be, node->local_port, node->remote_port, 1};

	return (uint32_t)kl_inet_hash(&tuple, sizeof(tuple)) + (uint32_t)(tcp_now() / 4000);
}

uint32_t tcp_ts_offset(const struct tcp_node *node)
{
	struct tuple tuple = {node->local_be, node->remote_be, 0, 0, 2};

	return (uint32_t)kl_inet_hash(&tuple, sizeof(tuple));
}
