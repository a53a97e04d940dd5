/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packet buffers. A packet is a chain of buffers (next), each a window [data, data + bytes) into storage [start, end). Buffers are
 * reference-counted, so that several windows share storage: what TCP sends is a buffer with headers and windows into its send
 * queue; what a driver receives goes up to the socket's receive queue without a copy.
 *
 * Storage lies in memory where kl_virt_to_phys() works and is physically contiguous within one buffer.
 */
#ifndef KL_PBUF_H
#define KL_PBUF_H

#include <kl/types.h>

struct kl_netif;

enum kl_csum {
	KL_CSUM_NONE,     /* receive: nobody looked; transmit: complete as it stands */
	KL_CSUM_VERIFIED, /* receive: the device says that the TCP or UDP checksum is right */
	/*
	 * Transmit: the device completes the checksum from csum_start on, stored csum_offset behind it; the field holds the
	 * pseudo-header's sum. Receive: such a packet from the same host, never on a wire; counts as verified.
	 */
	KL_CSUM_PARTIAL,
};

enum kl_gso { KL_GSO_NONE, KL_GSO_TCP4 };

struct kl_pbuf {
	struct kl_pbuf *next;  /* the rest of this packet, or NULL */
	struct kl_pbuf *queue; /* the next packet while in a struct kl_pbuf_queue */
	uint8_t *data;         /* first byte; headroom is data - start */
	uint8_t *start, *end;  /* storage */
	/* The last reference to this buffer went: gives back its storage and the structure itself. */
	void (*release)(struct kl_pbuf *buf);
	void *owner;            /* for release: parent buffer, driver, send queue's block, ... */
	struct kl_netif *netif; /* where it came from */
	uint32_t bytes;         /* in this buffer from data on */
	uint32_t total;         /* first buffer of a packet: bytes in the chain */
	uint32_t refs;
	uint32_t seq;      /* of the first byte, while a transport keeps the packet */
	uint32_t truesize; /* bytes of memory that this buffer keeps from being used otherwise */
	/* The rest counts in the first buffer of a packet. */
	uint8_t csum; /* enum kl_csum */
	uint8_t gso;  /* enum kl_gso; transmit: the device cuts it into frames; receive: it was put together (LRO) */
	uint16_t gso_bytes;    /* payload bytes of each frame */
	uint16_t header_bytes; /* with gso: bytes before the payload, counted from data */
	uint16_t csum_start;   /* from start (not data); kl_pbuf_csum_start() */
	uint16_t csum_offset;
	uint16_t l3, l4; /* receive: where the network and transport headers begin, from start */
	bool slice;      /* the structure came from kl_pbuf_slice() or kl_pbuf_window() */
};

/* Room for the headers of TCP over IPv4 over Ethernet, and for a device's own header of up to 16 bytes. */
#define KL_PBUF_HEADROOM 112

/* One buffer, data at start + headroom, bytes = 0, room for room bytes. NULL: out of memory. */
struct kl_pbuf *kl_pbuf_alloc(size_t headroom, size_t room) KL_MUST_CHECK;
/*
 * For drivers: makes a buffer of the caller's own structure and storage, bytes = total = 0, one reference. release() gets the
 * structure back when it is not used any more; it may happen at any time, also within kl_netif_receive().
 */
void kl_pbuf_init(struct kl_pbuf *buf, void *storage, size_t size, void (*release)(struct kl_pbuf *buf), void *owner);
/* A window into buf's storage, [data + offset, + bytes) of this one buffer; holds a reference on it. NULL: out of memory. */
struct kl_pbuf *kl_pbuf_slice(struct kl_pbuf *buf, size_t offset, size_t bytes) KL_MUST_CHECK;
/* A window into any storage. release() must end with kl_pbuf_window_free(). NULL: out of memory. */
struct kl_pbuf *kl_pbuf_window(
	void *data, size_t bytes, void (*release)(struct kl_pbuf *buf), void *owner) KL_MUST_CHECK;
