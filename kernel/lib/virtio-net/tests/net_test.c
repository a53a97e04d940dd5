/* SPDX-License-Identifier: Apache-2.0 */
#include "stack.h"

static uint8_t frame[70000];

static void send(
	uint8_t flags, uint8_t gso, uint16_t start, uint16_t offset, uint16_t buffers, const void *data, uint32_t n)
{
	struct virtio_net_hdr_v1 header = {.flags = flags,
		.gso_type = gso,
		.gso_size = 1448,
		.csum_start = start,
		.csum_offset = offset,
		.num_buffers = buffers};
	uint8_t buffer[2048];

	memcpy(buffer, &header, HEADER);
	memcpy(buffer + HEADER, data, n);
	CHECK(lab_fill(buffer, HEADER + n, HEADER + n));
}

static void publish_and_poll(void)
{
	model_publish(&lab.rx);
	lab.poller->poll(lab.poller);
}

static struct kl_pbuf *received(uint32_t bytes)
{
	struct kl_pbuf *packet = kl_pbuf_dequeue(&lab.received);

	CHECK(packet && packet->total == bytes);
	return packet;
}

static void test_receive(void)
{
	struct kl_pbuf *packet;
	uint8_t copy[6000];

	CHECK(lab.rx.avail->idx == RX_FIRST && lab.nif->mtu == 9000 && lab.nif->mac[5] == 3);
	CHECK(lab.nif->features == (KL_NETIF_TX_CSUM | KL_NETIF_RX_CSUM | KL_NETIF_TSO4));
	CHECK(!lab.poller->poll(lab.poller));
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + (i >> 8));
	send(0, 0, 0, 0, 1, frame, 1514);
	send(VIRTIO_NET_HDR_F_DATA_VALID, 0, 0, 0, 1, frame + 5, 60);
	publish_and_poll();
	packet = received(1514);
	CHECK(packet->csum == KL_CSUM_NONE && memcmp(packet->data, frame, 1514) == 0);
	kl_pbuf_put(packet);
	packet = received(60);
	CHECK(packet->csum == KL_CSUM_VERIFIED && memcmp(packet->data, frame + 5, 60) == 0);
	kl_pbuf_put(packet);
	CHECK(lab.rx.avail->idx == RX_FIRST + 2 && lab.flushes == 1);
	/* One packet in three buffers, put together by the host. */
	send(VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV4, 34, 16, 3, frame, 1500);
	CHECK(lab_fill(frame + 1500, 1900, 1900));
	model_publish(&lab.rx);
	lab.poller->poll(lab.poller);
	CHECK(lab.received.packets == 0);
	CHECK(lab_fill(frame + 3400, 600, 600));
	publish_and_poll();
	packet = received(4000);
	CHECK(packet->csum == KL_CSUM_PARTIAL && kl_pbuf_csum_start(packet) == 34 && packet->csum_offset == 16);
	CHECK(packet->gso == KL_GSO_TCP4 && packet->gso_bytes == 1448);
	kl_pbuf_copy_out(packet, 0, copy, 4000);
	CHECK(memcmp(copy, frame, 4000) == 0);
	kl_pbuf_put(packet);
	printf("ok frames come up as they came in, merged buffers too\n");
}

static void test_nonsense(void)
{
	uint64_t dropped = lab.nif->rx_dropped;

	send(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 34, 100, 1, frame, 60); /* beyond the frame */
	send(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0xffff, 0xffff, 1, frame, 60);
	send(VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 2, 0, 1, frame, 60); /* in the Ethernet header */
	send(0, VIRTIO_NET_HDR_GSO_TCPV6, 0, 0, 1, frame, 60);    /* not asked for */
	send(0, 0, 0, 0, 1, frame, 13);
	send(0, 0x7f, 0, 0, 2, frame, 60);
	CHECK(lab_fill(frame, 100, 100)); /* the rest of a frame not believed */
	send(0, 0, 0, 0, 1, frame, 100);
	publish_and_poll();
	kl_pbuf_put(received(100));
	CHECK(lab.received.packets == 0 && lab.nif->rx_dropped == dropped + 6 && !lab.dev->broken);
	printf("ok offload fields that make no sense cost their frame only\n");
}

