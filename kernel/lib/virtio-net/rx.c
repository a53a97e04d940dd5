/* SPDX-License-Identifier: Apache-2.0 */
/* Reception: buffers of half a page, handed up without a copy (VIRTIO 1.2, section 5.1.6.3). */
#include "net_priv.h"

#include <kl/heap.h>
#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/string.h>

#define ETHER_HEADER 14u
#define PACKET_MAX (65535u + ETHER_HEADER + 4u)
#define FREE_PART 16u /* buffers take at most this part of the free memory */

/* --- buffers --- */

static kl_phys page_of(const struct rx_buffer *buffer)
{
	return KL_ALIGN_DOWN(kl_virt_to_phys(buffer), KL_PAGE_BYTES);
}

static struct rx_buffer *sibling(struct rx_buffer *buffer)
{
	return (struct rx_buffer *)((uintptr_t)buffer ^ RX_BYTES);
}

/* The bit of the page's tag that says that this half is in rx_free. */
static uint32_t free_bit(const struct rx_buffer *buffer)
{
	return (uintptr_t)buffer & RX_BYTES ? 2 : 1;
}

static void put_free(struct net *net, struct rx_buffer *buffer)
{
	struct rx_buffer *other = sibling(buffer);
	kl_phys page = page_of(buffer);
	uint32_t tag = kl_page_tag(page);

	/* More than the device can take: the page goes back when both halves are free. */
	if (net->rx_free_count > net->rx_target && tag & free_bit(other)) {
		kl_list_remove(&other->free_link);
		net->rx_free_count--;
		kl_page_put(page);
		return;
	}
	kl_page_set_tag(page, tag | free_bit(buffer));
	kl_list_push_front(&net->rx_free, &buffer->free_link);
	net->rx_free_count++;
}

/* The stack (or a drop) is done with a buffer. */
static void release(struct kl_pbuf *pbuf)
{
	put_free(pbuf->owner, KL_CONTAINER(pbuf, struct rx_buffer, pbuf));
}

static struct rx_buffer *take_free(struct net *net)
{
	struct kl_list *link = kl_list_pop_front(&net->rx_free);
	struct rx_buffer *buffer;
	kl_phys page;

	if (link == NULL)
		return NULL;
	buffer = KL_LIST_ENTRY(link, struct rx_buffer, free_link);
	page = page_of(buffer);
	kl_page_set_tag(page, kl_page_tag(page) & ~free_bit(buffer));
	net->rx_free_count--;
	return buffer;
}

static bool post(struct net *net, struct rx_buffer *buffer)
{
	struct kl_virtq_buf buf = {.pa = kl_virt_to_phys(buffer->storage), .bytes = RX_ROOM};

	return kl_virtq_add(&net->rx, &buf, 0, 1, buffer) == 0;
}

/* Two new buffers. */
static bool post_page(struct net *net)
{
	kl_phys page = kl_page_alloc();
	struct rx_buffer *buffer;

	if (page == KL_PHYS_NONE)
		return false;
	kl_page_set_tag(page, 0);
	buffer = kl_phys_to_virt(page);
	if (!post(net, buffer)) {
		kl_page_put(page);
		return false;
	}
	if (net->rx.in_flight >= net->rx_target || !post(net, sibling(buffer)))
		put_free(net, sibling(buffer));
	return true;
}

/* Whether the stack's share of memory allows one page more. */
static bool may_grow(const struct net *net)
{
	return net->rx.in_flight < RX_LOW || kl_pages_free() > kl_pages_total() / 32;
}

void net_rx_fill(struct net *net)
{
	while (net->rx.in_flight < net->rx_target) {
		struct rx_buffer *buffer = take_free(net);

		if (buffer == NULL) {
			if (!may_grow(net) || !post_page(net))
				break;
		} else if (!post(net, buffer)) {
			put_free(net, buffer);
			break;
		}
	}
	kl_virtq_kick(&net->rx);
}

/* The device had used most of its buffers before we looked: give it more at a time. */
static void grow(struct net *net)
{
	unsigned most = (unsigned)(kl_pages_free() * (KL_PAGE_BYTES / RX_BYTES) / FREE_PART);
	unsigned wanted = net->rx_target * 2;

	most = KL_MAX(most, RX_FIRST);
	wanted = KL_MIN(wanted, most);
	wanted = KL_MIN(wanted, (unsigned)net->rx.size);
	net->rx_target = KL_MAX(net->rx_target, wanted);
}

/* --- packets --- */

