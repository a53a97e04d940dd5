/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network interfaces: drivers below, the stack above. Everything runs to completion within kl_poll(): a driver's poller hands each
 * frame up with kl_netif_receive(), the answers come back down through transmit(), and one flush() ends the batch.
 *
 * A driver (device stage):   nif->ops, link = &kl_ether_link, mac, mtu, features  ->  kl_netif_add(nif)
 *   poll():  for each frame received: kl_netif_receive(nif, packet);
 *            when transmit buffers came back after transmit() had said -ENOBUFS: kl_netif_tx_ready(nif)
 */
#ifndef KL_NETIF_H
#define KL_NETIF_H

#include <kl/list.h>
#include <kl/pbuf.h>
#include <kl/types.h>

/* Addresses and ports in names with _be are in network byte order; all IPv4 addresses are. */

struct kl_netif_ops {
	/*
	 * Puts one frame (for Ethernet: from the destination address on) into the device's ring, without a doorbell. 0: the
	 * reference is the driver's now, which drops it with kl_pbuf_put() when the device is done. -ENOBUFS: no room; the packet is
	 * still the caller's, who waits for kl_netif_tx_ready(). The driver may push its own header of up to 16 bytes into the
	 * first buffer's headroom (and pulls it off again before it returns -ENOBUFS); it must not change the payload.
	 */
	int (*transmit)(struct kl_netif *nif, struct kl_pbuf *frame);
	/* The batch is complete: tells the device. Called once after one or more transmit(). */
	void (*flush)(struct kl_netif *nif);
};

/* What lies between IP and the device: Ethernet (kl_ether_link), loopback. */
struct kl_link_ops {
	unsigned header_bytes;
	/* A frame from the device; takes over the reference. */
	void (*input)(struct kl_netif *nif, struct kl_pbuf *frame);
	/* An IPv4 packet to a neighbour (or broadcast, multicast) on the link; takes over the reference. 0 or -errno (dropped). */
	int (*output)(struct kl_netif *nif, struct kl_pbuf *packet, uint32_t next_hop_be);
	void (*address_changed)(struct kl_netif *nif); /* may be NULL */
};

enum {
	KL_NETIF_TX_CSUM = 1 << 0, /* KL_CSUM_PARTIAL for TCP and UDP over IPv4, also in packets with gso */
	KL_NETIF_RX_CSUM = 1 << 1, /* sets KL_CSUM_VERIFIED where it knows; information only */
	KL_NETIF_TSO4 = 1 << 2,    /* KL_GSO_TCP4 up to gso_max_bytes; needs KL_NETIF_TX_CSUM */
	KL_NETIF_LOOPBACK = 1 << 3,
};

struct kl_netif {
	/* The driver's, set before kl_netif_add(). */
	const struct kl_netif_ops *ops;
	const struct kl_link_ops *link;
	void *priv;
	uint32_t mtu;           /* bytes of an IP packet */
	uint32_t features;      /* KL_NETIF_* */
	uint32_t gso_max_bytes; /* a whole GSO frame, at most 65535 */
	uint32_t
		gso_max_segs; /* buffers in one frame that transmit() takes, at least 18; a longer chain is copied first */
	uint8_t mac[6];
	char name[16]; /* empty: kl_netif_add() makes one, eth0 and so on */

	/* The stack's. */
	struct kl_list link_list;
	unsigned index; /* 1, 2, ... in the order of kl_netif_add() */
	bool up, flush_needed, tx_full;
	bool dhcp;                                  /* the address is to come by DHCP */
	uint32_t address_be, mask_be, broadcast_be; /* address 0: none yet */
	struct kl_pbuf_queue tx_queue;              /* waits for room in the ring */
	struct kl_list flush_link;
	uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_dropped;
};

/* --- for drivers --- */

/* The structure is the driver's and stays for ever. Reads net0=, net1=, ... from the command line. 0 or -errno. */
int kl_netif_add(struct kl_netif *nif);
/* A frame came in; takes over the reference. Contiguous headers are not required. */
void kl_netif_receive(struct kl_netif *nif, struct kl_pbuf *frame);
/* After transmit() said -ENOBUFS: there is room again. */
void kl_netif_tx_ready(struct kl_netif *nif);

/* --- for the stack --- */

/*
 * A frame to the device, or to its queue when the ring is full. Takes over the reference. Offloads that the device does not have
 * are done here. 0, or -ENOBUFS: dropped.
 */
int kl_netif_transmit(struct kl_netif *nif, struct kl_pbuf *frame);
/* Whether senders should wait rather than add to the queue: all struct kl_net_work are run when that is over. */
static inline bool kl_netif_busy(const struct kl_netif *nif)
{
	return nif->tx_full;
}
/* All interfaces: what was transmitted since the last time goes out now. */
void kl_netif_flush_all(void);
/* Takes effect at once: address, direct route. address 0: removes both. */
void kl_netif_set_address(struct kl_netif *nif, uint32_t address_be, uint32_t mask_be);
struct kl_netif *kl_netif_by_index(unsigned index);
struct kl_netif *kl_netif_by_name(const char *name);
/* In the order of kl_netif_add(); prev NULL: the first. NULL: no more. */
struct kl_netif *kl_netif_next(struct kl_netif *prev);

extern const struct kl_link_ops kl_ether_link; /* module ether */

#endif
