/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent, and when: data new and old, acknowledgements, windows (RFC 9293 section 3.8, RFC 896, RFC 1122 section 4.2.3). */
#include "tcp_priv.h"

#include <linux/errno.h>

/* So much data makes no silly segment, however large the peer's MSS is (64 KiB behind passt) and its window once was. */
#define WORTH_SENDING 4096u
#define COPY_MAX 280u  /* payload that is copied behind its headers: cheaper than a second buffer for the device */
#define GSO_MAX 65535u /* an IPv4 packet */

static uint8_t *put_options(struct tcp *t, uint8_t *p, bool sack)
{
	if (t->ts_ok) {
		kl_put_be32(p, 0x0101080a);
		kl_put_be32(p + 4, tcp_ts_now(t->ts_offset));
		kl_put_be32(p + 8, t->ts_recent);
		p += 12;
	}
	if (sack && t->sack_ok && (t->ooo != NULL || t->dsack.start != t->dsack.end)) {
		struct tcp_range ranges[4];
		unsigned n = tcp_sack_blocks(t, ranges, t->ts_ok ? 3 : 4);

		if (n > 0) {
			kl_put_be32(p, 0x01010500u | (2 + 8 * n));
			p += 4;
		}
		for (unsigned i = 0; i < n; i++, p += 8) {
			kl_put_be32(p, ranges[i].start);
			kl_put_be32(p + 4, ranges[i].end);
		}
	}
	return p;
}

uint32_t tcp_receive_window(struct tcp *t)
{
	uint32_t used = KL_MAX(t->rcv_queue.bytes, (t->rcv_truesize + t->ooo_truesize) / 4);
	uint32_t room = used < t->sock.rcvbuf ? t->sock.rcvbuf - used : 0;
	uint32_t old = seq_lt(t->rcv_nxt, t->rcv_adv) ? t->rcv_adv - t->rcv_nxt : 0;
	uint32_t unit = 1u << t->rcv_wscale;

	if (tcp_memory_tight())
		room = KL_MIN(room, used == 0 ? 4 * (uint32_t)t->rcv_mss : 0);
	/* No shrinking, and no step too small to be worth a segment (RFC 9293, section 3.8.6.2.2). */
	if (room < old + KL_MIN(t->sock.rcvbuf / 2, (uint32_t)t->rcv_mss))
		room = old;
	room = KL_MIN(KL_ALIGN_UP(room, unit), 65535u << t->rcv_wscale);
	t->rcv_adv = seq_max(t->rcv_adv, t->rcv_nxt + room);
	return room;
}

void tcp_window_opened(struct tcp *t)
{
	uint32_t used = KL_MAX(t->rcv_queue.bytes, (t->rcv_truesize + t->ooo_truesize) / 4);
	uint32_t room = used < t->sock.rcvbuf ? t->sock.rcvbuf - used : 0;
	uint32_t old = seq_lt(t->rcv_nxt, t->rcv_adv) ? t->rcv_adv - t->rcv_nxt : 0;

	if (!TCP_IN(t->state, TCP_CAN_RECEIVE) || (tcp_memory_tight() && old > 0))
		return;
	/* Acknowledgements carry the window anyway: only a peer that may be near its edge needs one for that. */
	if (room >= 2 * old + KL_MIN(t->sock.rcvbuf / 2, 4u * t->rcv_mss)) {
		t->ack_now = true;
		tcp_pend(t);
	}
}

static void release_block(struct kl_pbuf *buf)
{
	struct tcp_block *block = buf->owner;

	kl_pbuf_window_free(buf);
	tcp_block_put(block);
}

/* Adds [offset, + n) from block on to the packet: a copy when it is little, windows otherwise. */
static int add_data(struct kl_pbuf *packet, struct tcp_block *block, uint32_t offset, uint32_t n)
{
	bool copy = n <= COPY_MAX && n <= kl_pbuf_tailroom(packet);
	struct kl_pbuf *last = packet;

	while (n > 0) {
		uint32_t part = KL_MIN(n, block->used - offset);

		if (copy) {
			memcpy(kl_pbuf_append(packet, part), block->data + offset, part);
		} else if (part > 0) {
			struct kl_pbuf *window = kl_pbuf_window(block->data + offset, part, release_block, block);

			if (window == NULL)
				return -ENOBUFS;
			block->refs++;
			last->next = window;
			last = window;
			packet->total += part;
		}
		n -= part;
		offset = 0;
		block = block->next;
	}
	return 0;
}

