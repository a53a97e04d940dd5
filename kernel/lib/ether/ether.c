/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/arp.h>
#include <kl/ether.h>
#include <kl/net.h>

#include <linux/errno.h>

static void ether_input(struct kl_netif *nif, struct kl_pbuf *frame)
{
	static const uint8_t nowhere[6];
	const struct kl_ether_header *header;
	uint16_t type;

	frame = kl_pbuf_pullup(frame, sizeof(*header));
	if (frame == NULL) {
		nif->rx_dropped++;
		return;
	}
	header = (const struct kl_ether_header *)frame->data;
	/*
	 * Ours, or a group address: which groups matter is for the protocols to say. All zero: a user-mode network (passt) that has
	 * not yet heard from us, at the other end of a link with two ends.
	 */
	if ((header->dst[0] & 1) == 0 && memcmp(header->dst, nif->mac, sizeof(nif->mac)) != 0 &&
		memcmp(header->dst, nowhere, sizeof(nowhere)) != 0) {
		nif->rx_dropped++;
		kl_pbuf_put(frame);
		return;
	}
	type = kl_ntohs(header->type_be);
	kl_pbuf_pull(frame, sizeof(*header));
	kl_net_input(nif, type, frame);
}

static int ether_output(struct kl_netif *nif, struct kl_pbuf *packet, uint32_t next_hop_be)
{
	uint8_t mac[6];

	if (next_hop_be == UINT32_MAX || (next_hop_be == nif->broadcast_be && nif->mask_be != UINT32_MAX)) {
		memset(mac, 0xff, sizeof(mac));
	} else if (kl_route_is_multicast(next_hop_be)) {
		const uint8_t *group = (const uint8_t *)&next_hop_be; /* RFC 1112, section 6.4 */

		memcpy(mac, (const uint8_t[]){0x01, 0x00, 0x5e, group[1] & 0x7f, group[2], group[3]}, sizeof(mac));
	} else {
		int err = kl_arp_resolve(nif, next_hop_be, packet, mac);

		if (err != 0)
			return err == -EINPROGRESS ? 0 : err;
	}
	kl_ether_push(nif, packet, mac, KL_ETHERTYPE_IPV4);
	return kl_netif_transmit(nif, packet);
}

const struct kl_link_ops kl_ether_link = {
	.header_bytes = KL_ETHER_HEADER_BYTES,
	.input = ether_input,
	.output = ether_output,
	.address_changed = kl_arp_announce,
};
