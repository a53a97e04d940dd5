/* SPDX-License-Identifier: Apache-2.0 */
/* One virtio network device: what its files share. */
#ifndef KL_VIRTIO_NET_PRIV_H
#define KL_VIRTIO_NET_PRIV_H

#include <kl/clock.h>
#include <kl/list.h>
#include <kl/netif.h>
#include <kl/pbuf.h>
#include <kl/sched.h>
#include <kl/virtio.h>
#include <linux/virtio_net.h>

enum { QUEUE_RX, QUEUE_TX };

#define RX_ENTRIES_MAX 256u
#define TX_ENTRIES_MAX 256u
#define RX_FIRST 36u /* buffers given to the device at first: the largest frame fits; more when it uses them up */
#define RX_LOW 8u    /* with fewer, frames are copied rather than handed up, so that reception never ends */
#define RX_BYTES 2048u
#define TX_SEGS_MAX 40u /* buffers of a frame, without the header */
#define TX_REAP_NS (5 * KL_NS_PER_MS)

/*
 * A receive buffer: half a page, with its pbuf at the front and the device's part behind it. The front is not touched before
 * the device has used the buffer: which half of a page is free stands in the page's tag.
 */
struct rx_buffer {
	struct kl_pbuf pbuf;
	struct kl_list free_link; /* in net.rx_free */
	uint8_t storage[];
};

#define RX_ROOM (RX_BYTES - (uint32_t)sizeof(struct rx_buffer))

_Static_assert(RX_ROOM >= sizeof(struct virtio_net_hdr_v1) + 1518, "a frame and its header in one buffer");
/* A device that waits for room for a frame of 64 KiB (merged segments, or a large MTU) must get it without being asked twice. */
#define FRAME_MAX (sizeof(struct virtio_net_hdr_v1) + 14 + 65535)
_Static_assert(RX_ROOM >= (FRAME_MAX + RX_FIRST - 1) / RX_FIRST, "the largest frame fits at first");

struct net {
	struct kl_netif nif;
	struct kl_virtio_device *dev;
	struct kl_virtq rx, tx;
	struct kl_poller poller;

	struct kl_list rx_free; /* rx_buffer.free_link: not with the device, not with the stack */
	unsigned rx_free_count;
	unsigned rx_target;     /* buffers that the device should have */
	struct kl_pbuf *packet; /* of several buffers, of which packet_left are still to come */
	unsigned packet_left;

	struct virtio_net_hdr_v1 *headers; /* by the first descriptor of the chain; for frames without headroom */
	struct kl_timer reap_timer;
};

/* rx.c. fill: gives the device buffers up to rx_target. poll: hands up what was received; whether there was anything. */
void net_rx_fill(struct net *net);
bool net_rx_poll(struct net *net);

/* tx.c. reap: drops what was sent; whether there was anything. */
extern const struct kl_netif_ops net_ops;
bool net_tx_reap(struct net *net);
bool net_tx_arm(struct net *net);

#endif