/* Sends one segment, or with n > mss several in one packet. */
static int transmit(struct tcp *t, uint32_t seq, uint32_t n, uint8_t flags, struct tcp_block *block, uint32_t offset)
{
	struct kl_ipv4_send send = {t->node.local_be, t->node.remote_be, KL_IPPROTO_TCP, t->ip.ttl, t->ip.tos, true};
	struct kl_pbuf *packet;
	struct tcp_header *header;
	struct kl_route route;
	unsigned header_bytes;
	int err = kl_route_find(t->node.remote_be, NULL, &route);

	if (err != 0)
		return err;
	packet = kl_pbuf_alloc(KL_PBUF_HEADROOM, TCP_HEADER_BYTES + TCP_OPTIONS_MAX + COPY_MAX / 2);
	if (packet == NULL)
		return -ENOBUFS;
	header = (struct tcp_header *)kl_pbuf_append(packet, sizeof(*header));
	header_bytes = (unsigned)(put_options(t, (uint8_t *)(header + 1), n == 0) - (uint8_t *)header);
	kl_pbuf_append(packet, header_bytes - sizeof(*header));
	*header = (struct tcp_header){
		.src_be = kl_htons(t->node.local_port),
		.dst_be = kl_htons(t->node.remote_port),
		.seq_be = kl_htonl(seq),
		.ack_be = kl_htonl(t->rcv_nxt),
		.offset = (uint8_t)(header_bytes / 4 << 4),
		.flags = flags | TCP_ACK,
		.window_be = kl_htons((uint16_t)(tcp_receive_window(t) >> t->rcv_wscale)),
	};
	if (n > 0 && add_data(packet, block, offset, n) != 0) {
		kl_pbuf_put(packet);
		return -ENOBUFS;
	}
	packet->csum = KL_CSUM_PARTIAL;
	packet->csum_start = (uint16_t)(packet->data - packet->start);
	packet->csum_offset = offsetof(struct tcp_header, checksum);
	if (n > t->mss) {
		packet->gso = KL_GSO_TCP4;
		packet->gso_bytes = (uint16_t)t->mss;
		packet->header_bytes = (uint16_t)header_bytes;
	}
	header->checksum =
		(uint16_t)kl_net_pseudo_sum(send.src_be, send.dst_be, KL_IPPROTO_TCP, (uint16_t)packet->total);
	t->segs_out++;
	t->ack_sent = t->rcv_nxt;
	t->ack_now = t->ack_pending = false;
	t->delack_at_ns = 0;
	return kl_ipv4_output(packet, &send, &route);
}

void tcp_send_ack(struct tcp *t)
{
	t->ack_now = false;
	if (transmit(t, t->snd_nxt, 0, 0, NULL, 0) == 0)
		return;
	/* No memory: the timer tries again. */
	t->ack_pending = true;
	t->delack_at_ns = tcp_now() + TCP_DELACK_NS;
	tcp_timer_update(t);
}

void tcp_send_probe(struct tcp *t)
{
	(void)transmit(t, t->snd_una - 1, 0, 0, NULL, 0);
}

void tcp_send_reset(struct tcp *t)
{
	(void)transmit(t, t->snd_nxt, 0, TCP_RST, NULL, 0);
}