void kl_pbuf_window_free(struct kl_pbuf *buf);

/* One more reference to this one buffer, not to those that it is chained to. */
static inline void kl_pbuf_get(struct kl_pbuf *buf)
{
	buf->refs++;
}
/* Drops one reference of each buffer of the chain. NULL: no effect. */
void kl_pbuf_put(struct kl_pbuf *packet);

/* Makes room before the data: n <= headroom. Only on a buffer with one reference. Returns the new start. */
static inline uint8_t *kl_pbuf_push(struct kl_pbuf *buf, size_t n)
{
	buf->data -= n;
	buf->bytes += (uint32_t)n;
	buf->total += (uint32_t)n;
	return buf->data;
}
/* Removes n <= bytes from the front of the first buffer. */
static inline void kl_pbuf_pull(struct kl_pbuf *buf, size_t n)
{
	buf->data += n;
	buf->bytes -= (uint32_t)n;
	buf->total -= (uint32_t)n;
}
/* Appends n bytes of room behind the data of a packet of one buffer: n <= tailroom. Returns where they begin. */
static inline uint8_t *kl_pbuf_append(struct kl_pbuf *buf, size_t n)
{
	uint8_t *at = buf->data + buf->bytes;

	buf->bytes += (uint32_t)n;
	buf->total += (uint32_t)n;
	return at;
}
static inline size_t kl_pbuf_headroom(const struct kl_pbuf *buf)
{
	return (size_t)(buf->data - buf->start);
}
static inline size_t kl_pbuf_tailroom(const struct kl_pbuf *buf)
{
	return (size_t)(buf->end - buf->data) - buf->bytes;
}
/* With KL_CSUM_PARTIAL: offset from data. */
static inline unsigned kl_pbuf_csum_start(const struct kl_pbuf *buf)
{
	return buf->csum_start - (unsigned)(buf->data - buf->start);
}

/* Adds a chain at the end of packet; takes over the reference. */
void kl_pbuf_chain(struct kl_pbuf *packet, struct kl_pbuf *rest);
/* Makes the first n bytes contiguous in the first buffer. The packet to go on with, or NULL (packet freed): too short, no memory. */
struct kl_pbuf *kl_pbuf_pullup(struct kl_pbuf *packet, size_t n) KL_MUST_CHECK;
/* Removes n <= total bytes from the front; empty buffers go, but one stays. The packet to go on with. */
struct kl_pbuf *kl_pbuf_drop(struct kl_pbuf *packet, size_t n) KL_MUST_CHECK;
/* Cuts the end off: n <= total bytes stay. */
void kl_pbuf_trim(struct kl_pbuf *packet, size_t n);
/* Copies out n bytes from offset on; the packet has them. */
void kl_pbuf_copy_out(const struct kl_pbuf *packet, size_t offset, void *dst, size_t n);
/* A copy of the whole packet in one buffer with headroom; offload fields too. NULL: out of memory. */
struct kl_pbuf *kl_pbuf_copy(const struct kl_pbuf *packet, size_t headroom) KL_MUST_CHECK;
/* Internet checksum (RFC 1071) of n bytes from offset on, not complemented, folded to 16 bits, added to sum. */
uint32_t kl_pbuf_sum(const struct kl_pbuf *packet, size_t offset, size_t n, uint32_t sum);

/* --- queues of packets --- */

struct kl_pbuf_queue {
	struct kl_pbuf *first, **last; /* last: where the next one is linked; NULL while first is NULL */
	uint32_t packets, bytes;
};

void kl_pbuf_enqueue(struct kl_pbuf_queue *queue, struct kl_pbuf *packet); /* takes over the reference */
struct kl_pbuf *kl_pbuf_dequeue(struct kl_pbuf_queue *queue);              /* with its reference; NULL: empty */
void kl_pbuf_queue_free(struct kl_pbuf_queue *queue);

#endif