static unsigned keep(unsigned frames)
{
	unsigned sent = 0;

	while (sent < frames) {
		unsigned batch = 0;

		for (; sent < frames && lab.rx.avail->idx != lab.rx.next_avail; sent++, batch++)
			send(0, 0, 0, 0, 1, frame, 200);
		publish_and_poll();
		if (batch == 0)
			break;
	}
	return sent;
}

static void drop_received(void)
{
	kl_pbuf_queue_free(&lab.received);
	lab.poller->poll(lab.poller);
}

static void test_growth(void)
{
	unsigned in_ring;
	size_t pages;

	CHECK(keep(2000) == 2000);
	in_ring = (uint16_t)(lab.rx.avail->idx - lab.rx.next_avail);
	CHECK(in_ring == 256 && lab.received.packets == 2000);
	pages = kl_host_pages_used();
	CHECK(pages >= (2000 + 256) / 2 && pages < (2000 + 256) / 2 + 200);
	drop_received();
	lab_check_buffers();
	/* What the ring can't take goes back, but for halves of pages. */
	CHECK(kl_host_pages_used() < 400);
	printf("ok buffers are given as they are used up, and taken back\n");
}

static void test_no_memory(void)
{
	unsigned before;

	/* Nothing left: reception goes on with copies. */
	lab.pages_free = 0;
	before = lab.received.packets;
	kl_host_fail_after = 5000; /* copies work */
	for (int round = 0; round < 20; round++)
		keep(256);
	kl_host_fail_after = -1;
	CHECK(lab.received.packets - before > 1000);
	CHECK(lab.rx.avail->idx != lab.rx.next_avail);
	kl_host_fail_after = 0; /* not even copies: frames are lost, buffers are not */
	keep(1000);
	CHECK(lab.rx.avail->idx != lab.rx.next_avail && lab.nif->rx_dropped > 500);
	kl_host_fail_after = -1;
	drop_received();
	lab.pages_free = 10000;
	CHECK(keep(300) == 300);
	drop_received();
	lab_check_buffers();
	printf("ok reception goes on without memory\n");
}

static unsigned released;

static void release(struct kl_pbuf *buf)
{
	released++;
	free(buf->owner);
	kl_pbuf_window_free(buf);
}

static struct kl_pbuf *make(size_t headroom, size_t bytes)
{
	struct kl_pbuf *packet = kl_pbuf_alloc(headroom, bytes);

	CHECK(packet);
	memcpy(packet->data, frame, bytes);
	packet->bytes = packet->total = (uint32_t)bytes;
	return packet;
}

/* Takes one frame out of the ring as the device does. Returns its bytes with the header. */
static uint32_t transmitted(uint8_t *out, struct virtio_net_hdr_v1 *header, unsigned *parts)
{
	struct model *m = &lab.tx;
	uint32_t bytes = 0;
	uint16_t at;

	CHECK(m->avail->idx != m->next_avail);
	at = m->avail->ring[m->next_avail % m->size];
	*parts = 0;
	for (;; at = m->desc[at].next) {
		memcpy(out + bytes, kl_phys_to_virt(m->desc[at].addr), m->desc[at].len);
		bytes += m->desc[at].len;
		++*parts;
		if (!(m->desc[at].flags & VRING_DESC_F_NEXT))
			break;
	}
	CHECK(model_take(m));
	memcpy(header, out, HEADER);
	return bytes;
}

static void test_transmit(void)
{
	static uint8_t out[70000];
	struct virtio_net_hdr_v1 header;
	struct kl_pbuf *packet, *rest;
	unsigned parts;
	void *block;

	/* Header in the headroom. */
	packet = make(KL_PBUF_HEADROOM, 100);
	CHECK(lab.nif->ops->transmit(lab.nif, packet) == 0 && lab.tx.avail->idx == 0);
	lab.nif->ops->flush(lab.nif);
	CHECK(transmitted(out, &header, &parts) == HEADER + 100 && parts == 1 && memcmp(out + HEADER, frame, 100) == 0);
	CHECK(header.flags == 0 && header.gso_type == 0);
	/* No headroom, and a second part that somebody else keeps. */
	packet = make(0, 54);
	packet->csum = KL_CSUM_PARTIAL;
	packet->csum_start = 34;
	packet->csum_offset = 16;
	packet->gso = KL_GSO_TCP4;
	packet->gso_bytes = 1448;
	packet->header_bytes = 54;
	block = malloc(5000);
	memcpy(block, frame + 54, 5000);
	rest = kl_pbuf_window(block, 5000, release, block);
	kl_pbuf_get(rest);
	kl_pbuf_chain(packet, rest);
	CHECK(lab.nif->ops->transmit(lab.nif, packet) == 0);
	lab.nif->ops->flush(lab.nif);
	CHECK(transmitted(out, &header, &parts) == HEADER + 5054 && parts == 3 &&
		memcmp(out + HEADER, frame, 5054) == 0);
	CHECK(header.flags == VIRTIO_NET_HDR_F_NEEDS_CSUM && header.csum_start == 34 && header.csum_offset == 16);
	CHECK(header.gso_type == VIRTIO_NET_HDR_GSO_TCPV4 && header.gso_size == 1448 && header.hdr_len == 54);
	model_publish(&lab.tx);
	lab.poller->poll(lab.poller);
	CHECK(released == 0 && rest->refs == 1);
	kl_pbuf_put(rest);
	CHECK(released == 1);
	printf("ok frames go out with their offloads, and buffers come back\n");
}

