/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device's side of a split virtqueue (VIRTIO 1.2, section 2.7) in memory that a hostile guest shares with us: every index,
 * descriptor and address is read once and checked before use. Caller holds the device's lock.
 */
#ifndef KL_MONITOR_VIRTQUEUE_H
#define KL_MONITOR_VIRTQUEUE_H

#include "memory.h"

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <sys/uio.h>

#define KL_VQ_SIZE_MAX 256
/* Buffers in one chain, at most; an indirect table may not hold more either. */
#define KL_VQ_CHAIN_MAX 64

struct kl_vq {
	const struct kl_memory *memory;
	const struct vring_desc *desc;
	const uint8_t *avail;
	uint8_t *used;
	uint16_t size; /* 0: not set up */
	bool event_idx;
	uint16_t next_avail; /* the next entry of the available ring to take */
	uint16_t next_used;  /* entries put into the used ring so far, published or not */
	uint16_t published;  /* the used index as the guest sees it */
};

/* One request: buffers to read (out) and then buffers to write (in), all of them inside guest memory. */
struct kl_vq_chain {
	uint16_t head;
	uint16_t out_count, in_count; /* entries of the array given to kl_vq_take(); empty buffers are left out */
	uint64_t out_bytes, in_bytes;
};

/*
 * Set up: size a power of two up to KL_VQ_SIZE_MAX, the three areas aligned and inside memory. 0 or -EINVAL, and vq is as
 * before.
 */
int kl_vq_setup(struct kl_vq *vq, const struct kl_memory *memory, uint32_t size, uint64_t desc_pa, uint64_t avail_pa,
	uint64_t used_pa, bool event_idx);

/*
 * Take the next request; its buffers go to iov[0 .. out_count + in_count), which has room for KL_VQ_CHAIN_MAX. 1: taken,
 * 0: none there, -EPROTO: the ring is malformed and must not be used further.
 */
int kl_vq_take(struct kl_vq *vq, struct kl_vq_chain *chain, struct iovec *iov);

/* Give the last count requests taken back, untouched. */
void kl_vq_untake(struct kl_vq *vq, uint16_t count);

/* Return a request with written bytes in its in-buffers; seen by the guest after kl_vq_publish(). */
void kl_vq_put(struct kl_vq *vq, uint16_t head, uint32_t written);

/* Show what was put to the guest. True: the guest wants to be told. */
bool kl_vq_publish(struct kl_vq *vq);

/* Ask the guest for a notification about the next request. True: there is one already, so look again. */
bool kl_vq_watch(struct kl_vq *vq);

/* Copy bytes to iov from offset on. Returns how many fitted. */
size_t kl_iov_write(const struct iovec *iov, size_t count, size_t offset, const void *from, size_t bytes);

#endif
