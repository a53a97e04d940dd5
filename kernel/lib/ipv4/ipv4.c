/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/random.h>
#include <kl/string.h>

#include "ipv4_priv.h"

#include <linux/errno.h>
#include <linux/icmp.h>

#define CONTIGUOUS_BYTES 60 /* of the transport's header */
#define GROUPS_MAX 16

static struct {
	struct kl_list protocols;
	void (*reject)(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code);
	uint16_t id;
	struct {
		uint32_t group_be;
		unsigned count;
	} groups[GROUPS_MAX];
} root;

void kl_ipv4_protocol_add(struct kl_ipv4_protocol *protocol)
{
	kl_list_push_back(&root.protocols, &protocol->link);
}

static struct kl_ipv4_protocol *find_protocol(uint8_t number)
{
	KL_LIST_FOR(link, &root.protocols)
	{
		struct kl_ipv4_protocol *protocol = KL_LIST_ENTRY(link, struct kl_ipv4_protocol, link);

		if (protocol->protocol == number)
			return protocol;
	}
	return NULL;
}

/* --- groups --- */

int kl_ipv4_join(uint32_t group_be)
{
	int free = -1;

	for (int i = 0; i < GROUPS_MAX; i++) {
		if (root.groups[i].count > 0 && root.groups[i].group_be == group_be) {
			root.groups[i].count++;
			return 0;
		}
		if (root.groups[i].count == 0)
			free = i;
	}
	if (free < 0)
		return -ENOBUFS;
	root.groups[free].group_be = group_be;
	root.groups[free].count = 1;
	return 0;
}