static void test_transmit_full(void)
{
	struct kl_pbuf *packet = NULL;
	struct virtio_net_hdr_v1 header;
	unsigned count = 0, parts;
	uint8_t out[256];

	for (;; count++) {
		packet = make(KL_PBUF_HEADROOM, 60);
		if (lab.nif->ops->transmit(lab.nif, packet) == -ENOBUFS)
			break;
	}
	CHECK(count == 256 && packet->bytes == 60 && packet->refs == 1);
	lab.nif->tx_full = true;
	lab.nif->ops->flush(lab.nif);
	CHECK(!lab.poller->arm(lab.poller));
	lab.tx.interrupt = false;
	for (unsigned i = 0; i < 200; i++)
		transmitted(out, &header, &parts);
	model_publish(&lab.tx);
	model_interrupt(&lab.tx);
	CHECK(lab.tx.interrupt && lab.tx_ready == 0);
	lab.poller->poll(lab.poller);
	CHECK(lab.tx_ready == 1 && lab.nif->ops->transmit(lab.nif, packet) == 0);
	lab.nif->ops->flush(lab.nif);
	/* Nobody waits: no notification, but the buffers come back after a while. */
	CHECK(!lab.poller->arm(lab.poller));
	for (unsigned i = 0; i < 57; i++)
		transmitted(out, &header, &parts);
	lab.poller->poll(lab.poller);
	model_publish(&lab.tx);
	lab.poller->poll(lab.poller);
	packet = make(KL_PBUF_HEADROOM, 60);
	kl_pbuf_get(packet);
	CHECK(lab.nif->ops->transmit(lab.nif, packet) == 0);
	lab.nif->ops->flush(lab.nif);
	CHECK(!lab.poller->arm(lab.poller));
	lab.tx.interrupt = false;
	transmitted(out, &header, &parts);
	model_publish(&lab.tx);
	model_interrupt(&lab.tx);
	CHECK(!lab.tx.interrupt && packet->refs == 2);
	kl_host_advance(10 * KL_NS_PER_MS);
	CHECK(packet->refs == 1);
	kl_pbuf_put(packet);
	printf("ok a full ring says so, and when it is not full any more\n");
}

static void test_events(void)
{
	CHECK(!lab.poller->arm(lab.poller));
	lab.rx.interrupt = false;
	send(0, 0, 0, 0, 1, frame, 60);
	model_publish(&lab.rx);
	model_interrupt(&lab.rx);
	CHECK(lab.rx.interrupt && lab.poller->arm(lab.poller));
	lab.poller->poll(lab.poller);
	kl_pbuf_put(received(60));
	CHECK(!lab.poller->arm(lab.poller));
	printf("ok what came before the CPU sleeps keeps it awake\n");
}

static void test_broken(void)
{
	send(0, 0, 0, 0, 300, frame, 60);
	publish_and_poll();
	CHECK(lab.dev->broken && lab.received.packets == 0);
	CHECK(lab.nif->ops->transmit(lab.nif, make(KL_PBUF_HEADROOM, 60)) == 0);
	CHECK(!lab.poller->arm(lab.poller) && !lab.poller->poll(lab.poller));
	printf("ok a broken device swallows frames\n");
}

int main(void)
{
	lab_start(ALL_FEATURES);
	test_receive();
	test_nonsense();
	test_growth();
	test_no_memory();
	test_transmit();
	test_transmit_full();
	test_events();
	test_broken();
	return 0;
}
