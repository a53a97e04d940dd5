/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/heap.h>
#include <kl/net.h>
#include <kl/pbuf.h>
#include <kl/string.h>

/* What a packet of headers and a little data takes: structure and storage in one. */
#define SMALL_BYTES 576u /* one of the heap's sizes */
#define SMALL_ROOM (SMALL_BYTES - sizeof(struct kl_pbuf))
#define SPARE_MAX 64

/* The root of this file's state: freed structures kept for the next packet. */
static struct {
	struct kl_pbuf *small, *windows;
	unsigned small_count, windows_count;
} spare;

static void release_small(struct kl_pbuf *buf)
{
	if (spare.small_count >= SPARE_MAX) {
		kl_free(buf);
		return;
	}
	buf->next = spare.small;
	spare.small = buf;
	spare.small_count++;
}

static void release_large(struct kl_pbuf *buf)
{
	kl_free(buf);
}

void kl_pbuf_init(struct kl_pbuf *buf, void *storage, size_t size, void (*release)(struct kl_pbuf *buf), void *owner)
{
	*buf = (struct kl_pbuf){
		.data = storage,
		.start = storage,
		.end = (uint8_t *)storage + size,
		.release = release,
		.owner = owner,
		.refs = 1,
		.truesize = (uint32_t)(size + sizeof(*buf)),
	};
}

struct kl_pbuf *kl_pbuf_alloc(size_t headroom, size_t room)
{
	size_t size = headroom + room;
	struct kl_pbuf *buf;

	if (size <= SMALL_ROOM) {
		buf = spare.small;
		if (buf != NULL) {
			spare.small = buf->next;
			spare.small_count--;
		} else {
			buf = kl_malloc(SMALL_BYTES);
		}
		if (buf == NULL)
			return NULL;
		kl_pbuf_init(buf, buf + 1, SMALL_ROOM, release_small, NULL);
	} else {
		buf = kl_malloc(sizeof(*buf) + size);
		if (buf == NULL)
			return NULL;
		kl_pbuf_init(buf, buf + 1, size, release_large, NULL);
	}
	buf->data += headroom;
	return buf;
}

struct kl_pbuf *kl_pbuf_window(void *data, size_t bytes, void (*release)(struct kl_pbuf *buf), void *owner)
{
	struct kl_pbuf *buf = spare.windows;

	if (buf != NULL) {
		spare.windows = buf->next;
		spare.windows_count--;
	} else {
		buf = kl_malloc(sizeof(*buf));
		if (buf == NULL)
			return NULL;
	}
	kl_pbuf_init(buf, data, bytes, release, owner);
	buf->bytes = buf->total = (uint32_t)bytes;
	buf->truesize = sizeof(*buf);
	buf->slice = true;
	return buf;
}

void kl_pbuf_window_free(struct kl_pbuf *buf)
{
	if (spare.windows_count >= SPARE_MAX) {
		kl_free(buf);
		return;
	}
	buf->next = spare.windows;
	spare.windows = buf;
	spare.windows_count++;
}

static void put_one(struct kl_pbuf *buf)
{
	if (--buf->refs == 0)
		buf->release(buf);
}

static void release_slice(struct kl_pbuf *buf)
{
	struct kl_pbuf *parent = buf->owner;

	kl_pbuf_window_free(buf);
	put_one(parent);
}

struct kl_pbuf *kl_pbuf_slice(struct kl_pbuf *buf, size_t offset, size_t bytes)
{
	/* Of a slice: of what that one is a slice of, so that chains of references stay short. */
	struct kl_pbuf *parent = buf->release == release_slice ? buf->owner : buf;
	struct kl_pbuf *slice = kl_pbuf_window(buf->data + offset, bytes, release_slice, parent);

	if (slice == NULL)
		return NULL;
	slice->truesize += parent->truesize;
	kl_pbuf_get(parent);
	return slice;
}

void kl_pbuf_put(struct kl_pbuf *packet)
{
	while (packet != NULL) {
		struct kl_pbuf *next = packet->next;

		put_one(packet);
		packet = next;
	}
}

void kl_pbuf_chain(struct kl_pbuf *packet, struct kl_pbuf *rest)
{
	struct kl_pbuf *last = packet;

	packet->total += rest->total;
	while (last->next != NULL)
		last = last->next;
	last->next = rest;
}

