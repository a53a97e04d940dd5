/* SPDX-License-Identifier: Apache-2.0 */
/* Segments that come in, and ICMP errors (RFC 9293 section 3.10.7, RFC 5961, RFC 7323, RFC 5927). */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

#define CHALLENGES_PER_S 1000u
#define PAWS_NS (24ull * 86400 * KL_NS_PER_S)

/* RFC 5961, section 7: bounded for the host as a whole, by a limit that an attacker can't count (a random part each second). */
bool tcp_challenge_allowed(void)
{
	uint64_t now = tcp_now();

	if (now - tcp_root.challenge_ns > KL_NS_PER_S) {
		tcp_root.challenge_ns = now;
		tcp_root.challenge_left =
			CHALLENGES_PER_S / 2 + (unsigned)(kl_inet_hash(&now, sizeof(now)) % CHALLENGES_PER_S);
	}
	if (tcp_root.challenge_left == 0)
		return false;
	tcp_root.challenge_left--;
	return true;
}

static void challenge(struct tcp *t)
{
	if (tcp_challenge_allowed())
		tcp_send_ack(t);
}

/* Window scaling, timestamps and so on are known: what follows from them. */
void tcp_established(struct tcp *t, const struct tcp_segment *seg)
{
	struct kl_route route;
	uint32_t mtu = 576;

	if (kl_route_find(t->node.remote_be, NULL, &route) == 0)
		mtu = kl_route_pmtu(t->node.remote_be, route.mtu);
	tcp_update_mss(t, mtu);
	tcp_cc_init(t);
	t->snd_wnd = t->snd_wnd_max = seg->window << (seg->flags & TCP_SYN ? 0 : t->snd_wscale);
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	t->snd_small = t->fack = t->snd_una;
	t->rcv_mss = (uint16_t)KL_MIN(KL_MAX(t->mss, TCP_MSS_DEFAULT), 65535u);
	t->tune_us = tcp_us();
	t->retries = 0;
	t->loss_timer = TCP_T_NONE;
	t->loss_at_ns = 0;
	tcp_timer_keep(t);
}

/* Our FIN has been acknowledged. true: the connection's structure has nothing more to do. */
static bool fin_acked(struct tcp *t)
{
	switch (t->state) {
	case TCP_S_FIN_WAIT1:
		tcp_set_state(t, TCP_S_FIN_WAIT2);
		tcp_wake(t, EPOLLOUT);
		tcp_timer_keep(t);
		return false;
	case TCP_S_CLOSING: tcp_timewait_enter(t); return true;
	case TCP_S_LAST_ACK: tcp_destroy(t, 0); return true;
	default: return false;
	}
}

static void reset_in(struct tcp *t, const struct tcp_segment *seg)
{
	if (seg->seq != t->rcv_nxt) {
		challenge(t);
		return;
	}
	tcp_destroy(t, t->state == TCP_S_CLOSE_WAIT ? EPIPE : ECONNRESET);
}

/* Whether the segment lies in the window; answers it if not. */
static bool in_window(struct tcp *t, const struct tcp_segment *seg)
{
	if (KL_LIKELY(seq_le(t->rcv_nxt, seg->end) && seq_le(seg->seq, seq_max(t->rcv_adv, t->rcv_nxt))))
		return true;
	if (seg->flags & TCP_RST)
		return false;
	if (seg->bytes > 0 && seq_lt(seg->seq, t->rcv_nxt) && t->sack_ok)
		t->dsack = (struct tcp_range){seg->seq, seg->seq + seg->bytes};
	if (seg->flags & TCP_SYN)
		challenge(t);
	else
		tcp_send_ack(t);
	return false;
}

/* Old duplicates by their timestamps (RFC 7323, section 5.3). */
static bool paws_ok(struct tcp *t, const struct tcp_segment *seg)
{
	if (!t->ts_ok || !seg->has_ts)
		return true;
	if (seq_lt(seg->ts_value, t->ts_recent) && !(seg->flags & TCP_RST) &&
		t->last_received_ns - t->ts_recent_ns < PAWS_NS) {
		tcp_send_ack(t);
		return false;
	}
	return true;
}

/* The acknowledgement number, before anything is believed. */
static bool ack_ok(struct tcp *t, const struct tcp_segment *seg)
{
	if (seq_lt(t->snd_nxt, seg->ack) || seq_lt(seg->ack, t->snd_una - KL_MAX(t->snd_wnd_max, 65535u))) {
		challenge(t);
		return false;
	}
	return true;
}

