/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 (RFC 791, RFC 1122): for the transports above. Addresses in network order. */
#ifndef KL_IPV4_H
#define KL_IPV4_H

#include <kl/net.h>

#define KL_IPV4_HEADER_BYTES 20
#define KL_IPPROTO_ICMP 1
#define KL_IPPROTO_TCP 6
#define KL_IPPROTO_UDP 17

struct kl_ipv4_header {
	uint8_t version_ihl, tos;
	uint16_t total_be, id_be, fragment_be;
	uint8_t ttl, protocol;
	uint16_t checksum;
	uint32_t src_be, dst_be;
} __attribute__((packed));

#define KL_IPV4_DF 0x4000
#define KL_IPV4_MF 0x2000
#define KL_IPV4_OFFSET 0x1fff

/* A packet that was received. */
struct kl_ipv4_info {
	struct kl_netif *nif;
	uint32_t src_be, dst_be;
	uint8_t protocol, ttl, tos;
	bool group; /* to a broadcast or multicast address */
};

/* What an ICMP message says about a packet that we sent. */
struct kl_ipv4_error {
	uint32_t src_be, dst_be; /* of that packet: src is ours */
	int error;               /* errno, positive; EMSGSIZE: the path's MTU became smaller */
	uint32_t mtu;            /* with EMSGSIZE */
	bool hard;               /* not to be got over by trying again (RFC 1122, section 4.2.3.9) */
	uint8_t type, code;
	const uint8_t *transport; /* the first bytes behind its IP header */
	size_t transport_bytes;   /* at least 8 */
};

struct kl_ipv4_protocol {
	struct kl_list link;
	uint8_t protocol;
	/*
	 * Data begins with the transport's header; its first 60 bytes, or all if less, are contiguous. Takes over the reference.
	 * packet->l3 is where the IP header lies.
	 */
	void (*input)(struct kl_pbuf *packet, const struct kl_ipv4_info *info);
	void (*error)(const struct kl_ipv4_error *error); /* may be NULL */
};
void kl_ipv4_protocol_add(struct kl_ipv4_protocol *protocol);

struct kl_ipv4_send {
	uint32_t src_be, dst_be;
	uint8_t protocol, ttl, tos;
	bool dont_fragment;
};

/*
 * Sends packet, which begins with the transport's header and has KL_PBUF_HEADROOM; its l4 is set here. With gso, header_bytes counts
 * the transport's header. Takes over the reference. 0 or -errno: dropped (-EMSGSIZE: too long and dont_fragment).
 */
int kl_ipv4_output(struct kl_pbuf *packet, const struct kl_ipv4_send *send, const struct kl_route *route);
/* Answers a received packet with an ICMP error, if ICMP is there and allows it. The packet stays the caller's. */
void kl_ipv4_reject(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code);
void kl_ipv4_set_reject(
	void (*fn)(struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint8_t type, uint8_t code));
/* Tells the transport about an error of a packet sent; data: from that packet's IP header on. */
void kl_ipv4_report(const uint8_t *data, size_t bytes, uint8_t type, uint8_t code, int error, bool hard, uint32_t mtu);
/* Group membership (IP_ADD_MEMBERSHIP); counted. Packets to other groups are dropped. 0, -ENOBUFS, -EADDRNOTAVAIL. */
int kl_ipv4_join(uint32_t group_be);
int kl_ipv4_leave(uint32_t group_be);
int kl_ipv4_init(void);

#endif
