/* SPDX-License-Identifier: Apache-2.0 */
/* A stack above and a device below the driver, for its test and its fuzzing harness. */
#ifndef KL_VIRTIO_NET_TESTS_STACK_H
#define KL_VIRTIO_NET_TESTS_STACK_H

#include <asm/errno.h>
#include <kl/netif.h>
#include <kl/platform.h>
#include <kl/sched.h>
#include <linux/virtio_net.h>

#include "../../virtio/tests/model.h"
#include "../net_priv.h"

#include "kl_host.h"

#define HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))
#define ALL_FEATURES                                                                                                   \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_NET_F_CSUM |                    \
		1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_GUEST_TSO4 |         \
		1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_MTU)

int kl_virtio_net_init(void);

struct kl_boot_info kl_boot;
const struct kl_link_ops kl_ether_link;

static struct {
	struct kl_virtio_device *dev;
	struct model rx, tx;
	struct kl_netif *nif;
	struct kl_poller *poller;
	struct kl_pbuf_queue received;
	unsigned tx_ready, flushes;
	size_t pages_free;
} lab = {.pages_free = 10000};

static void lab_notify(struct kl_virtio_device *dev, uint16_t queue)
{
	(void)dev;
	model_notify(queue == 0 ? &lab.rx : &lab.tx);
}

static int lab_activate(struct kl_virtio_device *const *devs, unsigned count)
{
	CHECK(count == 1);
	lab.dev = devs[0];
	lab.dev->result = 0;
	model_attach(&lab.rx, lab.dev->queues[0]);
	model_attach(&lab.tx, lab.dev->queues[1]);
	return 0;
}

static const struct kl_virtio_transport lab_transport = {.activate = lab_activate, .notify = lab_notify};

/* --- what the driver calls --- */

void kl_poller_add(struct kl_poller *poller)
{
	lab.poller = poller;
}

int kl_netif_add(struct kl_netif *nif)
{
	lab.nif = nif;
	return 0;
}

void kl_netif_receive(struct kl_netif *nif, struct kl_pbuf *frame)
{
	uint32_t total = 0;

	CHECK(nif == lab.nif && frame->refs == 1);
	for (struct kl_pbuf *part = frame; part; part = part->next) {
		CHECK(part->data >= part->start && part->data + part->bytes <= part->end);
		total += part->bytes;
	}
	CHECK(total == frame->total && total >= 14);
	if (frame->csum == KL_CSUM_PARTIAL)
		CHECK(kl_pbuf_csum_start(frame) + frame->csum_offset + 2u <= frame->bytes);
	kl_pbuf_enqueue(&lab.received, frame);
}

void kl_netif_tx_ready(struct kl_netif *nif)
{
	nif->tx_full = false;
	lab.tx_ready++;
}

void kl_netif_flush_all(void)
{
	lab.flushes++;
	lab.nif->ops->flush(lab.nif);
}

size_t kl_pages_free(void)
{
	return lab.pages_free;
}

size_t kl_pages_total(void)
{
	return 10000;
}

static uint32_t tags[1 << 16];

uint32_t kl_page_tag(kl_phys page)
{
	return tags[page >> KL_PAGE_SHIFT & 0xffff];
}

void kl_page_set_tag(kl_phys page, uint32_t tag)
{
	tags[page >> KL_PAGE_SHIFT & 0xffff] = tag;
}

/* --- the device --- */

static void lab_start(uint64_t features)
{
	struct virtio_net_config config = {.mac = {0x52, 0x54, 0, 1, 2, 3}, .mtu = 9000};

	kl_boot.devices_count = 1;
	kl_boot.devices[0] =
		(struct kl_boot_device){.virtio_id = 1, .features = features, .queues = 3, .queue_max = 256};
	memcpy(kl_boot.devices[0].config, &config, sizeof(config));
	kl_virtio_use(&lab_transport);
	CHECK(kl_virtio_net_init() == 0);
	CHECK(kl_virtio_activate_all() == 0 && lab.nif && lab.poller);
	lab.rx.state = lab.tx.state = MODEL_ASLEEP;
}

/* Fills the next receive buffer, and says in the used ring that it holds said bytes; unpublished. False: there is none. */
static bool lab_fill(const void *data, uint32_t bytes, uint32_t said)
{
	struct model *m = &lab.rx;
	uint16_t head;

	if (m->avail->idx == m->next_avail)
		return false;
	head = m->avail->ring[m->next_avail++ % m->size];
	CHECK(head < m->size && m->desc[head].flags == VRING_DESC_F_WRITE);
	memcpy(kl_phys_to_virt(m->desc[head].addr), data, KL_MIN(bytes, m->desc[head].len));
	m->used->ring[m->next_used % m->size] = (struct vring_used_elem){head, said};
	m->next_used++;
	return true;
}

/* With no packet above: every half page that the driver has is in the ring or in its list. */
static void lab_check_buffers(void)
{
	struct net *net = lab.nif->priv;

	CHECK(kl_host_pages_used() * 2 == (size_t)net->rx.in_flight + net->rx_free_count);
}

#endif
