// SPDX-License-Identifier: Apache-2.0
#include "net.h"

#include "error.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <string.h>

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

/* Frames moved in each direction before the used index and the other devices get their turn. */
#define BUDGET 64

#define HAS(net, feature) ((net)->device.driver_features & 1ull << (feature))

/* --- transmit --- */

static bool transmit(struct kl_net *net)
{
	struct kl_vq *vq = &net->device.vq[QUEUE_TRANSMIT];
	int left = BUDGET;

	while (left--) {
		struct iovec iov[KL_VQ_CHAIN_MAX];
		struct kl_vq_chain chain;
		int taken = kl_vq_take(vq, &chain, iov);

		if (taken < 0)
			kl_virtio_break(&net->device, QUEUE_TRANSMIT);
		if (taken < 0 || (!taken && !kl_vq_watch(vq)))
			break;
		if (!taken)
			continue;
		if (chain.out_bytes <= KL_NET_HEADER_BYTES || chain.out_bytes > KL_NET_FRAME_MAX) {
			net->dropped++;
		} else if (net->backend->send(net, iov, chain.out_count, chain.out_bytes) == -EAGAIN) {
			kl_vq_untake(vq, 1);
			net->device.blocked = true;
			break;
		} else {
			net->sent++;
			net->sent_bytes += chain.out_bytes - KL_NET_HEADER_BYTES;
		}
		kl_vq_put(vq, chain.head, 0);
	}
	kl_virtio_publish(&net->device, QUEUE_TRANSMIT);
	if (net->backend->flush && net->backend->flush(net) == -EAGAIN)
		net->device.blocked = true;
	return !net->device.blocked && net->device.running && kl_vq_watch(vq);
}

/* --- receive --- */

/* Take requests until the window holds wanted bytes or is full. False: the ring is malformed. */
static bool fill_window(struct kl_net *net, size_t wanted)
{
	struct kl_net_window *window = &net->window;

	while (window->bytes < wanted && window->chains < KL_NET_WINDOW_CHAINS &&
		window->buffers + KL_VQ_CHAIN_MAX <= KL_NET_WINDOW_BUFFERS) {
		struct iovec *iov = &window->buffer[window->buffers];
		struct kl_vq_chain chain;
		int taken = kl_vq_take(&net->device.vq[QUEUE_RECEIVE], &chain, iov);

		if (!taken)
			return true;
		/* Too small for a header, or with something for us to read, or too big to be meant */
		if (taken < 0 || chain.out_count || chain.in_bytes < KL_NET_HEADER_BYTES || chain.in_bytes > UINT32_MAX)
			return false;
		window->chain[window->chains].head = chain.head;
		window->chain[window->chains].buffers = chain.in_count;
		window->chain[window->chains].bytes = (uint32_t)chain.in_bytes;
		window->chains++;
		window->buffers += chain.in_count;
		window->bytes += chain.in_bytes;
	}
	return true;
}

/* Return the window's first requests, which hold a frame of the given size. */
static void use_window(struct kl_net *net, size_t bytes)
{
	struct kl_net_window *window = &net->window;
	unsigned int chains = 0, buffers = 0;

	while (bytes) {
		size_t part = window->chain[chains].bytes < bytes ? window->chain[chains].bytes : bytes;

		kl_vq_put(&net->device.vq[QUEUE_RECEIVE], window->chain[chains].head, (uint32_t)part);
		window->bytes -= window->chain[chains].bytes;
		buffers += window->chain[chains].buffers;
		bytes -= part;
		chains++;
	}
	window->chains -= chains;
	window->buffers -= buffers;
	memmove(&window->chain[0], &window->chain[chains], window->chains * sizeof(window->chain[0]));
	memmove(&window->buffer[0], &window->buffer[buffers], window->buffers * sizeof(window->buffer[0]));
}

/* How many of the window's requests a frame of the given size needs; 0: more than there are. */
static uint16_t chains_for(const struct kl_net *net, size_t bytes)
{
	const struct kl_net_window *window = &net->window;
	size_t room = 0;

	for (unsigned int i = 0; i < window->chains; i++) {
		room += window->chain[i].bytes;
		if (room >= bytes)
			return (uint16_t)(i + 1);
	}
	return 0;
}

/* A frame of the given size is in the window, or in the window and the spill. True: delivered or dropped. False: held. */
static bool deliver(struct kl_net *net, size_t bytes, size_t before_spill)
{
	struct kl_net_window *window = &net->window;
	uint16_t chains = chains_for(net, bytes);

	if (chains > 1 && !HAS(net, VIRTIO_NET_F_MRG_RXBUF))
		chains = 0;
	if (!chains) {
		bool can_grow = HAS(net, VIRTIO_NET_F_MRG_RXBUF) &&
			window->chains < net->device.vq[QUEUE_RECEIVE].size && window->chains < KL_NET_WINDOW_CHAINS &&
			window->buffers + KL_VQ_CHAIN_MAX <= KL_NET_WINDOW_BUFFERS;
		if (!can_grow)
			net->dropped++;
		return !can_grow;
	}
	if (bytes > before_spill)
		kl_iov_write(window->buffer, window->buffers, before_spill, net->spill, bytes - before_spill);
	kl_iov_write(window->buffer, window->buffers, offsetof(struct virtio_net_hdr_v1, num_buffers), &chains,
		sizeof(chains));
	use_window(net, bytes);
	net->received++;
	net->received_bytes += bytes - KL_NET_HEADER_BYTES;
	return true;
}

