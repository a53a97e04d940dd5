/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio network devices (VIRTIO 1.2, section 5.1) as interfaces of the stack. */
#include "net_priv.h"

#include <kl/heap.h>
#include <kl/log.h>
#include <kl/random.h>
#include <kl/string.h>
#include <asm/errno.h>
#include <linux/virtio_ids.h>

#define BIT(feature) (1ull << (feature))
#define MTU_DEFAULT 1500u
#define MTU_MIN 68u /* RFC 791 */

static bool poll(struct kl_poller *poller)
{
	struct net *net = KL_CONTAINER(poller, struct net, poller);
	bool found = false;

	if (kl_virtq_ready(&net->tx) && net_tx_reap(net) && net->nif.tx_full) {
		kl_netif_tx_ready(&net->nif);
		found = true;
	}
	if (kl_virtq_ready(&net->rx) || net->rx.in_flight < net->rx_target / 2)
		found |= net_rx_poll(net);
	if (found)
		kl_netif_flush_all();
	return found;
}

static bool arm(struct kl_poller *poller)
{
	struct net *net = KL_CONTAINER(poller, struct net, poller);
	bool news = kl_virtq_arm(&net->rx, 0);

	return net_tx_arm(net) || news;
}

static void reap_due(struct kl_timer *timer)
{
	struct net *net = KL_CONTAINER(timer, struct net, reap_timer);

	net_tx_reap(net);
}

static uint64_t wanted_features(const struct kl_boot_device *boot)
{
	uint64_t wanted = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) | BIT(VIRTIO_NET_F_CSUM) |
		BIT(VIRTIO_NET_F_GUEST_CSUM);

	if (boot->features & BIT(VIRTIO_NET_F_CSUM))
		wanted |= BIT(VIRTIO_NET_F_HOST_TSO4);
	/* Frames beyond one buffer come in several or not at all. */
	if (boot->features & BIT(VIRTIO_NET_F_MRG_RXBUF)) {
		wanted |= BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_MTU);
		if (boot->features & BIT(VIRTIO_NET_F_GUEST_CSUM))
			wanted |= BIT(VIRTIO_NET_F_GUEST_TSO4);
	}
	return wanted;
}

static void describe(struct net *net)
{
	struct virtio_net_config config;
	struct kl_netif *nif = &net->nif;

	memcpy(&config, net->dev->boot->config, KL_MIN(sizeof(config), sizeof(net->dev->boot->config)));
	nif->ops = &net_ops;
	nif->link = &kl_ether_link;
	nif->priv = net;
	nif->mtu = MTU_DEFAULT;
	if (kl_virtio_has(net->dev, VIRTIO_NET_F_MTU) && config.mtu >= MTU_MIN)
		nif->mtu = config.mtu;
	if (kl_virtio_has(net->dev, VIRTIO_NET_F_CSUM))
		nif->features |= KL_NETIF_TX_CSUM;
	if (kl_virtio_has(net->dev, VIRTIO_NET_F_GUEST_CSUM))
		nif->features |= KL_NETIF_RX_CSUM;
	if (kl_virtio_has(net->dev, VIRTIO_NET_F_HOST_TSO4))
		nif->features |= KL_NETIF_TSO4;
	nif->gso_max_bytes = 65535;
	nif->gso_max_segs = KL_MIN(TX_SEGS_MAX, net->tx.size / 2u);
	if (kl_virtio_has(net->dev, VIRTIO_NET_F_MAC)) {
		memcpy(nif->mac, config.mac, sizeof(nif->mac));
	} else {
		kl_random_bytes(nif->mac, sizeof(nif->mac));
		nif->mac[0] = (uint8_t)((nif->mac[0] & ~1u) | 2u); /* unicast, locally administered */
	}
}

static int start(struct kl_virtio_device *dev)
{
	struct net *net = dev->priv;
	int error = kl_netif_add(&net->nif);

	if (error)
		return error;
	net->poller.poll = poll;
	net->poller.arm = arm;
	kl_poller_add(&net->poller);
	return 0;
}

static int add(struct kl_virtio_device *dev)
{
	struct net *net = kl_zalloc(sizeof(*net));
	int error = -ENOMEM;

	if (net == NULL)
		return error;
	net->dev = dev;
	net->rx_target = RX_FIRST;
	net->reap_timer.fn = reap_due;
	kl_list_init(&net->rx_free);
	error = kl_virtio_configure(dev, wanted_features(dev->boot));
	if (error)
		goto free_net;
	error = kl_virtio_queue(dev, &net->rx, RX_ENTRIES_MAX);
	if (error)
		goto free_net;
	error = kl_virtio_queue(dev, &net->tx, TX_ENTRIES_MAX);
	if (error)
		goto free_rx;
	error = -EINVAL;
	if (net->tx.size < 64) {
		kl_warn("virtio network device %u: a ring of %u entries is too small", dev->index, net->tx.size);
		goto free_tx;
	}
	net->rx_target = KL_MIN(net->rx_target, (unsigned)net->rx.size);
	error = -ENOMEM;
	net->headers = kl_malloc(net->tx.size * sizeof(*net->headers));
	if (net->headers == NULL)
		goto free_tx;
	dev->priv = net;
	dev->start = start;
	describe(net);
	net_rx_fill(net);
	return 0;

free_tx:
	kl_virtq_free(&net->tx);
free_rx:
	kl_virtq_free(&net->rx);
free_net:
	dev->configured = false;
	kl_free(net);
	return error;
}

int kl_virtio_net_init(void); /* for the table of init functions */

int kl_virtio_net_init(void)
{
	struct kl_virtio_device *dev;
	int error;

	while ((dev = kl_virtio_claim(VIRTIO_ID_NET)) != NULL) {
		error = add(dev);
		if (error == -ENOMEM)
			return error;
	}
	return 0;
}