static void copy_offload(struct kl_pbuf *to, const struct kl_pbuf *from)
{
	ptrdiff_t shift = (to->data - to->start) - (from->data - from->start);

	to->netif = from->netif;
	to->csum = from->csum;
	to->gso = from->gso;
	to->gso_bytes = from->gso_bytes;
	to->header_bytes = from->header_bytes;
	to->csum_start = (uint16_t)(from->csum_start + shift);
	to->csum_offset = from->csum_offset;
	to->l3 = (uint16_t)(from->l3 + shift);
	to->l4 = (uint16_t)(from->l4 + shift);
}

struct kl_pbuf *kl_pbuf_pullup(struct kl_pbuf *packet, size_t n)
{
	struct kl_pbuf *head;

	if (KL_LIKELY(packet->bytes >= n))
		return packet;
	if (packet->total < n)
		goto drop;
	head = kl_pbuf_alloc(0, n);
	if (head == NULL)
		goto drop;
	copy_offload(head, packet);
	kl_pbuf_copy_out(packet, 0, kl_pbuf_append(head, n), n);
	if (packet->total > n) {
		packet = kl_pbuf_drop(packet, n);
		kl_pbuf_chain(head, packet);
	} else {
		kl_pbuf_put(packet);
	}
	return head;
drop:
	kl_pbuf_put(packet);
	return NULL;
}

struct kl_pbuf *kl_pbuf_drop(struct kl_pbuf *packet, size_t n)
{
	while (n >= packet->bytes && packet->next != NULL) {
		struct kl_pbuf *next = packet->next;

		n -= packet->bytes;
		next->total = packet->total - packet->bytes;
		put_one(packet);
		packet = next;
	}
	kl_pbuf_pull(packet, n);
	return packet;
}

void kl_pbuf_trim(struct kl_pbuf *packet, size_t n)
{
	struct kl_pbuf *buf = packet;

	packet->total = (uint32_t)n;
	while (n > buf->bytes && buf->next != NULL) {
		n -= buf->bytes;
		buf = buf->next;
	}
	buf->bytes = (uint32_t)n;
	kl_pbuf_put(buf->next);
	buf->next = NULL;
}

void kl_pbuf_copy_out(const struct kl_pbuf *packet, size_t offset, void *dst, size_t n)
{
	uint8_t *to = dst;

	for (const struct kl_pbuf *buf = packet; n > 0; buf = buf->next) {
		size_t part;

		if (offset >= buf->bytes) {
			offset -= buf->bytes;
			continue;
		}
		part = KL_MIN(n, buf->bytes - offset);
		memcpy(to, buf->data + offset, part);
		to += part;
		n -= part;
		offset = 0;
	}
}

struct kl_pbuf *kl_pbuf_copy(const struct kl_pbuf *packet, size_t headroom)
{
	struct kl_pbuf *copy = kl_pbuf_alloc(headroom, packet->total);

	if (copy == NULL)
		return NULL;
	copy_offload(copy, packet);
	kl_pbuf_copy_out(packet, 0, kl_pbuf_append(copy, packet->total), packet->total);
	return copy;
}

uint32_t kl_pbuf_sum(const struct kl_pbuf *packet, size_t offset, size_t n, uint32_t sum)
{
	bool odd = false;

	for (const struct kl_pbuf *buf = packet; n > 0; buf = buf->next) {
		size_t part;
		uint32_t piece;

		if (offset >= buf->bytes) {
			offset -= buf->bytes;
			continue;
		}
		part = KL_MIN(n, buf->bytes - offset);
		piece = kl_net_sum(buf->data + offset, part, 0);
		sum = kl_net_fold(sum + (odd ? __builtin_bswap16((uint16_t)piece) : piece));
		odd ^= part & 1;
		n -= part;
		offset = 0;
	}
	return sum;
}

void kl_pbuf_enqueue(struct kl_pbuf_queue *queue, struct kl_pbuf *packet)
{
	if (queue->first == NULL)
		queue->last = &queue->first;
	packet->queue = NULL;
	*queue->last = packet;
	queue->last = &packet->queue;
	queue->packets++;
	queue->bytes += packet->total;
}

struct kl_pbuf *kl_pbuf_dequeue(struct kl_pbuf_queue *queue)
{
	struct kl_pbuf *packet = queue->first;

	if (packet == NULL)
		return NULL;
	queue->first = packet->queue;
	packet->queue = NULL;
	queue->packets--;
	queue->bytes -= packet->total;
	return packet;
}

void kl_pbuf_queue_free(struct kl_pbuf_queue *queue)
{
	struct kl_pbuf *packet;

	while ((packet = kl_pbuf_dequeue(queue)) != NULL)
		kl_pbuf_put(packet);
}
