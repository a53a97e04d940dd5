/* SPDX-License-Identifier: Apache-2.0 */
/* TIME-WAIT: a small record each, bounded in number; a new connection may take it over early (RFC 6191, RFC 1337). */
#include "tcp_priv.h"

static void timer_run(struct kl_net_timer *timer)
{
	uint64_t now;

	tcp_enter();
	now = tcp_now();

	while (!kl_list_empty(&tcp_root.timewaits)) {
		struct tcp_timewait *tw = KL_LIST_FIRST(&tcp_root.timewaits, struct tcp_timewait, link);

		if (tw->until_ns > now) {
			kl_net_timer_set(timer, tw->until_ns);
			return;
		}
		tcp_timewait_free(tw);
	}
}

void tcp_timewait_init(void)
{
	kl_list_init(&tcp_root.timewaits);
	tcp_root.timewait_timer.fn = timer_run;
}

void tcp_timewait_free(struct tcp_timewait *tw)
{
	tcp_node_remove(&tw->node);
	kl_list_remove(&tw->link);
	tcp_root.timewaits_count--;
	kl_free(tw);
}

void tcp_timewait_enter(struct tcp *t)
{
	struct tcp_timewait *tw = kl_malloc(sizeof(*tw));

	if (t->ack_now)
		tcp_send_ack(t);
	if (tw == NULL) {
		tcp_destroy(t, 0);
		return;
	}
	*tw = (struct tcp_timewait){
		.node = t->node,
		.until_ns = tcp_now() + TCP_TIME_WAIT_NS,
		.snd_nxt = t->snd_nxt,
		.rcv_nxt = t->rcv_nxt,
		.ts_recent = t->ts_recent,
		.ts_offset = t->ts_offset,
		.window = tcp_receive_window(t) >> t->rcv_wscale,
		.has_ts = t->ts_ok,
	};
	tw->node.kind = TCP_TIMEWAIT;
	tw->node.hashed = false;
	tcp_destroy(t, 0);
	if (tcp_root.timewaits_count >= tcp_root.timewaits_max)
		tcp_timewait_free(KL_LIST_FIRST(&tcp_root.timewaits, struct tcp_timewait, link));
	tcp_node_insert(&tw->node);
	kl_list_push_back(&tcp_root.timewaits, &tw->link);
	if (tcp_root.timewaits_count++ == 0)
		kl_net_timer_set(&tcp_root.timewait_timer, tw->until_ns);
}

static void acknowledge(const struct tcp_timewait *tw)
{
	struct tcp_control control = {
		.node = &tw->node,
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.flags = TCP_ACK,
		.window = tw->window,
		.has_ts = tw->has_ts,
		.ts_value = tcp_ts_now(tw->ts_offset),
		.ts_echo = tw->ts_recent,
	};

	(void)tcp_send_control(&control);
}

bool tcp_timewait_in(struct tcp_timewait *tw, struct tcp_segment *seg)
{
	bool newer = tw->has_ts && seg->has_ts && seq_lt(tw->ts_recent, seg->ts_value);

	if (seg->flags & TCP_RST)
		return false; /* RFC 1337 */
	if ((seg->flags & (TCP_SYN | TCP_ACK)) == TCP_SYN &&
		(newer || (!tw->has_ts && seq_lt(tw->rcv_nxt, seg->seq)))) {
		tcp_timewait_free(tw);
		return true;
	}
	/* The peer's FIN again: our last acknowledgement was lost. */
	if ((seg->flags & TCP_FIN) && seg->end == tw->rcv_nxt) {
		tw->until_ns = tcp_now() + TCP_TIME_WAIT_NS;
		kl_list_remove(&tw->link);
		kl_list_push_back(&tcp_root.timewaits, &tw->link);
	}
	if (seg->bytes > 0 || (seg->flags & (TCP_SYN | TCP_FIN)) || seg->seq != tw->rcv_nxt) {
		if ((seg->flags & TCP_FIN) || tcp_challenge_allowed())
			acknowledge(tw);
	}
	return false;
}
