/* SPDX-License-Identifier: Apache-2.0 */
/* The loopback interface, 127.0.0.0/8. Packets wait in a queue for the next poll, so that nothing recurses. */
#include <kl/net.h>
#include <kl/string.h>

#include <linux/errno.h>

#define QUEUE_MAX 1024
#define BATCH 64 /* packets a poll */

static struct kl_pbuf_queue queue;

static int lo_transmit(struct kl_netif *nif, struct kl_pbuf *frame)
{
	(void)nif;
	if (queue.packets >= QUEUE_MAX)
		return -ENOBUFS;
	kl_pbuf_enqueue(&queue, frame);
	return 0;
}

static void lo_flush(struct kl_netif *nif)
{
	(void)nif;
}

static void lo_input(struct kl_netif *nif, struct kl_pbuf *frame)
{
	kl_net_input(nif, KL_ETHERTYPE_IPV4, frame);
}

/* Receiving and sending sides may change a packet's first buffer; the rest they share. */
static int lo_output(struct kl_netif *nif, struct kl_pbuf *packet, uint32_t next_hop_be)
{
	(void)next_hop_be;
	return kl_netif_transmit(nif, packet);
}

static const struct kl_netif_ops ops = {.transmit = lo_transmit, .flush = lo_flush};
static const struct kl_link_ops link_ops = {.input = lo_input, .output = lo_output};

static struct kl_netif lo = {
	.ops = &ops,
	.link = &link_ops,
	.mtu = 65535,
	.features = KL_NETIF_LOOPBACK | KL_NETIF_TX_CSUM | KL_NETIF_RX_CSUM | KL_NETIF_TSO4,
	.gso_max_bytes = 65535,
	.gso_max_segs = UINT32_MAX,
	.name = "lo",
};

static bool lo_poll(struct kl_poller *poller)
{
	unsigned n = 0;
	struct kl_pbuf *frame;

	(void)poller;
	for (; n < BATCH && (frame = kl_pbuf_dequeue(&queue)) != NULL; n++)
		kl_netif_receive(&lo, frame);
	if (n > 0)
		kl_netif_tx_ready(&lo);
	return n > 0;
}

int kl_loopback_init(void);
int kl_loopback_init(void)
{
	static struct kl_poller poller = {.poll = lo_poll, .arm = lo_poll};
	int err = kl_netif_add(&lo);

	if (err != 0)
		return err;
	kl_netif_set_address(&lo, kl_htonl(0x7f000001), kl_htonl(0xff000000));
	kl_poller_add(&poller);
	return 0;
}