/*
 * The spill behind the window takes what the window has no room for; so every frame can be read, and one that does not fit
 * is held until the guest gives more buffers.
 */
static ssize_t receive_one(struct kl_net *net, size_t *before_spill)
{
	struct kl_net_window *window = &net->window;

	*before_spill = window->bytes;
	if (!HAS(net, VIRTIO_NET_F_MRG_RXBUF) && window->chains > 1) {
		/* One request a frame: the others must not be written to. */
		struct iovec iov[KL_VQ_CHAIN_MAX + 1];
		unsigned int buffers = window->chain[0].buffers;

		memcpy(iov, window->buffer, buffers * sizeof(iov[0]));
		iov[buffers] = (struct iovec){.iov_base = net->spill, .iov_len = sizeof(net->spill)};
		*before_spill = window->chain[0].bytes;
		return net->backend->receive(net, iov, buffers + 1);
	}
	window->buffer[window->buffers] = (struct iovec){.iov_base = net->spill, .iov_len = sizeof(net->spill)};
	return net->backend->receive(net, window->buffer, window->buffers + 1);
}

static bool receive(struct kl_net *net)
{
	struct kl_vq *vq = &net->device.vq[QUEUE_RECEIVE];
	bool more = true;

	for (int left = BUDGET; left && more; left--) {
		size_t before_spill = 0;
		ssize_t bytes;

		if (!fill_window(net, KL_NET_FRAME_MAX)) {
			kl_virtio_break(&net->device, QUEUE_RECEIVE);
			return false;
		}
		if (net->held) {
			bytes = (ssize_t)net->held;
			before_spill = net->held - net->spilled;
		} else if (!net->window.chains) {
			more = kl_vq_watch(vq);
			net->device.starved = !more;
			continue;
		} else {
			bytes = receive_one(net, &before_spill);
		}
		if (bytes < 0) {
			net->gone = bytes != -EAGAIN;
			more = false;
			break;
		}
		net->held = 0;
		if ((size_t)bytes < KL_NET_HEADER_BYTES)
			continue;
		if (!deliver(net, (size_t)bytes, before_spill)) {
			net->held = (size_t)bytes;
			net->spilled = net->held - before_spill;
			more = kl_vq_watch(vq);
			net->device.starved = !more;
		}
	}
	kl_virtio_publish(&net->device, QUEUE_RECEIVE);
	return more;
}

static bool net_poll(struct kl_virtio *device)
{
	struct kl_net *net = (struct kl_net *)device;
	bool more = transmit(net);

	if (net->gone || !device->vq[QUEUE_RECEIVE].size) {
		device->starved = true;
	} else if (device->running) {
		more |= receive(net);
		if (net->gone)
			kl_notice("restart the kernlet", "%s: the host's side is gone", device->name);
		device->starved |= net->gone;
	}
	return more && device->running;
}

static void net_reset(struct kl_virtio *device)
{
	struct kl_net *net = (struct kl_net *)device;

	net->window.chains = net->window.buffers = 0;
	net->window.bytes = 0;
	net->held = 0;
}

static void net_start(struct kl_virtio *device)
{
	struct kl_net *net = (struct kl_net *)device;

	if (net->backend->start)
		net->backend->start(net);
}

static const struct kl_virtio_ops ops = {.poll = net_poll, .start = net_start, .reset = net_reset};

void kl_net_set_mtu(struct kl_net *net, uint16_t mtu)
{
	struct virtio_net_config config = {.status = VIRTIO_NET_S_LINK_UP, .mtu = mtu};

	memcpy(config.mac, net->device.config, sizeof(config.mac));
	memcpy(net->device.config, &config, offsetof(struct virtio_net_config, mtu) + sizeof(config.mtu));
	net->device.features |= 1ull << VIRTIO_NET_F_MTU;
}

int kl_net_init(struct kl_net *net, const struct kl_net_options *options)
{
	struct virtio_net_config config = {.status = VIRTIO_NET_S_LINK_UP};

	net->window.chains = net->window.buffers = 0;
	kl_virtio_init(&net->device, &ops, "net", VIRTIO_ID_NET, QUEUES);
	memcpy(config.mac, options->mac, sizeof(config.mac));
	memcpy(net->device.config, &config, offsetof(struct virtio_net_config, mtu));
	net->device.features |= 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_MRG_RXBUF;
	net->fd = -1;
	int error = -EINVAL;
	switch (options->kind) {
	case KL_NET_TAP: error = kl_tap_open(net, options->name); break;
	case KL_NET_PASST: error = kl_passt_open(net, options->name); break;
	case KL_NET_FD: error = kl_passt_attach(net, options->fd); break;
	}
	if (error)
		return error;
	net->device.in_fd = net->fd;
	net->device.direct = true;
	return 0;
}
