/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/string.h>

#include "net_priv.h"

#include <linux/errno.h>

#define TX_QUEUE_MAX 512 /* packets that wait for room in a ring */
#define FLUSH_BATCH 32   /* packets after which a doorbell is worth while at once */

struct net_root net_root;

static bool net_poll(struct kl_poller *poller)
{
	bool any = net_work_run();

	(void)poller;
	if (!kl_list_empty(&net_root.flush)) {
		kl_netif_flush_all();
		any = true;
	}
	return any;
}

int kl_net_init(void)
{
	if (net_root.ready)
		return 0;
	kl_list_init(&net_root.netifs);
	kl_list_init(&net_root.protocols);
	kl_list_init(&net_root.flush);
	kl_waitq_init(&net_root.configured);
	net_root.works_last = &net_root.works_due;
	/* A quarter of what is free now; what the program needs comes later. */
	net_root.memory_max = KL_MAX(kl_pages_free() * KL_PAGE_BYTES / 4, (size_t)256 << 10);
	net_root.poller.poll = net_poll;
	net_root.poller.arm = net_poll;
	kl_poller_add(&net_root.poller);
	net_root.ready = true;
	return 0;
}

size_t kl_net_memory_max(void)
{
	return net_root.memory_max;
}

/* --- protocols and work --- */

void kl_net_protocol_add(struct kl_net_protocol *protocol)
{
	kl_list_push_back(&net_root.protocols, &protocol->link);
}

void kl_net_input(struct kl_netif *nif, uint16_t ethertype, struct kl_pbuf *packet)
{
	KL_LIST_FOR(link, &net_root.protocols)
	{
		struct kl_net_protocol *protocol = KL_LIST_ENTRY(link, struct kl_net_protocol, link);

		if (protocol->ethertype == ethertype) {
			protocol->input(nif, packet);
			return;
		}
	}
	nif->rx_dropped++;
	kl_pbuf_put(packet);
}

void kl_net_set_unreachable(void (*handler)(struct kl_pbuf *packet))
{
	net_root.unreachable = handler;
}

void kl_net_unreachable(struct kl_pbuf *packet)
{
	if (net_root.unreachable != NULL)
		net_root.unreachable(packet);
	else
		kl_pbuf_put(packet);
}

void kl_net_work_add(struct kl_net_work *work)
{
	work->all = net_root.works;
	net_root.works = work;
}

void kl_net_work_schedule(struct kl_net_work *work)
{
	if (work->due)
		return;
	work->due = true;
	work->next = NULL;
	*net_root.works_last = work;
	net_root.works_last = &work->next;
}

bool net_work_run(void)
{
	struct kl_net_work *work = net_root.works_due;
	bool any = work != NULL;

	/* What is scheduled meanwhile waits for the next round. */
	net_root.works_due = NULL;
	net_root.works_last = &net_root.works_due;
	while (work != NULL) {
		struct kl_net_work *next = work->next;

		work->due = false;
		work->run(work);
		work = next;
	}
	return any;
}

/* --- interfaces --- */

int kl_netif_add(struct kl_netif *nif)
{
	int err = kl_net_init();
	unsigned ethernet = 0;

	if (err != 0)
		return err;
	KL_LIST_FOR(link, &net_root.netifs)
	{
		if (!(KL_LIST_ENTRY(link, struct kl_netif, link_list)->features & KL_NETIF_LOOPBACK))
			ethernet++;
	}
	if (!(nif->features & KL_NETIF_TX_CSUM))
		nif->features &= ~(uint32_t)KL_NETIF_TSO4;
	nif->index = ++net_root.netifs_count;
	if (nif->name[0] == 0)
		kl_snprintf(nif->name, sizeof(nif->name), "eth%u", ethernet);
	nif->up = true;
	kl_list_push_back(&net_root.netifs, &nif->link_list);
	if (!(nif->features & KL_NETIF_LOOPBACK))
		net_configure(nif, ethernet);
	return 0;
}

struct kl_netif *kl_netif_next(struct kl_netif *prev)
{
	struct kl_list *link;

	if (!net_root.ready)
		return NULL;
	link = prev == NULL ? net_root.netifs.next : prev->link_list.next;
	return link == &net_root.netifs ? NULL : KL_LIST_ENTRY(link, struct kl_netif, link_list);
}

struct kl_netif *kl_netif_by_index(unsigned index)
{
	struct kl_netif *nif = NULL;

	while ((nif = kl_netif_next(nif)) != NULL && nif->index != index)
		;
	return nif;
}

