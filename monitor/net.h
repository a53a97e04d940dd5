/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-net (VIRTIO 1.2, section 5.1): queue 0 receives, queue 1 transmits; mergeable buffers. */
#ifndef KL_MONITOR_NET_H
#define KL_MONITOR_NET_H

#include "options.h"
#include "virtio.h"

#include <linux/virtio_net.h>

/* The largest frame with its header that a back end delivers: 64 KiB of payload, headers, VLAN tag. */
#define KL_NET_FRAME_MAX (65536 + 64)
#define KL_NET_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)

/* Requests and buffers of the receive queue that are kept ready for frames to come. */
#define KL_NET_WINDOW_CHAINS 64
#define KL_NET_WINDOW_BUFFERS (KL_NET_WINDOW_CHAINS + KL_VQ_CHAIN_MAX)

struct kl_net;

/* Where frames come from and go to. Both functions never block. A frame starts with a struct virtio_net_hdr_v1. */
struct kl_net_backend {
	/*
	 * One frame into iov, which has room for KL_NET_FRAME_MAX bytes. Its size, or -EAGAIN: none there, or another -errno: the
	 * back end is gone.
	 */
	ssize_t (*receive)(struct kl_net *net, const struct iovec *iov, unsigned int count);
	/* Hand on one frame of the given size. 0 (also when it had to be dropped) or -EAGAIN: try again when writable. */
	int (*send)(struct kl_net *net, const struct iovec *iov, unsigned int count, size_t bytes);
	/* Hand on what send() could only keep. 0 or -EAGAIN. May be NULL. */
	int (*flush)(struct kl_net *net);
	/* The driver is ready with device.driver_features. May be NULL. */
	void (*start)(struct kl_net *net);
};

/* passt's stream: frames with their length before them. */
struct kl_passt {
	uint8_t *in; /* bytes from passt: [in_start, in_end) not yet consumed */
	size_t in_start, in_end;
	uint8_t *out; /* what the socket did not take of the last frame: [out_start, out_end) */
	size_t out_start, out_end;
};

struct kl_net {
	struct kl_virtio device;
	const struct kl_net_backend *backend;
	int fd;
	struct kl_passt passt;
	uint64_t received, sent, dropped, received_bytes, sent_bytes;
	bool gone; /* the back end has failed */

	/* Receive requests taken from the queue and not yet used, oldest first; buffers without gaps, in the same order. */
	struct kl_net_window {
		unsigned int chains, buffers;
		size_t bytes;
		struct {
			uint16_t head;
			uint16_t buffers;
			uint32_t bytes;
		} chain[KL_NET_WINDOW_CHAINS];
		struct iovec buffer[KL_NET_WINDOW_BUFFERS + 1]; /* one more for what does not fit */
	} window;
	/* A frame that lies partly in the window's buffers and partly here, until the guest gives more buffers. */
	size_t held, spilled;
	uint8_t spill[KL_NET_FRAME_MAX];
};

/* Connect a device to its back end. 0 or -errno after saying why. */
int kl_net_init(struct kl_net *net, const struct kl_net_options *options);

/* The back ends. Each opens net->fd and sets backend, features and MTU. 0 or -errno after saying why. */
int kl_tap_open(struct kl_net *net, const char *interface);
int kl_passt_open(struct kl_net *net, const char *path);
int kl_passt_attach(struct kl_net *net, int fd); /* a connected socket, which is the device's from now on */

/* For back ends: the device's maximum transmission unit, offered to the guest. */
void kl_net_set_mtu(struct kl_net *net, uint16_t mtu);

#endif
