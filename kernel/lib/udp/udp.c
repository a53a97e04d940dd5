/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams in and out, and who gets which. */
#include "udp_priv.h"

#include <kl/random.h>

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/icmp.h>
#include <linux/in.h>

#define COMPACT_MAX 2048u

struct udp_root udp_root;

static struct kl_list *bucket_of(uint16_t port)
{
	return &udp_root.buckets[port % UDP_BUCKETS];
}

void kl_udp_hook_add(struct kl_udp_hook *hook)
{
	kl_list_push_back(&udp_root.hooks, &hook->link);
}

/* --- ports --- */

static bool conflicts(const struct udp *u, uint32_t address_be, uint16_t port)
{
	KL_LIST_FOR(link, bucket_of(port))
	{
		const struct udp *other = KL_LIST_ENTRY(link, struct udp, link);

		if (other == u || other->local_port != port ||
			(address_be != 0 && other->bound_be != 0 && address_be != other->bound_be))
			continue;
		if ((u->sock.reuse_addr && other->sock.reuse_addr) || (u->sock.reuse_port && other->sock.reuse_port))
			continue;
		return true;
	}
	return false;
}

int udp_bind_port(struct udp *u, uint32_t address_be, uint16_t port)
{
	uint32_t range = KL_INET_PORT_LAST - KL_INET_PORT_FIRST + 1, start = kl_random_u32() % range, i = 0;

	if (port != 0 && conflicts(u, address_be, port))
		return -EADDRINUSE;
	for (; port == 0 && i < range; i++) {
		uint16_t candidate = (uint16_t)(KL_INET_PORT_FIRST + (start + i) % range);

		if (!conflicts(u, address_be, candidate))
			port = candidate;
	}
	if (port == 0)
		return -EADDRINUSE;
	u->local_be = u->bound_be = address_be;
	u->local_port = port;
	kl_list_push_back(bucket_of(port), &u->link);
	return 0;
}

/* --- receive --- */

uint32_t udp_truesize(const struct kl_pbuf *packet)
{
	uint32_t sum = 0;

	for (; packet != NULL; packet = packet->next)
		sum += packet->truesize;
	return sum;
}

unsigned udp_payload_offset(const struct kl_pbuf *packet)
{
	return (packet->data[0] & 15u) * 4 + (unsigned)sizeof(struct udp_header);
}

/* How well the socket fits; 0: not at all. */
static unsigned score(const struct udp *u, const struct kl_ipv4_info *info, uint16_t local_port, uint16_t remote_port)
{
	unsigned points = 1;

	if (u->local_port != local_port)
		return 0;
	if (u->local_be != 0 && !info->group) {
		if (u->local_be != info->dst_be)
			return 0;
		points += 2;
	}
	if (info->group && u->bound_be != 0 && u->bound_be != info->dst_be && u->bound_be != info->nif->address_be)
		return 0;
	if (u->remote_be != 0) {
		if (u->remote_be != info->src_be || u->remote_port != remote_port)
			return 0;
		points += 4;
	}
	return points;
}

/* The packet begins with its IP header; takes over the reference. */
static void deliver(struct udp *u, struct kl_pbuf *packet)
{
	uint32_t size;

	if (packet->total <= COMPACT_MAX && packet->total * 4 < udp_truesize(packet)) {
		struct kl_pbuf *copy = kl_pbuf_copy(packet, 0);

		if (copy != NULL) {
			kl_pbuf_put(packet);
			packet = copy;
		}
	}
	size = udp_truesize(packet);
	if (u->truesize + size > u->sock.rcvbuf || u->shut_read) {
		kl_pbuf_put(packet);
		return;
	}
	u->truesize += size;
	kl_pbuf_enqueue(&u->queue, packet);
	kl_waitq_wake(&u->sock.wait, EPOLLIN | EPOLLRDNORM);
}

/* To everybody who wants it, a copy each. */
static void deliver_group(
	struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint16_t local_port, uint16_t remote_port)
{
	KL_LIST_FOR_SAFE(link, bucket_of(local_port))
	{
		struct udp *u = KL_LIST_ENTRY(link, struct udp, link);
		struct kl_pbuf *copy;

		if (score(u, info, local_port, remote_port) == 0)
			continue;
		copy = kl_pbuf_copy(packet, 0);
		if (copy == NULL)
			return;
		deliver(u, copy);
	}
}

static struct udp *find(const struct kl_ipv4_info *info, uint16_t local_port, uint16_t remote_port)
{
	struct udp *best = NULL;
	unsigned best_score = 0, equal = 0;
	uint32_t hash = (info->src_be ^ remote_port * 0x9e3779b1u) * 0x85ebca6bu;

	KL_LIST_FOR(link, bucket_of(local_port))
	{
		struct udp *u = KL_LIST_ENTRY(link, struct udp, link);
		unsigned points = score(u, info, local_port, remote_port);

		if (points == 0 || points < best_score)
			continue;
		equal = points > best_score ? 1 : equal + 1;
		/* With SO_REUSEPORT one of them by the sender; otherwise the last bound. */
		if (points > best_score || !u->sock.reuse_port || (hash >> 16) % equal == 0)
			best = u;
		best_score = points;
	}
	return best;
}

