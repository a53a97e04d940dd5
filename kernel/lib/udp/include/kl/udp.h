/* SPDX-License-Identifier: Apache-2.0 */
/* UDP (RFC 768): sockets, and a way for protocols of the library OS's own (DHCP) to use it. */
#ifndef KL_UDP_H
#define KL_UDP_H

#include <kl/ipv4.h>
#include <kl/net.h>

/* Takes the datagrams to a port before any socket does. */
struct kl_udp_hook {
	struct kl_list link;
	uint16_t port;
	/* Data is the payload; the packet stays the caller's. */
	void (*input)(struct kl_udp_hook *hook, struct kl_pbuf *packet, const struct kl_ipv4_info *info,
		uint16_t source_port);
};
void kl_udp_hook_add(struct kl_udp_hook *hook);

struct kl_udp_ends {
	uint32_t src_be, dst_be;
	uint16_t src_port, dst_port;
};
/* packet: the payload, with KL_PBUF_HEADROOM; takes over the reference. 0 or -errno. */
int kl_udp_output(
	struct kl_pbuf *packet, const struct kl_udp_ends *ends, uint8_t ttl, uint8_t tos, const struct kl_route *route);

#endif
