/* SPDX-License-Identifier: Apache-2.0 */
/* Active opens: SYN-SENT (RFC 9293 section 3.10.7.3), simultaneous opens included. */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

/* Enough for the largest window that the buffer may grow to. */
uint8_t tcp_window_scale(const struct tcp *t)
{
	uint32_t max =
		t->rcvbuf_locked ? t->sock.rcvbuf : (uint32_t)KL_MIN((size_t)TCP_RCVBUF_MAX, tcp_root.memory_max / 4);
	uint8_t scale = 0;

	while (scale < TCP_WSCALE_MAX && max > 65535u << scale)
		scale++;
	return scale;
}

int tcp_connect(struct tcp *t, uint32_t remote_be, uint16_t remote_port)
{
	struct kl_route route;
	struct tcp_node *node;
	int err = kl_route_find(remote_be, NULL, &route);

	if (err != 0 && kl_net_wait_configured() == 0)
		err = kl_route_find(remote_be, NULL, &route);
	if (err != 0)
		return err;
	if (t->state != TCP_S_CLOSED)
		return -EALREADY; /* another thread was faster */
	tcp_enter();
	t->node.remote_be = remote_be;
	t->node.remote_port = remote_port;
	t->node.local_be = t->bound_be != 0 ? t->bound_be : route.source_be;
	if (!t->bound) {
		err = tcp_bind_ephemeral(t);
		if (err != 0)
			return err;
	}
	node = tcp_node_find(t->node.local_be, t->node.local_port, remote_be, remote_port);
	if (node != NULL) {
		if (node->kind != TCP_TIMEWAIT)
			return -EADDRNOTAVAIL;
		tcp_timewait_free(KL_CONTAINER(node, struct tcp_timewait, node));
	}
	tcp_node_insert(&t->node);
	t->iss = tcp_isn(&t->node);
	t->ts_offset = tcp_ts_offset(&t->node);
	t->snd_una = t->iss;
	t->snd_nxt = t->snd_end = t->iss + 1;
	t->rcv_nxt = t->rcv_adv = 0;
	t->rcv_wscale = tcp_window_scale(t);
	t->retries = 0;
	t->last_received_ns = t->rto_base_ns = tcp_now();
	t->rto_us = TCP_RTO_START_US;
	tcp_set_state(t, TCP_S_SYN_SENT);
	t->loss_timer = TCP_T_RTO;
	t->loss_at_ns = t->rto_base_ns + t->rto_us * KL_NS_PER_US;
	tcp_timer_update(t);
	tcp_send_syn(t);
	return 0;
}

static void take_options(struct tcp *t, const struct tcp_segment *seg)
{
	t->irs = seg->seq;
	t->rcv_nxt = t->ack_sent = seg->seq + 1;
	t->rcv_adv = t->rcv_nxt + KL_MIN(t->sock.rcvbuf, TCP_WINDOW_START);
	t->mss_peer = seg->mss != 0 ? KL_MAX(seg->mss, (uint16_t)TCP_MSS_MIN) : TCP_MSS_DEFAULT;
	t->ts_ok = seg->has_ts;
	t->ts_recent = seg->ts_value;
	t->ts_recent_ns = tcp_now();
	t->sack_ok = seg->sack_ok;
	t->wscale_ok = seg->has_wscale;
	t->snd_wscale = seg->has_wscale ? seg->wscale : 0;
	if (!seg->has_wscale)
		t->rcv_wscale = 0;
}

void tcp_input_syn_sent(struct tcp *t, struct tcp_segment *seg)
{
	if ((seg->flags & TCP_ACK) && seg->ack != t->snd_nxt) {
		tcp_reset_reply(seg, t->node.local_port, t->node.remote_port);
		return;
	}
	if (seg->flags & TCP_RST) {
		if (seg->flags & TCP_ACK)
			tcp_destroy(t, ECONNREFUSED);
		return;
	}
	if (!(seg->flags & TCP_SYN))
		return;
	take_options(t, seg);
	t->last_received_ns = tcp_now();
	if (!(seg->flags & TCP_ACK)) {
		tcp_set_state(t, TCP_S_SYN_RECV);
		tcp_send_syn(t);
		return;
	}
	if (t->retries == 0) {
		t->srtt_us = KL_MAX((uint32_t)((t->last_received_ns - t->rto_base_ns) / KL_NS_PER_US), 1u);
		t->rttvar_us = t->srtt_us / 2;
		t->min_rtt_us = t->srtt_us;
		t->rto_us = t->srtt_us + KL_MAX(2 * t->srtt_us, TCP_RTO_MIN_US);
	}
	t->snd_una = seg->ack;
	tcp_set_state(t, TCP_S_ESTABLISHED);
	t->was_connected = true;
	tcp_established(t, seg);
	t->ack_now = true;
	tcp_pend(t);
	tcp_wake(t, EPOLLOUT | EPOLLWRNORM);
}
