/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reassembly (RFC 791, RFC 815's job by a sorted list). Bounded in packets, fragments and bytes. Overlapping fragments end the
 * packet: no honest sender makes them (RFC 5722 says so for IPv6; the attacks are the same).
 */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/string.h>

#include "ipv4_priv.h"

#define PACKETS_MAX 32u
#define FRAGMENTS_MAX 64u
#define BYTES_MAX ((size_t)512 << 10) /* memory that the fragments hold */
#define TIMEOUT_NS (30 * KL_NS_PER_S)

struct datagram {
	struct kl_list link;
	uint32_t src_be, dst_be;
	uint16_t id_be;
	uint8_t protocol;
	uint64_t until_ns;
	unsigned count;
	uint32_t have, total; /* payload bytes; total 0: the last fragment is not here */
	size_t truesize;
	/* Sorted by offset, linked by queue; l4 holds the offset in units of 8 bytes. The first keeps its IP header. */
	struct kl_pbuf *fragments;
};

static struct {
	struct kl_list datagrams;
	unsigned count;
	size_t bytes;
	struct kl_net_timer timer;
} root;

static void datagram_free(struct datagram *d)
{
	while (d->fragments != NULL) {
		struct kl_pbuf *next = d->fragments->queue;

		kl_pbuf_put(d->fragments);
		d->fragments = next;
	}
	kl_list_remove(&d->link);
	root.count--;
	root.bytes -= d->truesize;
	kl_free(d);
}

static void timer_run(struct kl_net_timer *timer)
{
	uint64_t now = kl_clock_ns();

	KL_LIST_FOR_SAFE(link, &root.datagrams)
	{
		struct datagram *d = KL_LIST_ENTRY(link, struct datagram, link);

		if (d->until_ns <= now)
			datagram_free(d);
	}
	if (!kl_list_empty(&root.datagrams))
		kl_net_timer_set(timer, KL_LIST_FIRST(&root.datagrams, struct datagram, link)->until_ns);
}

static struct datagram *find(const struct kl_ipv4_header *header)
{
	struct datagram *d;

	if (root.datagrams.next == NULL) {
		kl_list_init(&root.datagrams);
		root.timer.fn = timer_run;
	}
	KL_LIST_FOR(link, &root.datagrams)
	{
		d = KL_LIST_ENTRY(link, struct datagram, link);
		if (d->id_be == header->id_be && d->src_be == header->src_be && d->dst_be == header->dst_be &&
			d->protocol == header->protocol)
			return d;
	}
	/* The oldest goes first. */
	while (root.count >= PACKETS_MAX || (root.bytes > BYTES_MAX && root.count > 0))
		datagram_free(KL_LIST_FIRST(&root.datagrams, struct datagram, link));
	d = kl_zalloc(sizeof(*d));
	if (d == NULL)
		return NULL;
	d->src_be = header->src_be;
	d->dst_be = header->dst_be;
	d->id_be = header->id_be;
	d->protocol = header->protocol;
	d->until_ns = kl_clock_ns() + TIMEOUT_NS;
	kl_list_push_back(&root.datagrams, &d->link);
	root.count++;
	if (!kl_net_timer_is_set(&root.timer))
		kl_net_timer_set(&root.timer, d->until_ns);
	return d;
}

static size_t truesize(const struct kl_pbuf *packet)
{
	size_t sum = 0;

	for (; packet != NULL; packet = packet->next)
		sum += packet->truesize;
	return sum;
}

static unsigned header_bytes(const struct kl_pbuf *packet)
{
	return (packet->data[0] & 15u) * 4;
}

static uint32_t offset_of(const struct kl_pbuf *fragment)
{
	return fragment->l4 * 8u;
}

static uint32_t payload_of(const struct kl_pbuf *fragment)
{
	return fragment->total - header_bytes(fragment);
}

/* false: it overlaps. */
static bool insert(struct datagram *d, struct kl_pbuf *fragment)
{
	struct kl_pbuf **at = &d->fragments, *before = NULL;
	uint32_t start = offset_of(fragment), end = start + payload_of(fragment);

	while (*at != NULL && offset_of(*at) < start) {
		before = *at;
		at = &before->queue;
	}
	if (before != NULL && offset_of(before) + payload_of(before) > start)
		return false;
	if (*at != NULL && offset_of(*at) < end)
		return false;
	fragment->queue = *at;
	*at = fragment;
	return true;
}

static struct kl_pbuf *join(struct datagram *d)
{
	struct kl_pbuf *packet = d->fragments, *rest = packet->queue;
	struct kl_ipv4_header *header = (struct kl_ipv4_header *)packet->data;
	struct kl_pbuf *last = packet;

	d->fragments = NULL;
	packet->queue = NULL;
	header->total_be = kl_htons((uint16_t)(header_bytes(packet) + d->total));
	header->fragment_be = 0;
	packet->csum = KL_CSUM_NONE;
	while (last->next != NULL)
		last = last->next;
	while (rest != NULL) {
		struct kl_pbuf *next = rest->queue;

		rest->queue = NULL;
		rest = kl_pbuf_drop(rest, header_bytes(rest));
		packet->total += rest->total;
		last->next = rest;
		while (last->next != NULL)
			last = last->next;
		rest = next;
	}
	datagram_free(d);
	return kl_pbuf_pullup(packet, KL_MIN(packet->total, header_bytes(packet) + 60u));
}

struct kl_pbuf *ipv4_reassemble(struct kl_pbuf *packet)
{
	const struct kl_ipv4_header *header = (const struct kl_ipv4_header *)packet->data;
	uint16_t field = kl_ntohs(header->fragment_be);
	uint32_t offset = (field & KL_IPV4_OFFSET) * 8u, n = packet->total - header_bytes(packet);
	bool more = (field & KL_IPV4_MF) != 0;
	struct datagram *d;

	if (n == 0 || (more && n % 8 != 0) || offset + n + header_bytes(packet) > 65535)
		goto drop;
	d = find(header);
	if (d == NULL)
		goto drop;
	/* A duplicate of a fragment that is here already is no attack. */
	for (struct kl_pbuf *f = d->fragments; f != NULL; f = f->queue) {
		if (offset_of(f) == offset && payload_of(f) == n)
			goto drop;
	}
	packet->l4 = (uint16_t)(offset / 8);
	if (d->count >= FRAGMENTS_MAX || (d->total != 0 && (offset + n > d->total || !more)) || !insert(d, packet)) {
		datagram_free(d);
		goto drop;
	}
	if (!more && packet->queue != NULL) { /* something lies beyond the end */
		datagram_free(d);
		return NULL;
	}
	d->count++;
	d->have += n;
	d->truesize += truesize(packet);
	root.bytes += truesize(packet);
	if (!more)
		d->total = offset + n;
	if (d->total != 0 && d->have > d->total) {
		datagram_free(d);
		return NULL;
	}
	if (d->total != 0 && d->have == d->total)
		return join(d);
	if (root.bytes > BYTES_MAX + (64u << 10))
		datagram_free(KL_LIST_FIRST(&root.datagrams, struct datagram, link));
	return NULL;
drop:
	kl_pbuf_put(packet);
	return NULL;
}