void tcp_send_syn(struct tcp *t)
{
	struct tcp_control control = {
		.node = &t->node,
		.seq = t->iss,
		.flags = TCP_SYN,
		.window = KL_MIN(t->sock.rcvbuf, TCP_WINDOW_START),
		.tos = t->ip.tos,
		.ttl = t->ip.ttl,
		.mss = tcp_mss_for(t->node.remote_be),
		.sack_ok = true,
		.has_wscale = true,
		.wscale = t->rcv_wscale,
		.has_ts = true,
		.ts_value = tcp_ts_now(t->ts_offset),
	};
	int err;

	if (t->mss_user != 0)
		control.mss = KL_MIN(control.mss, t->mss_user);
	if (t->state == TCP_S_SYN_RECV) { /* simultaneous open */
		control.flags |= TCP_ACK;
		control.ack = t->rcv_nxt;
		control.sack_ok = t->sack_ok;
		control.has_wscale = t->wscale_ok;
		control.has_ts = t->ts_ok;
		control.ts_echo = t->ts_recent;
	}
	err = tcp_send_control(&control);
	if (err != 0 && err != -ENOBUFS)
		t->soft_error = -err;
	t->rcv_adv = t->rcv_nxt + control.window;
}

/* --- data --- */

static uint8_t data_flags(const struct tcp *t, uint32_t end, bool fin)
{
	return (fin ? TCP_FIN : 0) | (end == t->snd_end || fin ? TCP_PSH : 0);
}

/* The most that one packet may carry: a multiple of the segment size. */
static uint32_t packet_max(const struct tcp *t)
{
	return KL_MAX((GSO_MAX - 200) / t->mss, 1u) * t->mss;
}

/* The interface takes no more: the connection waits among those that are pending, until the interface says that it does. */
static bool blocked(struct tcp *t)
{
	struct kl_route route;

	if (kl_route_find(t->node.remote_be, NULL, &route) != 0 || !kl_netif_busy(route.nif))
		return false;
	if (!kl_list_linked(&t->pending_link))
		kl_list_push_back(&tcp_root.pending, &t->pending_link);
	return true;
}

bool tcp_resend(struct tcp *t, struct tcp_seg *seg)
{
	uint32_t limit = packet_max(t);
	uint32_t window = t->cwnd > t->flying ? t->cwnd - t->flying : 0, n;

	limit = KL_MIN(limit, KL_MAX(window / t->mss * t->mss, t->mss));
	if (seg->end - seg->seq > limit + (seg->fin ? 1 : 0) && !tcp_seg_split(t, seg, seg->seq + limit))
		return false;
	n = seg->end - seg->seq - (seg->fin ? 1 : 0);
	if (transmit(t, seg->seq, n, data_flags(t, seg->end, seg->fin), seg->block, seg->offset) == -ENOBUFS)
		return false;
	if (seg->state == TCP_SEG_LOST) {
		t->lost_segs--;
		t->flying += seg->end - seg->seq;
		seg->state = TCP_SEG_FLYING;
	}
	seg->sent_us = tcp_us();
	seg->resent = true;
	t->prr_out += n;
	t->total_retrans++;
	return true;
}

static bool resend_lost(struct tcp *t)
{
	KL_LIST_FOR(link, &t->segs)
	{
		struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

		if (t->lost_segs == 0)
			break;
		if (seg->state != TCP_SEG_LOST)
			continue;
		if (t->flying > 0 && t->flying + KL_MIN(seg->end - seg->seq, t->mss) > t->cwnd)
			return true;
		if (blocked(t) || !tcp_resend(t, seg)) {
			t->no_memory = true;
			return true;
		}
	}
	return false;
}

/* New data, n bytes of it and perhaps the FIN. */
static bool send_new(struct tcp *t, uint32_t n, bool fin)
{
	struct tcp_seg *seg = tcp_seg_alloc();
	int err;

	if (seg == NULL)
		return false;
	*seg = (struct tcp_seg){
		.seq = t->snd_nxt,
		.end = t->snd_nxt + n + (fin ? 1 : 0),
		.state = TCP_SEG_FLYING,
		.fin = fin,
		.block = t->snd_next,
		.offset = t->snd_next_offset,
	};
	err = transmit(t, seg->seq, n, data_flags(t, seg->seq + n, fin), seg->block, seg->offset);
	if (err == -ENOBUFS) {
		tcp_seg_free(seg);
		return false;
	}
	/* Other errors count as a loss on the way. */
	if (err != 0)
		t->soft_error = -err;
	seg->sent_us = tcp_us();
	if (kl_list_empty(&t->segs))
		t->rto_base_ns = tcp_now();
	kl_list_push_back(&t->segs, &seg->link);
	t->flying += seg->end - seg->seq;
	t->prr_out += n;
	if (n < t->mss)
		t->snd_small = seg->end;
	t->snd_nxt = seg->end;
	t->fin_sent |= fin;
	t->snd_next_offset += n;
	while (t->snd_next != NULL && t->snd_next_offset >= t->snd_next->used) {
		t->snd_next_offset -= t->snd_next->used;
		t->snd_next = t->snd_next->next;
	}
	return true;
}

