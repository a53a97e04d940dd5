/* SPDX-License-Identifier: Apache-2.0 */
/* Transmission straight from the stack's buffers (VIRTIO 1.2, section 5.1.6.2). */
#include "net_priv.h"

#include <kl/pmm.h>
#include <asm/errno.h>

#define QUIET 16u /* frames that may be sent before we want to hear of it, when nobody waits */

static void fill_header(struct virtio_net_hdr_v1 *header, const struct kl_pbuf *frame)
{
	*header = (struct virtio_net_hdr_v1){0};
	if (frame->csum == KL_CSUM_PARTIAL) {
		header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header->csum_start = (uint16_t)kl_pbuf_csum_start(frame);
		header->csum_offset = frame->csum_offset;
	}
	if (frame->gso == KL_GSO_TCP4) {
		header->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		header->gso_size = frame->gso_bytes;
		header->hdr_len = frame->header_bytes;
	}
}

/* Lists the frame's buffers. Returns how many, or 0 when it has more than there is room for. */
static unsigned list(const struct kl_pbuf *frame, struct kl_virtq_buf *bufs)
{
	unsigned count = 0;

	for (const struct kl_pbuf *part = frame; part != NULL; part = part->next) {
		if (part->bytes == 0)
			continue;
		if (count == TX_SEGS_MAX)
			return 0;
		bufs[count++] = (struct kl_virtq_buf){.pa = kl_virt_to_phys(part->data), .bytes = part->bytes};
	}
	return count;
}

static int transmit(struct kl_netif *nif, struct kl_pbuf *frame)
{
	struct net *net = nif->priv;
	struct kl_virtq_buf bufs[1 + TX_SEGS_MAX];
	struct virtio_net_hdr_v1 *header;
	unsigned count = list(frame, bufs + 1);
	bool own = frame->refs == 1 && frame->bytes > 0 && kl_pbuf_headroom(frame) >= sizeof(*header);

	if (net->dev->broken || count == 0) {
		nif->tx_dropped++;
		kl_pbuf_put(frame);
		return 0;
	}
	if (net->tx.free_count < count + !own) {
		net_tx_reap(net);
		if (net->tx.free_count < count + !own)
			return -ENOBUFS;
	}
	if (own) {
		/* The header just before the frame: one descriptor for both. */
		header = (struct virtio_net_hdr_v1 *)(frame->data - sizeof(*header));
		fill_header(header, frame);
		bufs[1].pa -= sizeof(*header);
		bufs[1].bytes += (uint32_t)sizeof(*header);
		return kl_virtq_add(&net->tx, bufs + 1, count, 0, frame);
	}
	header = &net->headers[net->tx.free_first];
	fill_header(header, frame);
	bufs[0] = (struct kl_virtq_buf){.pa = kl_virt_to_phys(header), .bytes = sizeof(*header)};
	return kl_virtq_add(&net->tx, bufs, count + 1, 0, frame);
}

static void flush(struct kl_netif *nif)
{
	struct net *net = nif->priv;

	kl_virtq_kick(&net->tx);
}

const struct kl_netif_ops net_ops = {
	.transmit = transmit,
	.flush = flush,
};

bool net_tx_reap(struct net *net)
{
	struct kl_pbuf *frame;
	bool found = false;

	while ((frame = kl_virtq_get(&net->tx, NULL)) != NULL) {
		kl_pbuf_put(frame);
		found = true;
	}
	if (found && net->tx.in_flight == 0)
		kl_timer_cancel(&net->reap_timer);
	return found;
}

/*
 * That frames have left is no news worth waking up for, unless somebody waits for room in the ring. But their memory must come
 * back some time: when many are done, or after a while.
 */
bool net_tx_arm(struct net *net)
{
	unsigned in_flight = net->tx.in_flight;

	if (in_flight == 0)
		return false;
	if (net->nif.tx_full)
		return kl_virtq_arm(&net->tx, in_flight / 2);
	if (in_flight > QUIET)
		return kl_virtq_arm(&net->tx, QUIET);
	if (!kl_timer_is_set(&net->reap_timer) && kl_timer_set(&net->reap_timer, kl_clock_ns() + TX_REAP_NS) != 0)
		return kl_virtq_arm(&net->tx, in_flight - 1);
	kl_virtq_disarm(&net->tx);
	return false;
}