struct kl_netif *kl_netif_by_name(const char *name)
{
	struct kl_netif *nif = NULL;

	while ((nif = kl_netif_next(nif)) != NULL && strncmp(nif->name, name, sizeof(nif->name)) != 0)
		;
	return nif;
}

void kl_netif_set_address(struct kl_netif *nif, uint32_t address_be, uint32_t mask_be)
{
	kl_route_remove_all(nif);
	nif->address_be = address_be;
	nif->mask_be = mask_be;
	nif->broadcast_be = address_be == 0 ? 0 : address_be | ~mask_be;
	if (address_be == 0)
		return;
	if (kl_route_add(address_be & mask_be, mask_be, 0, nif) != 0)
		kl_warn("net: %s: no room for its route", nif->name);
	if (nif->link->address_changed != NULL)
		nif->link->address_changed(nif);
}

void kl_netif_receive(struct kl_netif *nif, struct kl_pbuf *frame)
{
	nif->rx_packets++;
	nif->rx_bytes += frame->total;
	frame->netif = nif;
	nif->link->input(nif, frame);
}

/* --- transmit --- */

static void need_flush(struct kl_netif *nif)
{
	if (!nif->flush_needed) {
		nif->flush_needed = true;
		kl_list_push_back(&net_root.flush, &nif->flush_link);
	}
	if (++net_root.unflushed >= FLUSH_BATCH)
		kl_netif_flush_all();
}

void kl_netif_flush_all(void)
{
	struct kl_list *link;

	net_root.unflushed = 0;
	while ((link = kl_list_pop_front(&net_root.flush)) != NULL) {
		struct kl_netif *nif = KL_LIST_ENTRY(link, struct kl_netif, flush_link);

		nif->flush_needed = false;
		nif->ops->flush(nif);
	}
}

static int to_device(struct kl_netif *nif, struct kl_pbuf *frame)
{
	uint32_t bytes = frame->total;
	int err = nif->ops->transmit(nif, frame);

	if (err != 0)
		return err;
	nif->tx_packets++;
	nif->tx_bytes += bytes;
	need_flush(nif);
	return 0;
}

static unsigned buffers(const struct kl_pbuf *frame)
{
	unsigned n = 0;

	for (; frame != NULL; frame = frame->next)
		n++;
	return n;
}

/* One frame that the device can take as it is, but for the number of buffers. */
static int transmit_frame(struct kl_netif *nif, struct kl_pbuf *frame)
{
	if (frame->csum == KL_CSUM_PARTIAL && !(nif->features & (KL_NETIF_TX_CSUM | KL_NETIF_LOOPBACK)))
		net_complete_checksum(frame);
	if (frame->next != NULL && buffers(frame) > nif->gso_max_segs) {
		struct kl_pbuf *copy = kl_pbuf_copy(frame, KL_PBUF_HEADROOM);

		if (copy == NULL)
			goto drop;
		kl_pbuf_put(frame);
		frame = copy;
	}
	if (nif->tx_queue.first == NULL && to_device(nif, frame) == 0)
		return 0;
	nif->tx_full = true;
	if (nif->tx_queue.packets >= TX_QUEUE_MAX)
		goto drop;
	kl_pbuf_enqueue(&nif->tx_queue, frame);
	return 0;
drop:
	nif->tx_dropped++;
	kl_pbuf_put(frame);
	return -ENOBUFS;
}

int kl_netif_transmit(struct kl_netif *nif, struct kl_pbuf *frame)
{
	if (frame->gso != KL_GSO_NONE && !(nif->features & KL_NETIF_LOOPBACK) &&
		(!(nif->features & KL_NETIF_TSO4) || frame->total > nif->gso_max_bytes))
		return net_segment(frame, nif, transmit_frame);
	return transmit_frame(nif, frame);
}

void kl_netif_tx_ready(struct kl_netif *nif)
{
	while (nif->tx_queue.first != NULL) {
		struct kl_pbuf *frame = kl_pbuf_dequeue(&nif->tx_queue), *rest = nif->tx_queue.first;

		if (to_device(nif, frame) == 0)
			continue;
		/* Back to the front. */
		frame->queue = rest;
		if (rest == NULL)
			nif->tx_queue.last = &frame->queue;
		nif->tx_queue.first = frame;
		nif->tx_queue.packets++;
		nif->tx_queue.bytes += frame->total;
		return;
	}
	if (nif->tx_full) {
		nif->tx_full = false;
		for (struct kl_net_work *work = net_root.works; work != NULL; work = work->all)
			kl_net_work_schedule(work);
	}
}
