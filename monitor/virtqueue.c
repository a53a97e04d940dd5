// SPDX-License-Identifier: Apache-2.0
#include "virtqueue.h"

#include <errno.h>
#include <string.h>

/* avail: flags, idx, ring[size], used_event. used: flags, idx, ring[size] of 8 bytes, avail_event. */
#define RING_HEAD 4u

static uint16_t load16(const uint8_t *at)
{
	return __atomic_load_n((const uint16_t *)(const void *)at, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *at, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
}

/* One copy of a descriptor that may change while we look. */
static struct vring_desc load_desc(const struct vring_desc *at)
{
	return (struct vring_desc){
		.addr = __atomic_load_n(&at->addr, __ATOMIC_RELAXED),
		.len = __atomic_load_n(&at->len, __ATOMIC_RELAXED),
		.flags = __atomic_load_n(&at->flags, __ATOMIC_RELAXED),
		.next = __atomic_load_n(&at->next, __ATOMIC_RELAXED),
	};
}

int kl_vq_setup(struct kl_vq *vq, const struct kl_memory *memory, uint32_t size, uint64_t desc_pa, uint64_t avail_pa,
	uint64_t used_pa, bool event_idx)
{
	if (!size || size > KL_VQ_SIZE_MAX || size & (size - 1))
		return -EINVAL;
	if (desc_pa % 16 || avail_pa % 2 || used_pa % 4)
		return -EINVAL;

	const void *desc = kl_memory_at(memory, desc_pa, size * sizeof(struct vring_desc));
	const void *avail = kl_memory_at(memory, avail_pa, RING_HEAD + 2ull * size + 2);
	void *used = kl_memory_at(memory, used_pa, RING_HEAD + 8ull * size + 2);
	if (!desc || !avail || !used)
		return -EINVAL;
	*vq = (struct kl_vq){.memory = memory,
		.desc = desc,
		.avail = avail,
		.used = used,
		.size = (uint16_t)size,
		.event_idx = event_idx};
	return 0;
}

/* Add one buffer to the chain: out-buffers first, then in-buffers. */
static int add_buffer(
	const struct kl_vq *vq, struct kl_vq_chain *chain, struct iovec *iov, const struct vring_desc *desc)
{
	bool in = desc->flags & VRING_DESC_F_WRITE;
	void *base = kl_memory_at(vq->memory, desc->addr, desc->len);

	if (!base || (!in && chain->in_bytes))
		return -EPROTO;
	if (!desc->len)
		return 0;
	iov[chain->out_count + chain->in_count] = (struct iovec){.iov_base = base, .iov_len = desc->len};
	if (in) {
		chain->in_count++;
		chain->in_bytes += desc->len;
	} else {
		chain->out_count++;
		chain->out_bytes += desc->len;
	}
	return 0;
}

/* Follow the chain that starts at index in a table of size descriptors. */
static int walk(const struct kl_vq *vq, struct kl_vq_chain *chain, struct iovec *iov, const struct vring_desc *table,
	uint32_t size, uint16_t index, bool indirect)
{
	/* A chain with a loop has more links than the table has descriptors. */
	for (uint32_t links = 0; links < size && links < KL_VQ_CHAIN_MAX; links++) {
		if (index >= size)
			return -EPROTO;
		struct vring_desc desc = load_desc(&table[index]);

		if (desc.flags & VRING_DESC_F_INDIRECT) {
			uint32_t inner = desc.len / (uint32_t)sizeof(desc);
			const void *inner_table = kl_memory_at(vq->memory, desc.addr, desc.len);

			/* Not nested, not in the middle of a chain, whole descriptors only. */
			if (indirect || links || desc.flags & VRING_DESC_F_NEXT || desc.len % sizeof(desc) || !inner ||
				inner > KL_VQ_SIZE_MAX || desc.addr % 16 || !inner_table)
				return -EPROTO;
			return walk(vq, chain, iov, inner_table, inner, 0, true);
		}
		if (add_buffer(vq, chain, iov, &desc))
			return -EPROTO;
		if (!(desc.flags & VRING_DESC_F_NEXT))
			return 1;
		index = desc.next;
	}
	return -EPROTO;
}

int kl_vq_take(struct kl_vq *vq, struct kl_vq_chain *chain, struct iovec *iov)
{
	if (!vq->size)
		return 0;
	uint16_t waiting = (uint16_t)(load16(vq->avail + 2) - vq->next_avail);
	if (!waiting)
		return 0;
	if (waiting > vq->size)
		return -EPROTO;
	uint16_t head = load16(vq->avail + RING_HEAD + 2u * (vq->next_avail & (vq->size - 1u)));
	*chain = (struct kl_vq_chain){.head = head};
	int result = walk(vq, chain, iov, vq->desc, vq->size, head, false);
	if (result == 1)
		vq->next_avail++;
	return result;
}

void kl_vq_untake(struct kl_vq *vq, uint16_t count)
{
	vq->next_avail = (uint16_t)(vq->next_avail - count);
}

void kl_vq_put(struct kl_vq *vq, uint16_t head, uint32_t written)
{
	uint8_t *at = vq->used + RING_HEAD + 8u * (vq->next_used & (vq->size - 1u));
	struct vring_used_elem elem = {.id = head, .len = written};

	memcpy(at, &elem, sizeof(elem));
	vq->next_used++;
}

bool kl_vq_publish(struct kl_vq *vq)
{
	uint16_t before = vq->published;

	if (before == vq->next_used)
		return false;
	vq->published = vq->next_used;
	store16(vq->used + 2, vq->published);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx)
		return !(load16(vq->avail) & VRING_AVAIL_F_NO_INTERRUPT);
	uint16_t event = load16(vq->avail + RING_HEAD + 2u * vq->size);
	return vring_need_event(event, vq->published, before);
}

bool kl_vq_watch(struct kl_vq *vq)
{
	if (!vq->size)
		return false;
	if (vq->event_idx)
		store16(vq->used + RING_HEAD + 8u * vq->size, vq->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(vq->avail + 2) != vq->next_avail;
}

size_t kl_iov_write(const struct iovec *iov, size_t count, size_t offset, const void *from, size_t bytes)
{
	size_t done = 0;

	for (size_t i = 0; i < count && done < bytes; i++) {
		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		size_t part = iov[i].iov_len - offset;
		if (part > bytes - done)
			part = bytes - done;
		memcpy((uint8_t *)iov[i].iov_base + offset, (const uint8_t *)from + done, part);
		done += part;
		offset = 0;
	}
	return done;
}
