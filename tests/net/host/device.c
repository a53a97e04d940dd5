/* SPDX-License-Identifier: Apache-2.0 */
/* A tap as a network interface, with frames lost, doubled, damaged, delayed and put out of order on purpose. */
#include "netstack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <kl/clock.h>
#include <kl/pbuf.h>

#define FRAME_MAX 65600
#define BATCH 64

struct delayed {
	struct delayed *next;
	uint64_t due_ns;
	bool inward;
	size_t bytes;
	uint8_t data[];
};

static struct {
	int fd;
	bool offload;
	struct impairment impairment;
	uint64_t random;
	struct kl_netif nif;
	struct delayed *delayed; /* sorted */
	bool was_full;
} device = {.fd = -1};

static uint64_t random_next(void)
{
	uint64_t x = device.random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return device.random = x;
}

static bool chance(double p)
{
	return p > 0 && (double)(random_next() >> 11) / (double)(1ull << 53) < p;
}

/* --- frames as bytes, the virtio header first when there is one --- */

struct rx_buffer {
	struct kl_pbuf buf;
	uint8_t data[];
};

static void rx_release(struct kl_pbuf *buf)
{
	free(KL_CONTAINER(buf, struct rx_buffer, buf));
}

static void frame_in(const uint8_t *data, size_t n)
{
	struct virtio_net_hdr header = {0};
	struct rx_buffer *rx;

	if (device.offload) {
		if (n < sizeof(header))
			return;
		memcpy(&header, data, sizeof(header));
		data += sizeof(header);
		n -= sizeof(header);
	}
	/* Two bytes too many in front, as with real devices, so that headers are not aligned. */
	rx = malloc(sizeof(*rx) + n + 2);
	if (rx == NULL)
		return;
	kl_pbuf_init(&rx->buf, rx->data, n + 2, rx_release, rx);
	rx->buf.data += 2;
	memcpy(kl_pbuf_append(&rx->buf, n), data, n);
	if (header.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
		rx->buf.csum = KL_CSUM_VERIFIED;
	if ((header.gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4) {
		rx->buf.gso = KL_GSO_TCP4;
		rx->buf.gso_bytes = header.gso_size;
	}
	kl_netif_receive(&device.nif, &rx->buf);
}

/* false: the kernel's queue is full. */
static bool frame_out(const uint8_t *data, size_t n)
{
	ssize_t done = write(device.fd, data, n);

	if (done >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS)
		return false;
	if (errno != EIO && errno != EINVAL)
		perror("netstack-host: tap");
	return true;
}

static void later(const uint8_t *data, size_t n, bool inward, uint64_t due_ns)
{
	struct delayed *d = malloc(sizeof(*d) + n), **at = &device.delayed;

	if (d == NULL)
		abort();
	d->due_ns = due_ns;
	d->inward = inward;
	d->bytes = n;
	memcpy(d->data, data, n);
	while (*at != NULL && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	d->next = *at;
	*at = d;
}

/* false: to be tried again. */
static bool pass(uint8_t *data, size_t n, bool inward)
{
	const struct impairment *im = &device.impairment;
	uint64_t delay_ns = im->delay_ms * KL_NS_PER_MS;

	if (chance(im->loss))
		return true;
	if (chance(im->corrupt))
		data[random_next() % n] ^= (uint8_t)(1 + random_next() % 255);
	if (chance(im->duplicate))
		later(data, n, inward, kl_clock_ns() + delay_ns + random_next() % (KL_NS_PER_MS + 1));
	if (chance(im->reorder))
		delay_ns += random_next() % (im->reorder_ms * KL_NS_PER_MS + 1);
	if (delay_ns > 0) {
		later(data, n, inward, kl_clock_ns() + delay_ns);
		return true;
	}
	if (!inward)
		return frame_out(data, n);
	frame_in(data, n);
	return true;
}

static int transmit(struct kl_netif *nif, struct kl_pbuf *frame)
{
	static uint8_t out[FRAME_MAX];
	size_t offset = 0;

	(void)nif;
	if (device.offload) {
		struct virtio_net_hdr header = {0};

		if (frame->csum == KL_CSUM_PARTIAL) {
			header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
			header.csum_start = (uint16_t)kl_pbuf_csum_start(frame);
			header.csum_offset = frame->csum_offset;
		}
		if (frame->gso == KL_GSO_TCP4) {
			header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
			header.gso_size = frame->gso_bytes;
			header.hdr_len = frame->header_bytes;
		}
		memcpy(out, &header, sizeof(header));
		offset = sizeof(header);
	} else if (frame->csum == KL_CSUM_PARTIAL || frame->gso != KL_GSO_NONE) {
		fprintf(stderr, "netstack-host: a frame asks for an offload that was not offered\n");
		abort();
	}
	if (offset + frame->total > sizeof(out))
		abort();
	kl_pbuf_copy_out(frame, 0, out + offset, frame->total);
	if (!pass(out, offset + frame->total, false)) {
		device.was_full = true;
		return -ENOBUFS;
	}
	kl_pbuf_put(frame);
	return 0;
}

static void flush(struct kl_netif *nif)
{
	(void)nif;
}

bool device_poll(void)
{
	static uint8_t in[FRAME_MAX];
	bool any = false;

	if (device.fd < 0)
		return false;
	while (device.delayed != NULL && device.delayed->due_ns <= kl_clock_ns()) {
		struct delayed *d = device.delayed;

		device.delayed = d->next;
		if (d->inward)
			frame_in(d->data, d->bytes);
		else
			frame_out(d->data, d->bytes);
		free(d);
		any = true;
	}
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = read(device.fd, in, sizeof(in));

		if (n <= 0)
			break;
		pass(in, (size_t)n, true);
		any = true;
	}
	if (device.was_full) {
		device.was_full = false;
		kl_netif_tx_ready(&device.nif);
	}
	return any;
}

void device_wait(uint64_t max_ns)
{
	struct pollfd pfd = {device.fd, POLLIN, 0};
	struct timespec time;

	if (device.delayed != NULL) {
		uint64_t now = kl_clock_ns();

		max_ns = KL_MIN(max_ns, device.delayed->due_ns > now ? device.delayed->due_ns - now : 0);
	}
	max_ns = KL_MIN(max_ns, (uint64_t)100 * KL_NS_PER_MS);
	time = (struct timespec){(time_t)(max_ns / KL_NS_PER_S), (long)(max_ns % KL_NS_PER_S)};
	ppoll(&pfd, 1, &time, NULL);
}

struct kl_netif *device_open(const char *name, const uint8_t mac[6], bool offload, const struct impairment *impairment)
{
	static const struct kl_netif_ops ops = {transmit, flush};
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | (offload ? IFF_VNET_HDR : 0))};

	device.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (device.fd < 0 || ioctl(device.fd, TUNSETIFF, &request) != 0) {
		fprintf(stderr, "netstack-host: tap %s: %s; run as root in the tap's network namespace\n", name,
			strerror(errno));
		exit(2);
	}
	if (offload && ioctl(device.fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) != 0) {
		perror("netstack-host: offload");
		exit(2);
	}
	device.offload = offload;
	device.impairment = *impairment;
	device.random = impairment->seed * 0x9e3779b97f4a7c15u | 1;
	device.nif = (struct kl_netif){
		.ops = &ops,
		.link = &kl_ether_link,
		.mtu = 1500,
		.features = offload ? KL_NETIF_TX_CSUM | KL_NETIF_RX_CSUM | KL_NETIF_TSO4 : 0,
		.gso_max_bytes = 65535,
		.gso_max_segs = 64,
	};
	memcpy(device.nif.mac, mac, 6);
	if (kl_netif_add(&device.nif) != 0)
		abort();
	return &device.nif;
}

void device_close(void)
{
	while (device.delayed != NULL) {
		struct delayed *d = device.delayed;

		device.delayed = d->next;
		free(d);
	}
	close(device.fd);
	device.fd = -1;
}