void tcp_receive_segment(struct tcp *t, struct tcp_segment *seg)
{
	t->segs_in++;
	t->last_received_ns = tcp_now();
	if (!paws_ok(t, seg) || !in_window(t, seg))
		return;
	if (KL_UNLIKELY(seg->flags & TCP_RST)) {
		reset_in(t, seg);
		return;
	}
	if (KL_UNLIKELY(seg->flags & TCP_SYN)) {
		challenge(t);
		return;
	}
	if (!(seg->flags & TCP_ACK) || !ack_ok(t, seg))
		return;
	if (t->ts_ok && seg->has_ts && seq_le(seg->seq, t->ack_sent) && seq_le(t->ts_recent, seg->ts_value)) {
		t->ts_recent = seg->ts_value;
		t->ts_recent_ns = t->last_received_ns;
	}
	if (t->state == TCP_S_SYN_RECV) {
		if (seg->ack != t->snd_nxt)
			return;
		t->snd_una = seg->ack;
		tcp_set_state(t, TCP_S_ESTABLISHED);
		tcp_established(t, seg);
		tcp_wake(t, EPOLLOUT | EPOLLWRNORM);
		tcp_pend(t);
	}
	t->keep_sent = 0;
	tcp_ack_in(t, seg);
	if (t->fin_sent && t->snd_una == t->snd_nxt && t->snd_nxt == tcp_send_limit(t) && fin_acked(t))
		return;
	if (seg->bytes == 0 && !(seg->flags & TCP_FIN))
		return;
	if (!TCP_IN(t->state, TCP_CAN_RECEIVE)) {
		/* Again what was received already, FIN included. */
		t->ack_now = true;
		tcp_pend(t);
		return;
	}
	if (t->orphan && seg->bytes > 0 && seq_lt(t->rcv_nxt, seg->seq + seg->bytes)) {
		/* Nobody will read it (RFC 1122, section 4.2.2.13). */
		tcp_send_reset(t);
		tcp_destroy(t, ECONNRESET);
		return;
	}
	tcp_data_in(t, seg);
	if (t->fin_received && t->state == TCP_S_FIN_WAIT2)
		tcp_timewait_enter(t);
}

static void to_listener(struct tcp_segment *seg, struct tcp_node *node)
{
	struct tcp *listener = tcp_listener_find(node->local_be, node->local_port, node->remote_be, node->remote_port);

	if (seg->flags & TCP_RST)
		return;
	if (listener == NULL) {
		tcp_reset_reply(seg, node->local_port, node->remote_port);
		return;
	}
	if (seg->flags & TCP_ACK)
		tcp_cookie_ack(listener, seg, node);
	else if (seg->flags & TCP_SYN)
		tcp_syn_in(listener, seg, node);
}

static void dispatch(struct tcp_segment *seg, uint16_t local_port, uint16_t remote_port)
{
	const struct kl_ipv4_info *info = seg->info;
	struct tcp_node *node = tcp_node_find(info->dst_be, local_port, info->src_be, remote_port);
	struct tcp_node fresh = {.local_be = info->dst_be,
		.remote_be = info->src_be,
		.local_port = local_port,
		.remote_port = remote_port};
	struct tcp *t;

	if (node == NULL) {
		to_listener(seg, &fresh);
		return;
	}
	switch (node->kind) {
	case TCP_TIMEWAIT:
		if (tcp_timewait_in(KL_CONTAINER(node, struct tcp_timewait, node), seg))
			to_listener(seg, &fresh);
		break;
	case TCP_REQUEST: tcp_request_in(KL_CONTAINER(node, struct tcp_request, node), seg); break;
	default:
		t = KL_CONTAINER(node, struct tcp, node);
		if (t->state == TCP_S_SYN_SENT)
			tcp_input_syn_sent(t, seg);
		else
			tcp_receive_segment(t, seg);
	}
}

void tcp_input(struct kl_pbuf *packet, const struct kl_ipv4_info *info)
{
	const struct tcp_header *header = (const struct tcp_header *)packet->data;
	uint16_t local_port, remote_port;
	struct tcp_segment seg;

	if (info->group || packet->bytes < sizeof(*header)) {
		kl_pbuf_put(packet);
		return;
	}
	tcp_enter();
	local_port = kl_ntohs(header->dst_be);
	remote_port = kl_ntohs(header->src_be);
	if (!tcp_segment_parse(&seg, packet, info)) {
		info->nif->rx_dropped++;
		kl_pbuf_put(packet);
		return;
	}
	dispatch(&seg, local_port, remote_port);
	kl_pbuf_put(seg.packet);
}

/* --- ICMP errors --- */

/* Believed only if they quote a sequence number in flight (RFC 5927, section 4). */
void tcp_error(const struct kl_ipv4_error *error)
{
	uint16_t local_port = kl_get_be16(error->transport), remote_port = kl_get_be16(error->transport + 2);
	uint32_t seq = kl_get_be32(error->transport + 4);
	struct tcp_node *node = tcp_node_find(error->src_be, local_port, error->dst_be, remote_port);
	struct tcp *t;

	if (node == NULL || node->kind != TCP_CONNECTION)
		return;
	tcp_enter();
	t = KL_CONTAINER(node, struct tcp, node);
	if (seq_lt(seq, t->snd_una) || seq_lt(t->snd_nxt, seq))
		return;
	if (error->error == EMSGSIZE) {
		uint32_t mtu = KL_MAX(error->mtu, 552u);

		if (mtu >= t->mss + KL_IPV4_HEADER_BYTES + TCP_HEADER_BYTES + (t->ts_ok ? 12u : 0u))
			return;
		kl_route_pmtu_learn(error->dst_be, mtu);
		tcp_update_mss(t, mtu);
		/* All that was too large is lost; it is cut when it is sent again. */
		KL_LIST_FOR(link, &t->segs)
		{
			struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

			if (seg->state == TCP_SEG_FLYING && seg->end - seg->seq > t->mss)
				tcp_seg_lost(t, seg);
		}
		tcp_pend(t);
		return;
	}
	if (t->state == TCP_S_SYN_SENT)
		tcp_destroy(t, error->error); /* as Linux: no use waiting */
	else
		t->soft_error = error->error;
}
