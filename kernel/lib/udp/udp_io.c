/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams between the program and its socket (udp(7), send(2), recv(2)). */
#include "udp_priv.h"

#include <asm/socket.h>
#include <linux/errno.h>
#include <linux/in.h>

#define PAYLOAD_MAX 65507u

static int take_error(struct udp *u)
{
	int error = u->sock.error;

	u->sock.error = 0;
	return -error;
}

/* Where to, and from which address. */
static int resolve(struct udp *u, const struct kl_sockaddr *addr, struct kl_udp_ends *ends, struct kl_route *route)
{
	int err;

	ends->dst_be = u->remote_be;
	ends->dst_port = u->remote_port;
	if (addr != NULL) {
		err = kl_inet_address_get(addr, &ends->dst_be, &ends->dst_port);
		if (err != 0)
			return err;
		if (ends->dst_be == 0)
			ends->dst_be = kl_htonl(0x7f000001);
		if (ends->dst_port == 0)
			return -EINVAL;
	} else if (u->remote_be == 0) {
		return -EDESTADDRREQ;
	}
	if (kl_route_is_broadcast(ends->dst_be) && !u->sock.broadcast)
		return -EACCES;
	err = kl_route_find(ends->dst_be, NULL, route);
	if (err != 0 && kl_net_wait_configured() == 0)
		err = kl_route_find(ends->dst_be, NULL, route);
	if (err != 0)
		return err;
	if (u->local_port == 0) {
		err = udp_bind_port(u, 0, 0);
		if (err != 0)
			return err;
	}
	ends->src_be = u->local_be != 0 && !kl_route_is_multicast(u->local_be) ? u->local_be : route->source_be;
	ends->src_port = u->local_port;
	return 0;
}

kl_ssize udp_send(struct kl_socket *sock, struct kl_message *msg)
{
	struct udp *u = udp_of(sock);
	size_t n = msg->it->left;
	struct kl_udp_ends ends;
	struct kl_route route;
	struct kl_pbuf *packet;
	uint8_t ttl;
	int err;

	if (msg->flags & KL_MSG_OOB)
		return -EOPNOTSUPP;
	if (n > PAYLOAD_MAX)
		return -EMSGSIZE;
	if (sock->error != 0)
		return take_error(u);
	if (u->shut_write)
		return -EPIPE;
	err = resolve(u, msg->addr, &ends, &route);
	if (err != 0)
		return err;
	route.mtu = kl_route_pmtu(ends.dst_be, route.mtu);
	packet = kl_pbuf_alloc(KL_PBUF_HEADROOM, n);
	if (packet == NULL)
		return -ENOBUFS;
	err = kl_iter_read(msg->it, kl_pbuf_append(packet, n), n);
	if (err != 0) {
		kl_pbuf_put(packet);
		return err;
	}
	ttl = kl_route_is_multicast(ends.dst_be) ? u->ip.multicast_ttl : u->ip.ttl;
	err = kl_udp_output(packet, &ends, ttl, u->ip.tos, &route);
	/* What a full queue drops is lost as on any link. */
	return err == 0 || err == -ENOBUFS ? (kl_ssize)n : err;
}

/* --- receive --- */

static void put_packet_info(const struct kl_pbuf *packet, struct kl_message *msg)
{
	const struct kl_ipv4_header *ip = (const struct kl_ipv4_header *)packet->data;
	struct {
		uint64_t bytes;
		int32_t level, type;
		struct in_pktinfo info;
	} __attribute__((packed)) control = {
		.bytes = 16 + sizeof(struct in_pktinfo),
		.level = IPPROTO_IP,
		.type = IP_PKTINFO,
		.info =
			{
				.ipi_ifindex = packet->netif != NULL ? (int)packet->netif->index : 0,
				.ipi_spec_dst = {packet->netif != NULL ? packet->netif->address_be : ip->dst_be},
				.ipi_addr = {ip->dst_be},
			},
	};

	if (msg->control_bytes < sizeof(control)) {
		msg->control_bytes = 0;
		msg->flags |= KL_MSG_CTRUNC;
		return;
	}
	memcpy(msg->control, &control, sizeof(control));
	msg->control_bytes = KL_ALIGN_UP(sizeof(control), 8) <= msg->control_bytes ? KL_ALIGN_UP(sizeof(control), 8)
										   : sizeof(control);
}

static int copy_payload(const struct kl_pbuf *packet, struct kl_iter *it, uint32_t n)
{
	uint32_t offset = udp_payload_offset(packet);

	for (; n > 0; packet = packet->next) {
		uint32_t part;
		int err;

		if (offset >= packet->bytes) {
			offset -= packet->bytes;
			continue;
		}
		part = KL_MIN(n, packet->bytes - offset);
		err = kl_iter_write(it, packet->data + offset, part);
		if (err != 0)
			return err;
		n -= part;
		offset = 0;
	}
	return 0;
}

static kl_ssize take(struct udp *u, struct kl_message *msg, int flags)
{
	struct kl_pbuf *packet = u->queue.first;
	const struct kl_ipv4_header *ip = (const struct kl_ipv4_header *)packet->data;
	const struct udp_header *header =
		(const struct udp_header *)(packet->data + udp_payload_offset(packet) - sizeof(*header));
	uint32_t bytes = packet->total - udp_payload_offset(packet);
	uint32_t n = (uint32_t)KL_MIN((size_t)bytes, msg->it->left);
	int err = copy_payload(packet, msg->it, n);

	if (msg->addr != NULL)
		kl_inet_address_put(msg->addr, ip->src_be, kl_ntohs(header->src_be));
	if (u->ip.packet_info && err == 0)
		put_packet_info(packet, msg);
	else
		msg->control_bytes = 0;
	if (n < bytes)
		msg->flags |= KL_MSG_TRUNC;
	if (!(flags & KL_MSG_PEEK)) {
		u->truesize -= udp_truesize(packet);
		kl_pbuf_put(kl_pbuf_dequeue(&u->queue));
	}
	if (err != 0)
		return err;
	return flags & KL_MSG_TRUNC ? (kl_ssize)bytes : (kl_ssize)n;
}

kl_ssize udp_receive(struct kl_socket *sock, struct kl_message *msg)
{
	struct udp *u = udp_of(sock);
	int flags = msg->flags;
	bool nonblock = kl_socket_nonblock(sock, flags), looked = false;
	uint64_t deadline = kl_inet_deadline(sock->rcvtimeo_ns);

	msg->flags = 0;
	if (flags & KL_MSG_OOB)
		return -EOPNOTSUPP;
	if (flags & KL_MSG_ERRQUEUE)
		return -EAGAIN;
	for (;;) {
		int err;

		if (sock->error != 0)
			return take_error(u);
		if (u->queue.first != NULL)
			return take(u, msg, flags);
		if (u->shut_read) {
			msg->control_bytes = 0;
			return 0;
		}
		if (nonblock) {
			if (looked)
				return -EAGAIN;
			looked = true;
			kl_inet_poll();
			continue;
		}
		err = kl_wait(&sock->wait, deadline, true);
		if (err != 0)
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
}
