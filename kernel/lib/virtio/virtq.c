/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Split virtqueues (VIRTIO 1.2, section 2.7). x86 keeps the order of stores and that of loads, so the compiler's order is all
 * that is asked for, but for the two places where a store must be seen before a later load: publish, then read avail_event;
 * set used_event, then read the used index.
 */
#include <kl/virtio.h>

#include <kl/heap.h>
#include <kl/pmm.h>
#include <asm/errno.h>
#include <linux/virtio_config.h>

#define NO_SLOT UINT16_MAX

/* Both rings end with the other side's event index (section 2.7.10). */
static uint16_t *used_event(const struct kl_virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *avail_event(const struct kl_virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

static uint16_t load16(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store16(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static bool event_idx(const struct kl_virtq *vq)
{
	return kl_virtio_has(vq->dev, VIRTIO_RING_F_EVENT_IDX);
}

int kl_virtio_queue(struct kl_virtio_device *dev, struct kl_virtq *vq, unsigned size)
{
	size_t avail_at, used_at, bytes;
	uint8_t *rings;

	if (dev->queues_count == KL_VIRTIO_QUEUES_MAX || dev->queues_count >= dev->boot->queues || dev->active)
		return -EINVAL;
	size = KL_MIN(size, dev->boot->queue_max);
	size = KL_MIN(size, 32768u);
	if (size == 0)
		return -EINVAL;
	while (size & (size - 1))
		size &= size - 1;

	avail_at = size * sizeof(struct vring_desc);
	used_at = KL_ALIGN_UP(avail_at + sizeof(struct vring_avail) + (size + 1) * sizeof(uint16_t), 4);
	bytes = used_at + sizeof(struct vring_used) + size * sizeof(struct vring_used_elem) + sizeof(uint16_t);
	rings = kl_zalloc(bytes);
	if (!rings)
		return -ENOMEM;
	*vq = (struct kl_virtq){
		.dev = dev,
		.index = (uint16_t)dev->queues_count,
		.size = (uint16_t)size,
		.free_count = (uint16_t)size,
		.desc = (struct vring_desc *)rings,
		.avail = (struct vring_avail *)(rings + avail_at),
		.used = (struct vring_used *)(rings + used_at),
		.slots = kl_zalloc(size * sizeof(*vq->slots)),
	};
	if (!vq->slots) {
		kl_free(rings);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < size; i++)
		vq->slots[i].next = i + 1 < size ? (uint16_t)(i + 1) : NO_SLOT;
	kl_virtq_disarm(vq);
	dev->queues[dev->queues_count++] = vq;
	return 0;
}

void kl_virtio_queue_skip(struct kl_virtio_device *dev)
{
	if (dev->queues_count < KL_VIRTIO_QUEUES_MAX)
		dev->queues[dev->queues_count++] = NULL;
}

void kl_virtq_free(struct kl_virtq *vq)
{
	kl_free(vq->desc);
	kl_free(vq->slots);
	*vq = (struct kl_virtq){0};
}

int kl_virtq_add(struct kl_virtq *vq, const struct kl_virtq_buf *bufs, unsigned out, unsigned in, void *cookie)
{
	unsigned count = out + in;
	uint16_t head = vq->free_first, at = head, last = head;
	uint32_t in_bytes = 0;

	if (KL_UNLIKELY(vq->dev->broken))
		return -EIO;
	if (count == 0 || count > vq->free_count)
		return -ENOBUFS;
	for (unsigned i = 0; i < count; i++) {
		struct vring_desc *desc = &vq->desc[at];

		desc->addr = bufs[i].pa;
		desc->len = bufs[i].bytes;
		desc->flags = (uint16_t)((i + 1 < count ? VRING_DESC_F_NEXT : 0) | (i >= out ? VRING_DESC_F_WRITE : 0));
		desc->next = i + 1 < count ? vq->slots[at].next : 0;
		if (i >= out)
			in_bytes += bufs[i].bytes;
		last = at;
		at = vq->slots[at].next;
	}
	vq->free_first = vq->slots[last].next;
	vq->free_count = (uint16_t)(vq->free_count - count);
	vq->slots[last].next = NO_SLOT;
	vq->slots[head].cookie = cookie;
	vq->slots[head].in_bytes = in_bytes;
	vq->slots[head].count = (uint16_t)count;
	vq->in_flight++;
	vq->avail->ring[vq->added & (vq->size - 1)] = head;
	vq->added++;
	return 0;
}

void kl_virtq_kick(struct kl_virtq *vq)
{
	uint16_t before = vq->published;
	bool wanted;

	if (before == vq->added)
		return;
	store16(&vq->avail->idx, vq->added);
	vq->published = vq->added;
	if (!vq->dev->active || vq->dev->broken)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (event_idx(vq))
		wanted = vring_need_event(load16(avail_event(vq)), vq->published, before);
	else
		wanted = !(load16(&vq->used->flags) & VRING_USED_F_NO_NOTIFY);
	if (wanted)
		kl_virtio_notify(vq->dev, vq->index);
}

bool kl_virtq_ready(const struct kl_virtq *vq)
{
	return load16(&vq->used->idx) != vq->taken && !vq->dev->broken;
}

static void *release(struct kl_virtq *vq, uint16_t head)
{
	struct kl_virtq_slot *slot = &vq->slots[head];
	void *cookie = slot->cookie;
	uint16_t last = head;

	while (vq->slots[last].next != NO_SLOT)
		last = vq->slots[last].next;
	vq->slots[last].next = vq->free_first;
	vq->free_first = head;
	vq->free_count = (uint16_t)(vq->free_count + slot->count);
	vq->in_flight--;
	slot->count = 0;
	slot->cookie = NULL;
	return cookie;
}

void *kl_virtq_get(struct kl_virtq *vq, uint32_t *bytes)
{
	uint16_t waiting = (uint16_t)(load16(&vq->used->idx) - vq->taken);
	const struct vring_used_elem *elem;
	uint32_t id, len;

	if (waiting == 0 || KL_UNLIKELY(vq->dev->broken))
		return NULL;
	if (KL_UNLIKELY(waiting > vq->in_flight)) {
		kl_virtio_break(vq->dev, "used index beyond what was given");
		return NULL;
	}
	elem = &vq->used->ring[vq->taken & (vq->size - 1)];
	id = __atomic_load_n(&elem->id, __ATOMIC_RELAXED);
	len = __atomic_load_n(&elem->len, __ATOMIC_RELAXED);
	if (KL_UNLIKELY(id >= vq->size || vq->slots[id].count == 0)) {
		kl_virtio_break(vq->dev, "finished a request that was not given");
		return NULL;
	}
	/* What a device says of requests that it only reads carries no meaning. */
	if (vq->slots[id].in_bytes == 0)
		len = 0;
	if (KL_UNLIKELY(len > vq->slots[id].in_bytes)) {
		kl_virtio_break(vq->dev, "wrote more than there was room for");
		return NULL;
	}
	vq->taken++;
	if (bytes)
		*bytes = len;
	return release(vq, (uint16_t)id);
}

bool kl_virtq_arm(struct kl_virtq *vq, unsigned after)
{
	uint16_t event = (uint16_t)(vq->taken + after);

	if (event_idx(vq))
		store16(used_event(vq), event);
	else
		store16(&vq->avail->flags, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (uint16_t)(load16(&vq->used->idx) - vq->taken) > after && !vq->dev->broken;
}

void kl_virtq_disarm(struct kl_virtq *vq)
{
	/* One that is passed is not met again for 65535 requests. */
	if (event_idx(vq))
		store16(used_event(vq), (uint16_t)(vq->taken - 1));
	else
		store16(&vq->avail->flags, VRING_AVAIL_F_NO_INTERRUPT);
}

void *kl_virtq_detach(struct kl_virtq *vq)
{
	for (uint16_t i = 0; i < vq->size; i++) {
		if (vq->slots[i].count != 0)
			return release(vq, i);
	}
	return NULL;
}
