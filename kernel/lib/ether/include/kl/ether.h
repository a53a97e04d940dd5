/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet II frames (IEEE 802.3). Drivers use kl_ether_link of kl/netif.h. */
#ifndef KL_ETHER_H
#define KL_ETHER_H

#include <kl/byteorder.h>
#include <kl/netif.h>
#include <kl/string.h>

#define KL_ETHER_HEADER_BYTES 14

struct kl_ether_header {
	uint8_t dst[6], src[6];
	uint16_t type_be;
} __attribute__((packed));

/* Puts the header before the packet, which has headroom for it in a first buffer of its own. */
static inline void kl_ether_push(struct kl_netif *nif, struct kl_pbuf *packet, const uint8_t dst[6], uint16_t type)
{
	struct kl_ether_header *header = (struct kl_ether_header *)kl_pbuf_push(packet, sizeof(*header));

	memcpy(header->dst, dst, sizeof(header->dst));
	memcpy(header->src, nif->mac, sizeof(header->src));
	header->type_be = kl_htons(type);
	packet->header_bytes = (uint16_t)(packet->header_bytes + sizeof(*header));
}

#endif