/* Whether a segment that is not full may go (Nagle as Minshall put it, TCP_CORK, MSG_MORE). */
static bool small_allowed(const struct tcp *t)
{
	if (t->fin_queued || t->uncork)
		return true;
	if (t->cork || t->more)
		return false;
	return t->no_delay || !seq_lt(t->snd_una, t->snd_small) || t->snd_nxt == t->snd_una;
}

/* How many bytes of new data to send now; 0: none. */
static uint32_t sendable(struct tcp *t)
{
	uint32_t unsent = t->snd_end - t->snd_nxt, edge = t->snd_una + t->snd_wnd, n;
	uint32_t window = seq_lt(t->snd_nxt, edge) ? edge - t->snd_nxt : 0;
	uint32_t free = t->cwnd > t->flying ? t->cwnd - t->flying : 0;

	if ((int32_t)unsent <= 0)
		return 0;
	if (free < KL_MIN(unsent, t->mss)) {
		t->cwnd_limited = true;
		if (t->flying > 0)
			return 0;
		free = t->mss;
	}
	n = KL_MIN(unsent, KL_MIN(window, free));
	n = KL_MIN(n, packet_max(t));
	if (n >= t->mss) {
		if (n < unsent || !small_allowed(t))
			n = n / t->mss * t->mss;
		return n;
	}
	if (n == unsent)
		return small_allowed(t) ? n : 0;
	/* The peer's window is small: only what is worth it (RFC 9293, section 3.8.6.2.1). */
	return n >= KL_MIN(t->snd_wnd_max / 2, WORTH_SENDING) && n > 0 ? n : 0;
}

bool tcp_send_overdue(struct tcp *t)
{
	uint32_t unsent = t->snd_end - t->snd_nxt, edge = t->snd_una + t->snd_wnd;
	uint32_t window = seq_lt(t->snd_nxt, edge) ? edge - t->snd_nxt : 0;
	uint32_t n = KL_MIN(KL_MIN(unsent, window), (uint32_t)t->mss);

	return (int32_t)unsent > 0 && n > 0 && !blocked(t) && send_new(t, n, false);
}

static void output_data(struct tcp *t)
{
	if (t->lost_segs > 0 && resend_lost(t))
		return;
	for (;;) {
		uint32_t n = sendable(t);
		bool fin = t->fin_queued && !t->fin_sent && t->snd_nxt + n == t->snd_end;

		if (n == 0 && !fin)
			break;
		if (blocked(t) || !send_new(t, n, fin)) {
			t->no_memory = true;
			return;
		}
	}
	if (t->snd_nxt == t->snd_end)
		t->uncork = false;
	if (t->cwnd < t->ssthresh && t->flying * 2 > t->cwnd)
		t->cwnd_limited = true;
}

void tcp_output(struct tcp *t)
{
	if (TCP_IN(t->state, TCP_M(CLOSED) | TCP_M(LISTEN) | TCP_M(SYN_SENT) | TCP_M(SYN_RECV) | TCP_M(TIME_WAIT)))
		return;
	t->no_memory = false;
	t->cwnd_limited = false;
	if (kl_list_empty(&t->segs) && t->snd_end != t->snd_nxt &&
		tcp_now() - t->last_received_ns > t->rto_us * KL_NS_PER_US)
		tcp_cc_idle(t);
	if (t->snd_nxt != tcp_send_limit(t) || t->lost_segs > 0)
		output_data(t);
	if (t->ack_now)
		tcp_send_ack(t);
	tcp_timer_loss(t);
}
