// SPDX-License-Identifier: Apache-2.0
#include "rng.h"

#include <linux/virtio_ids.h>
#include <sys/random.h>

#define BUDGET 64
/* A device may fill less than was asked for; this keeps one request from occupying the I/O thread. */
#define FILL_BYTES_MAX 4096

static uint32_t fill(const struct kl_vq_chain *chain, const struct iovec *iov)
{
	uint32_t written = 0;

	for (unsigned int i = chain->out_count; i < (unsigned int)chain->out_count + chain->in_count; i++) {
		size_t bytes = iov[i].iov_len;

		if (bytes > FILL_BYTES_MAX - written)
			bytes = FILL_BYTES_MAX - written;
		ssize_t got = getrandom(iov[i].iov_base, bytes, 0);
		if (got <= 0)
			break;
		written += (uint32_t)got;
	}
	return written;
}

static bool rng_poll(struct kl_virtio *device)
{
	struct kl_vq *vq = &device->vq[0];
	int left = BUDGET;

	while (left--) {
		struct iovec iov[KL_VQ_CHAIN_MAX];
		struct kl_vq_chain chain;
		int taken = kl_vq_take(vq, &chain, iov);

		if (taken < 0)
			kl_virtio_break(device, 0);
		if (taken < 0 || (!taken && !kl_vq_watch(vq)))
			break;
		if (!taken)
			continue;
		device->requests++;
		kl_vq_put(vq, chain.head, fill(&chain, iov));
	}
	kl_virtio_publish(device, 0);
	return device->running && kl_vq_watch(vq);
}

static const struct kl_virtio_ops ops = {.poll = rng_poll};

void kl_rng_init(struct kl_rng *rng)
{
	kl_virtio_init(&rng->device, &ops, "rng", VIRTIO_ID_RNG, 1);
}
