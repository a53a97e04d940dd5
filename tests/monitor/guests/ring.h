/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's side of a virtqueue, without frills: request i always uses descriptor i and its own buffer. */
#ifndef KL_TEST_RING_H
#define KL_TEST_RING_H

#include "guest.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#define RING_SIZE 64
#define RING_BUFFER_BYTES 2048

struct ring {
	uint32_t device, queue;
	uint64_t desc_pa, avail_pa, used_pa, buffers_pa;
	uint16_t next_avail, seen_used;
};

static uint64_t ring_free_pa;

/* Lay the ring and its buffers out in free memory. */
static inline void ring_place(struct ring *ring, const struct kl_boot_info *info, uint32_t device, uint32_t queue)
{
	if (!ring_free_pa)
		ring_free_pa = info->free_start_pa;
	*ring = (struct ring){.device = device, .queue = queue, .desc_pa = ring_free_pa};
	ring->avail_pa = ring->desc_pa + 16 * RING_SIZE;
	ring->used_pa = ring->avail_pa + 256;
	ring->buffers_pa = ring->desc_pa + 4096;
	ring_free_pa = ring->buffers_pa + RING_SIZE * RING_BUFFER_BYTES;
}

static inline int32_t ring_activate(
	const struct kl_boot_info *info, const struct ring *rings, uint32_t count, uint64_t features)
{
	struct kl_virtio_setup *setup = AT(struct kl_virtio_setup, KL_VIRTIO_SETUP_PA);

	(void)info;
	setup->device = rings[0].device;
	setup->result = 1;
	setup->features = features;
	setup->queues = count;
	for (uint32_t i = 0; i < count; i++) {
		setup->queue[i].desc_pa = rings[i].desc_pa;
		setup->queue[i].avail_pa = rings[i].avail_pa;
		setup->queue[i].used_pa = rings[i].used_pa;
		setup->queue[i].size = RING_SIZE;
	}
	monitor_write(KL_REG_ACTIVATE, 1);
	return *(volatile int32_t *)&setup->result;
}

static inline uint8_t *ring_buffer(const struct ring *ring, uint16_t i)
{
	return DIRECT(uint8_t, ring->buffers_pa + (uint64_t)i * RING_BUFFER_BYTES);
}

/* Offer buffer i to the device. */
static inline void ring_offer(struct ring *ring, uint16_t i, uint32_t bytes, int in)
{
	struct vring_desc *desc = DIRECT(struct vring_desc, ring->desc_pa);
	volatile uint16_t *avail = DIRECT(volatile uint16_t, ring->avail_pa);

	desc[i] = (struct vring_desc){.addr = ring->buffers_pa + (uint64_t)i * RING_BUFFER_BYTES,
		.len = bytes,
		.flags = in ? VRING_DESC_F_WRITE : 0};
	avail[2 + ring->next_avail % RING_SIZE] = i;
	__atomic_store_n(&avail[1], ++ring->next_avail, __ATOMIC_SEQ_CST);
}

static inline void ring_notify(const struct ring *ring)
{
	*MMIO(uint32_t, KL_VIRTIO_PA + ring->device * KL_VIRTIO_STRIDE + 0x50) = ring->queue;
}

/* A buffer that the device has returned, or -1. */
static inline int ring_take(struct ring *ring, uint32_t *bytes)
{
	volatile uint16_t *used_idx = DIRECT(volatile uint16_t, ring->used_pa + 2);
	volatile struct vring_used_elem *used = DIRECT(volatile struct vring_used_elem, ring->used_pa + 4);

	if (__atomic_load_n(used_idx, __ATOMIC_SEQ_CST) == ring->seen_used)
		return -1;
	*bytes = used[ring->seen_used % RING_SIZE].len;
	uint32_t id = used[ring->seen_used % RING_SIZE].id;
	ring->seen_used++;
	/* with event index: tell us about the next one */
	*DIRECT(volatile uint16_t, ring->avail_pa + 4 + 2 * RING_SIZE) = ring->seen_used;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (int)id;
}

static inline void wait_ns(uint64_t ns)
{
	AT(struct kl_shared, KL_SHARED_PA)->wait_ns = ns;
	monitor_write(KL_REG_WAIT, 0);
}

static inline uint32_t find_device(const struct kl_boot_info *info, uint32_t virtio_id, uint32_t role)
{
	for (uint32_t i = 0; i < info->devices_count; i++) {
		if (info->devices[i].virtio_id == virtio_id && info->devices[i].role == role)
			return i;
	}
	guest_log("no such device\n");
	guest_exit(97);
}

#endif