/* What the device says about checksums and segments. False: the frame is not to be believed. */
static bool take_offload(struct kl_pbuf *packet, const struct virtio_net_hdr_v1 *header)
{
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		uint32_t start = header->csum_start;

		if (start < ETHER_HEADER || start > packet->bytes || start + header->csum_offset + 2u > packet->bytes)
			return false;
		packet->csum = KL_CSUM_PARTIAL;
		packet->csum_start = (uint16_t)(packet->data - packet->start + start);
		packet->csum_offset = header->csum_offset;
	} else if (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		packet->csum = KL_CSUM_VERIFIED;
	}
	switch (header->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE: return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		packet->gso = KL_GSO_TCP4;
		packet->gso_bytes = header->gso_size;
		return header->gso_size != 0;
	default: return false;
	}
}

static void hand_up(struct net *net, struct kl_pbuf *packet)
{
	if (packet->total < ETHER_HEADER) {
		net->nif.rx_dropped++;
		kl_pbuf_put(packet);
		return;
	}
	/*
	 * With hardly any buffer left, what the stack may keep for long is a copy: acknowledgements must still come in, or the
	 * memory that they would free stays in use for ever.
	 */
	if (net->rx.in_flight + net->rx_free_count < RX_LOW)
		net_rx_fill(net);
	if (net->rx.in_flight + net->rx_free_count < RX_LOW) {
		struct kl_pbuf *copy = kl_pbuf_copy(packet, 0);

		kl_pbuf_put(packet);
		if (copy == NULL) {
			net->nif.rx_dropped++;
			return;
		}
		packet = copy;
	}
	kl_netif_receive(&net->nif, packet);
}

static struct kl_pbuf *wrap(struct net *net, struct rx_buffer *buffer, uint32_t skip, uint32_t bytes)
{
	struct kl_pbuf *pbuf = &buffer->pbuf;

	kl_pbuf_init(pbuf, buffer->storage, RX_ROOM, release, net);
	pbuf->truesize = RX_BYTES;
	pbuf->data += skip;
	pbuf->bytes = pbuf->total = bytes - skip;
	pbuf->netif = &net->nif;
	return pbuf;
}

static void first_buffer(struct net *net, struct rx_buffer *buffer, uint32_t bytes)
{
	struct virtio_net_hdr_v1 header;
	struct kl_pbuf *packet;

	if (bytes < sizeof(header)) {
		kl_virtio_break(net->dev, "gave a frame without its header");
		put_free(net, buffer);
		return;
	}
	memcpy(&header, buffer->storage, sizeof(header));
	if (!kl_virtio_has(net->dev, VIRTIO_NET_F_MRG_RXBUF))
		header.num_buffers = 1;
	packet = wrap(net, buffer, sizeof(header), bytes);
	if (header.num_buffers == 0 || header.num_buffers > net->rx.size) {
		kl_virtio_break(net->dev, "gave a frame of an impossible number of buffers");
		kl_pbuf_put(packet);
		return;
	}
	if (!take_offload(packet, &header)) {
		/* The rest of it, if any, comes in as a packet of its own kind: without Ethernet header. */
		packet->bytes = packet->total = 0;
	}
	net->packet = packet;
	net->packet_left = header.num_buffers - 1u;
}

static void next_buffer(struct net *net, struct rx_buffer *buffer, uint32_t bytes)
{
	struct kl_pbuf *rest = wrap(net, buffer, 0, bytes);

	net->packet_left--;
	if (net->packet->total == 0 || net->packet->total + rest->total > PACKET_MAX) {
		net->packet->bytes = net->packet->total = 0;
		kl_pbuf_put(rest);
		return;
	}
	kl_pbuf_chain(net->packet, rest);
}

bool net_rx_poll(struct net *net)
{
	unsigned before = net->rx.in_flight, used = 0;
	struct rx_buffer *buffer;
	uint32_t bytes;

	/* No more than was given before: others want their turn. */
	while (used < before && (buffer = kl_virtq_get(&net->rx, &bytes)) != NULL) {
		used++;
		if (net->packet == NULL)
			first_buffer(net, buffer, bytes);
		else
			next_buffer(net, buffer, bytes);
		if (net->packet != NULL && net->packet_left == 0) {
			struct kl_pbuf *packet = net->packet;

			net->packet = NULL;
			hand_up(net, packet);
		}
	}
	if (used == 0 && net->rx.in_flight >= net->rx_target / 2)
		return false;
	if (used > net->rx_target / 2)
		grow(net);
	net_rx_fill(net);
	return used > 0;
}