int kl_ipv4_leave(uint32_t group_be)
{
	for (int i = 0; i < GROUPS_MAX; i++) {
		if (root.groups[i].count > 0 && root.groups[i].group_be == group_be) {
			root.groups[i].count--;
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

static bool joined(uint32_t group_be)
{
	if (group_be == kl_htonl(0xe0000001)) /* all hosts */
		return true;
	for (int i = 0; i < GROUPS_MAX; i++) {
		if (root.groups[i].count > 0 && root.groups[i].group_be == group_be)
			return true;
	}
	return false;
}

/* --- receive --- */

/* Whether a packet with these addresses may come in here, and is for us. */
static bool acceptable(struct kl_netif *nif, struct kl_ipv4_info *info)
{
	bool loopback = (nif->features & KL_NETIF_LOOPBACK) != 0;
	uint32_t src = kl_ntohl(info->src_be), dst = kl_ntohl(info->dst_be);

	if (src >= 0xe0000000 || (src != 0 && kl_route_is_broadcast(info->src_be)))
		return false; /* a group as the sender */
	if (!loopback && (src >> 24 == 127 || dst >> 24 == 127 || (src != 0 && kl_route_is_local(info->src_be))))
		return false; /* martians, and our own address from outside */
	if (kl_route_is_multicast(info->dst_be)) {
		info->group = true;
		return joined(info->dst_be);
	}
	if (kl_route_is_broadcast(info->dst_be)) {
		info->group = true;
		return true;
	}
	/* Before there is an address, DHCP servers may send to the one that they are about to give. */
	return kl_route_is_local(info->dst_be) ||
		(nif->dhcp && nif->address_be == 0 && info->protocol == KL_IPPROTO_UDP);
}

static void deliver(struct kl_netif *nif, struct kl_pbuf *packet)
{
	const struct kl_ipv4_header *header = (const struct kl_ipv4_header *)packet->data;
	unsigned header_bytes = (header->version_ihl & 15u) * 4;
	struct kl_ipv4_info info = {
		.nif = nif,
		.src_be = header->src_be,
		.dst_be = header->dst_be,
		.protocol = header->protocol,
		.ttl = header->ttl,
		.tos = header->tos,
	};
	struct kl_ipv4_protocol *protocol;

	if (!acceptable(nif, &info))
		goto drop;
	packet->l3 = (uint16_t)(packet->data - packet->start);
	kl_pbuf_pull(packet, header_bytes);
	packet->l4 = (uint16_t)(packet->l3 + header_bytes);
	protocol = find_protocol(info.protocol);
	if (protocol != NULL) {
		protocol->input(packet, &info);
		return;
	}
	kl_ipv4_reject(packet, &info, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH);
drop:
	nif->rx_dropped++;
	kl_pbuf_put(packet);
}

static struct kl_pbuf *check(struct kl_netif *nif, struct kl_pbuf *packet)
{
	const struct kl_ipv4_header *header;
	unsigned header_bytes, total;

	packet = kl_pbuf_pullup(packet, KL_IPV4_HEADER_BYTES);
	if (packet == NULL)
		return NULL;
	header = (const struct kl_ipv4_header *)packet->data;
	header_bytes = (header->version_ihl & 15u) * 4;
	total = kl_ntohs(header->total_be);
	if (header->version_ihl >> 4 != 4 || header_bytes < KL_IPV4_HEADER_BYTES || total < header_bytes ||
		total > packet->total)
		goto drop;
	if (total < packet->total)
		kl_pbuf_trim(packet, total); /* Ethernet's padding */
	packet = kl_pbuf_pullup(packet, KL_MIN(total, header_bytes + CONTIGUOUS_BYTES));
	if (packet == NULL)
		return NULL;
	if (!(nif->features & KL_NETIF_LOOPBACK) && kl_net_sum(packet->data, header_bytes, 0) != 0xffff)
		goto drop;
	return packet;
drop:
	kl_pbuf_put(packet);
	return NULL;
}

static void ipv4_input(struct kl_netif *nif, struct kl_pbuf *packet)
{
	const struct kl_ipv4_header *header;

	packet = check(nif, packet);
	if (packet == NULL) {
		nif->rx_dropped++;
		return;
	}
	header = (const struct kl_ipv4_header *)packet->data;
	if (KL_UNLIKELY((header->fragment_be & kl_htons(KL_IPV4_MF | KL_IPV4_OFFSET)) != 0)) {
		packet = ipv4_reassemble(packet);
		if (packet == NULL)
			return;
	}
	deliver(nif, packet);
}

/* --- send --- */

static void push_header(struct kl_pbuf *packet, const struct kl_ipv4_send *send, uint16_t id, uint16_t fragment)
{
	uint32_t payload = packet->total;
	struct kl_ipv4_header *header = (struct kl_ipv4_header *)kl_pbuf_push(packet, sizeof(*header));

	*header = (struct kl_ipv4_header){
		.version_ihl = 0x45,
		.tos = send->tos,
		.total_be = kl_htons((uint16_t)(payload + sizeof(*header))),
		.id_be = kl_htons(id),
		.fragment_be = kl_htons(fragment),
		.ttl = send->ttl,
		.protocol = send->protocol,
		.src_be = send->src_be,
		.dst_be = send->dst_be,
	};
	header->checksum = (uint16_t)~kl_net_sum(header, sizeof(*header), 0);
	packet->l3 = (uint16_t)(packet->data - packet->start);
}

/* Offset and size in units of 8 bytes but for the last piece. */
static int output_fragments(struct kl_pbuf *packet, const struct kl_ipv4_send *send, const struct kl_route *route)
{
	uint32_t step = KL_ALIGN_DOWN(route->mtu - KL_IPV4_HEADER_BYTES, 8u), total = packet->total, offset = 0;
	uint16_t id = root.id++;
	int err = 0;

	if (packet->csum == KL_CSUM_PARTIAL) {
		unsigned start = kl_pbuf_csum_start(packet);
		uint16_t sum = (uint16_t)~kl_pbuf_sum(packet, start, total - start, 0);

		sum = sum == 0 ? 0xffff : sum;
		memcpy(packet->data + start + packet->csum_offset, &sum, sizeof(sum));
		packet->csum = KL_CSUM_NONE;
	}
	while (offset < total && err == 0) {
		uint32_t n = KL_MIN(step, total - offset);
		struct kl_pbuf *piece = kl_pbuf_alloc(KL_PBUF_HEADROOM, n);

		if (piece == NULL) {
			err = -ENOBUFS;
			break;
		}
		kl_pbuf_copy_out(packet, offset, kl_pbuf_append(piece, n), n);
		push_header(piece, send, id, (uint16_t)(offset / 8 | (offset + n < total ? KL_IPV4_MF : 0)));
		err = route->nif->link->output(route->nif, piece, route->next_hop_be);
		offset += n;
	}
	kl_pbuf_put(packet);
	return err;
}

int kl_ipv4_output(struct kl_pbuf *packet, const struct kl_ipv4_send *send, const struct kl_route *route)
{
	uint32_t total = packet->total + KL_IPV4_HEADER_BYTES;

	packet->l4 = (uint16_t)(packet->data - packet->start);
	if (total > route->mtu && packet->gso == KL_GSO_NONE && !(route->nif->features & KL_NETIF_LOOPBACK)) {
		if (!send->dont_fragment && total <= 65535)
			return output_fragments(packet, send, route);
		kl_pbuf_put(packet);
		return -EMSGSIZE;
	}
	push_header(packet, send, send->dont_fragment ? 0 : root.id++, send->dont_fragment ? KL_IPV4_DF : 0);
	packet->header_bytes = (uint16_t)(packet->header_bytes + KL_IPV4_HEADER_BYTES);
	return route->nif->link->output(route->nif, packet, route->next_hop_be);
}

/* --- errors --- */

void kl_ipv4_set_reject(void (*fn)(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code))
{
	root.reject = fn;
}

void kl_ipv4_reject(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code)
{
	if (root.reject != NULL && !info->group)
		root.reject(packet, info, type, code);
}

void kl_ipv4_report(const uint8_t *data, size_t bytes, uint8_t type, uint8_t code, int error, bool hard, uint32_t mtu)
{
	const struct kl_ipv4_header *header = (const struct kl_ipv4_header *)data;
	struct kl_ipv4_protocol *protocol;
	struct kl_ipv4_error report;
	size_t header_bytes;

	if (bytes < sizeof(*header) + 8)
		return;
	header_bytes = (header->version_ihl & 15u) * 4;
	if (header->version_ihl >> 4 != 4 || header_bytes < sizeof(*header) || bytes < header_bytes + 8)
		return;
	if ((header->fragment_be & kl_htons(KL_IPV4_OFFSET)) != 0 || !kl_route_is_local(header->src_be))
		return;
	report = (struct kl_ipv4_error){
		.src_be = header->src_be,
		.dst_be = header->dst_be,
		.error = error,
		.mtu = mtu,
		.hard = hard,
		.type = type,
		.code = code,
		.transport = data + header_bytes,
		.transport_bytes = bytes - header_bytes,
	};
	protocol = find_protocol(header->protocol);
	if (protocol != NULL && protocol->error != NULL)
		protocol->error(&report);
}

/* No answer to ARP: the sender learns it as from a router. */
static void unreachable(struct kl_pbuf *packet)
{
	packet = kl_pbuf_pullup(packet, KL_IPV4_HEADER_BYTES + 8);
	if (packet == NULL)
		return;
	kl_ipv4_report(packet->data, packet->bytes, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, EHOSTUNREACH, false, 0);
	kl_pbuf_put(packet);
}

int kl_ipv4_init(void)
{
	static struct kl_net_protocol protocol = {.ethertype = KL_ETHERTYPE_IPV4, .input = ipv4_input};

	kl_list_init(&root.protocols);
	root.id = (uint16_t)kl_random_u32();
	kl_net_protocol_add(&protocol);
	kl_net_set_unreachable(unreachable);
	return 0;
}