static bool run_hooks(
	struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint16_t local_port, uint16_t remote_port)
{
	KL_LIST_FOR(link, &udp_root.hooks)
	{
		struct kl_udp_hook *hook = KL_LIST_ENTRY(link, struct kl_udp_hook, link);

		if (hook->port == local_port) {
			kl_pbuf_pull(packet, sizeof(struct udp_header));
			hook->input(hook, packet, info, remote_port);
			return true;
		}
	}
	return false;
}

static bool valid(struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	const struct udp_header *header = (const struct udp_header *)packet->data;
	unsigned bytes;

	if (packet->bytes < sizeof(*header))
		return false;
	bytes = kl_ntohs(header->bytes_be);
	if (bytes < sizeof(*header) || bytes > packet->total)
		return false;
	if (header->checksum != 0 && packet->csum == KL_CSUM_NONE) {
		uint32_t sum = kl_net_pseudo_sum(info->src_be, info->dst_be, KL_IPPROTO_UDP, (uint16_t)bytes);

		if (kl_pbuf_sum(packet, 0, bytes, sum) != 0xffff)
			return false;
	}
	if (bytes < packet->total)
		kl_pbuf_trim(packet, bytes);
	return true;
}

static void udp_input(struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	const struct udp_header *header = (const struct udp_header *)packet->data;
	uint16_t local_port, remote_port;
	struct udp *u;

	if (!valid(packet, info)) {
		info->nif->rx_dropped++;
		goto out;
	}
	local_port = kl_ntohs(header->dst_be);
	remote_port = kl_ntohs(header->src_be);
	if (run_hooks(packet, info, local_port, remote_port))
		goto out;
	u = info->group ? NULL : find(info, local_port, remote_port);
	if (u == NULL && !info->group) {
		kl_ipv4_reject(packet, info, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH);
		goto out;
	}
	/* Back to the IP header, which says where it came from. */
	kl_pbuf_push(packet, (size_t)(packet->data - packet->start) - packet->l3);
	if (u != NULL) {
		deliver(u, packet);
		return;
	}
	deliver_group(packet, info, local_port, remote_port);
out:
	kl_pbuf_put(packet);
}

static void udp_error(const struct kl_ipv4_error *error)
{
	uint16_t local_port = kl_get_be16(error->transport), remote_port = kl_get_be16(error->transport + 2);

	if (error->error == EMSGSIZE)
		kl_route_pmtu_learn(error->dst_be, error->mtu);
	KL_LIST_FOR(link, bucket_of(local_port))
	{
		struct udp *u = KL_LIST_ENTRY(link, struct udp, link);

		/* udp(7): only a connected socket learns of it. */
		if (u->local_port != local_port || u->remote_be != error->dst_be || u->remote_port != remote_port ||
			!(error->hard || u->ip.receive_error))
			continue;
		u->sock.error = error->error;
		kl_waitq_wake(&u->sock.wait, EPOLLERR | EPOLLIN | EPOLLOUT);
		return;
	}
}

/* --- send --- */

int kl_udp_output(
	struct kl_pbuf *packet, const struct kl_udp_ends *ends, uint8_t ttl, uint8_t tos, const struct kl_route *route)
{
	struct kl_ipv4_send send = {ends->src_be, ends->dst_be, KL_IPPROTO_UDP, ttl, tos, false};
	struct udp_header *header = (struct udp_header *)kl_pbuf_push(packet, sizeof(*header));

	*header = (struct udp_header){
		.src_be = kl_htons(ends->src_port),
		.dst_be = kl_htons(ends->dst_port),
		.bytes_be = kl_htons((uint16_t)packet->total),
	};
	header->checksum =
		(uint16_t)kl_net_pseudo_sum(ends->src_be, ends->dst_be, KL_IPPROTO_UDP, (uint16_t)packet->total);
	packet->csum = KL_CSUM_PARTIAL;
	packet->csum_start = (uint16_t)(packet->data - packet->start);
	packet->csum_offset = offsetof(struct udp_header, checksum);
	return kl_ipv4_output(packet, &send, route);
}

int kl_udp_init(void);
int kl_udp_init(void)
{
	static struct kl_ipv4_protocol protocol = {.protocol = KL_IPPROTO_UDP, .input = udp_input, .error = udp_error};
	static struct kl_inet_protocol family = {.type = KL_SOCK_DGRAM, .protocol = IPPROTO_UDP, .create = udp_create};

	for (unsigned i = 0; i < UDP_BUCKETS; i++)
		kl_list_init(&udp_root.buckets[i]);
	kl_list_init(&udp_root.hooks);
	kl_ipv4_protocol_add(&protocol);
	kl_inet_protocol_add(&family);
	return 0;
}
