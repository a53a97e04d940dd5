/* SPDX-License-Identifier: Apache-2.0 */
/* Passive opens: listeners, connections in SYN-RECEIVED, the accept queue. */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

#define SYNACK_TRIES_MAX 5
#define SYNACK_NS KL_NS_PER_S
#define BACKLOG_MAX 4096u /* net.core.somaxconn */
#define BACKLOG_SERVER 128u
#define COOKIES_NS (64 * KL_NS_PER_S)

int tcp_listen_start(struct tcp *t, int backlog)
{
	struct tcp_listen *listen = t->listen;

	if (listen == NULL) {
		listen = kl_zalloc(sizeof(*listen));
		if (listen == NULL)
			return -ENOMEM;
		listen->tcp = t;
		kl_list_init(&listen->requests);
		kl_list_init(&listen->accepted);
		kl_list_push_back(&tcp_root.listeners[t->node.local_port % TCP_LISTEN_BUCKETS], &listen->link);
		t->listen = listen;
		t->was_connected = false;
		tcp_set_state(t, TCP_S_LISTEN);
	}
	listen->backlog = backlog < 0 || (unsigned)backlog > BACKLOG_MAX ? BACKLOG_MAX : (unsigned)backlog;
	/*
	 * A server's: here all packets that came in meanwhile are seen at once, before the program gets to accept the first of
	 * them, so more of them wait than on a machine where both go on at the same time.
	 */
	if (listen->backlog >= BACKLOG_SERVER)
		listen->backlog = KL_MAX(listen->backlog, KL_MIN((unsigned)(tcp_root.memory_max / 2048), BACKLOG_MAX));
	return 0;
}

void tcp_listen_stop(struct tcp *t)
{
	struct tcp_listen *listen = t->listen;
	struct kl_list *link;

	kl_list_remove(&listen->link);
	while (!kl_list_empty(&listen->requests))
		tcp_request_free(KL_LIST_FIRST(&listen->requests, struct tcp_request, link));
	while ((link = kl_list_pop_front(&listen->accepted)) != NULL) {
		struct tcp *child = KL_LIST_ENTRY(link, struct tcp, accept_link);

		if (child->state != TCP_S_CLOSED)
			tcp_send_reset(child);
		tcp_free(child);
	}
	t->listen = NULL;
	kl_free(listen);
}

/* --- requests --- */

void tcp_request_free(struct tcp_request *request)
{
	kl_net_timer_cancel(&request->timer);
	tcp_node_remove(&request->node);
	kl_list_remove(&request->link);
	request->listener->listen->requests_count--;
	request->listener->listen->waiting_count -= request->waiting;
	tcp_root.requests_count--;
	kl_free(request);
}

static void send_syn_ack(const struct tcp_request *request, uint32_t ts_value)
{
	const struct tcp *listener = request->listener;
	struct tcp_control control = {
		.node = &request->node,
		.seq = request->iss,
		.ack = request->irs + 1,
		.flags = TCP_SYN | TCP_ACK,
		.window = KL_MIN(listener->sock.rcvbuf, TCP_WINDOW_START),
		.tos = listener->ip.tos,
		.ttl = listener->ip.ttl,
		.mss = tcp_mss_for(request->node.remote_be),
		.sack_ok = request->sack_ok,
		.has_wscale = request->has_wscale,
		.wscale = request->rcv_wscale,
		.has_ts = request->has_ts,
		.ts_value = ts_value,
		.ts_echo = request->ts_recent,
	};

	if (listener->mss_user != 0)
		control.mss = KL_MIN(control.mss, listener->mss_user);
	(void)tcp_send_control(&control); /* sent again by the timer, or by the peer's next SYN */
}

static void request_timer(struct kl_net_timer *timer)
{
	struct tcp_request *request = KL_CONTAINER(timer, struct tcp_request, timer);
	unsigned defer = request->acked && request->listener->defer_accept_s != 0 ? 8 : 0;

	tcp_enter();
	if (++request->tries > SYNACK_TRIES_MAX + defer) {
		tcp_request_free(request);
		return;
	}
	if (request->acked && request->listener->defer_accept_s != 0) {
		/* Enough waiting for data: the next acknowledgement, asked for now, completes it. */
		if ((1u << request->tries) < request->listener->defer_accept_s) {
			kl_net_timer_set(timer, tcp_now() + (SYNACK_NS << request->tries));
			return;
		}
	}
	send_syn_ack(request, tcp_ts_now(request->ts_offset));
	kl_net_timer_set(timer, tcp_now() + (SYNACK_NS << KL_MIN(request->tries, (uint8_t)6)));
}

static void fill(
	struct tcp_request *request, struct tcp *listener, const struct tcp_segment *seg, const struct tcp_node *node)
{
	*request = (struct tcp_request){
		.node = *node,
		.listener = listener,
		.irs = seg->seq,
		.ts_recent = seg->ts_value,
		.mss = seg->mss != 0 ? seg->mss : TCP_MSS_DEFAULT,
		.snd_wscale = seg->wscale,
		.rcv_wscale = tcp_window_scale(listener),
		.has_ts = seg->has_ts,
		.has_wscale = seg->has_wscale,
		.sack_ok = seg->sack_ok,
	};
	request->node.kind = TCP_REQUEST;
	request->ts_offset = tcp_ts_offset(node);
}

/* No memory is spent on this SYN: what must be known later goes into the answer's numbers. */
static void answer_with_cookie(struct tcp *listener, const struct tcp_segment *seg, const struct tcp_node *node)
{
	struct tcp_request request;
	uint32_t ts_value;

	fill(&request, listener, seg, node);
	request.iss = tcp_cookie_make(node, seg->seq, request.mss);
	if (!seg->has_ts) {
		request.has_wscale = request.sack_ok = false;
		request.snd_wscale = request.rcv_wscale = 0;
	}
	ts_value = (tcp_ts_now(request.ts_offset) & ~63u) | (request.has_wscale ? request.snd_wscale : 15u) |
		(request.sack_ok ? 16u : 0);
	send_syn_ack(&request, ts_value);
	tcp_root.cookies_until_ns = tcp_now() + COOKIES_NS;
}

void tcp_syn_in(struct tcp *listener, struct tcp_segment *seg, const struct tcp_node *node)
{
	struct tcp_listen *listen = listener->listen;
	struct tcp_request *request;

	if (listen->accepted_count > listen->backlog)
		return; /* the peer tries again */
	if (listen->requests_count > KL_MAX(listen->backlog, 8u) || tcp_root.requests_count >= tcp_root.requests_max) {
		answer_with_cookie(listener, seg, node);
		return;
	}
	request = kl_malloc(sizeof(*request));
	if (request == NULL) {
		answer_with_cookie(listener, seg, node);
		return;
	}
	fill(request, listener, seg, node);
	request->iss = tcp_isn(node);
	request->sent_us = tcp_us();
	request->timer.fn = request_timer;
	kl_net_timer_set(&request->timer, tcp_now() + SYNACK_NS);
	kl_list_push_back(&listen->requests, &request->link);
	listen->requests_count++;
	tcp_root.requests_count++;
	tcp_node_insert(&request->node);
	send_syn_ack(request, tcp_ts_now(request->ts_offset));
}

/* A connection from what the request, which stays the caller's, knows; it is in the accept queue. NULL: no memory. */
struct tcp *tcp_request_complete(struct tcp_request *request, const struct tcp_segment *seg)
{
	struct tcp *listener = request->listener, *t = tcp_alloc();

	if (t == NULL)
		return NULL;
	t->sock.keep_alive = listener->sock.keep_alive;
	t->sock.reuse_addr = listener->sock.reuse_addr;
	t->sock.reuse_port = listener->sock.reuse_port;
	t->sock.linger = listener->sock.linger;
	t->sock.rcvbuf = listener->sock.rcvbuf;
	t->sock.sndbuf = listener->sock.sndbuf;
	t->sock.rcvtimeo_ns = listener->sock.rcvtimeo_ns;
	t->sock.sndtimeo_ns = listener->sock.sndtimeo_ns;
	t->rcvbuf_locked = listener->rcvbuf_locked;
	t->sndbuf_locked = listener->sndbuf_locked;
	t->no_delay = listener->no_delay;
	t->keep_idle_s = listener->keep_idle_s;
	t->keep_interval_s = listener->keep_interval_s;
	t->keep_count = listener->keep_count;
	t->user_timeout_ms = listener->user_timeout_ms;
	t->linger2_s = listener->linger2_s;
	t->mss_user = listener->mss_user;
	t->ip = listener->ip;
	t->was_connected = true;
	t->node = request->node;
	t->node.kind = TCP_CONNECTION;
	t->node.hashed = false;
	t->iss = request->iss;
	t->snd_una = t->snd_nxt = t->snd_end = request->iss + 1;
	t->irs = request->irs;
	t->rcv_nxt = t->ack_sent = request->irs + 1;
	t->rcv_adv = t->rcv_nxt + KL_MIN(listener->sock.rcvbuf, TCP_WINDOW_START);
	t->mss_peer = KL_MAX(request->mss, (uint16_t)TCP_MSS_MIN);
	t->ts_ok = request->has_ts;
	t->ts_recent = request->ts_recent;
	t->ts_offset = request->ts_offset;
	t->sack_ok = request->sack_ok;
	t->wscale_ok = request->has_wscale;
	t->snd_wscale = request->has_wscale ? request->snd_wscale : 0;
	t->rcv_wscale = request->has_wscale ? request->rcv_wscale : 0;
	t->last_received_ns = t->ts_recent_ns = t->rto_base_ns = tcp_now();
	if (request->sent_us != 0 && request->tries == 0) {
		t->srtt_us = t->min_rtt_us = KL_MAX(tcp_us() - request->sent_us, 1u);
		t->rttvar_us = t->srtt_us / 2;
		t->rto_us = t->srtt_us + KL_MAX(2 * t->srtt_us, TCP_RTO_MIN_US);
	}
	tcp_set_state(t, TCP_S_ESTABLISHED);
	tcp_established(t, seg);
	kl_list_push_back(&listener->listen->accepted, &t->accept_link);
	listener->listen->accepted_count++;
	return t;
}

static bool full(const struct tcp_listen *listen)
{
	return listen->accepted_count > listen->backlog;
}

/* All that was missing was room in the accept queue. */
static void wait_for_room(struct tcp_listen *listen, struct tcp_request *request, const struct tcp_segment *seg)
{
	request->window = (uint16_t)seg->window;
	if (request->waiting)
		return;
	request->waiting = true;
	listen->waiting_count++;
	kl_list_remove(&request->link);
	kl_list_push_front(&listen->requests, &request->link);
}

void tcp_listen_refill(struct tcp_listen *listen)
{
	while (listen->waiting_count > 0 && !full(listen)) {
		struct tcp_request *request = KL_LIST_FIRST(&listen->requests, struct tcp_request, link);
		struct tcp_segment seg = {
			.seq = request->irs + 1, .ack = request->iss + 1, .window = request->window, .flags = TCP_ACK};
		struct tcp *t = tcp_request_complete(request, &seg);

		if (t == NULL)
			return;
		tcp_request_free(request);
		tcp_node_insert(&t->node);
		tcp_wake(listen->tcp, EPOLLIN | EPOLLRDNORM);
	}
}

void tcp_request_in(struct tcp_request *request, struct tcp_segment *seg)
{
	struct tcp *listener = request->listener, *t;
	uint32_t rcv_nxt = request->irs + 1;

	if (seg->flags & TCP_RST) {
		if (seg->seq == rcv_nxt)
			tcp_request_free(request);
		return;
	}
	if (request->has_ts && seg->has_ts && seq_lt(seg->ts_value, request->ts_recent))
		return;
	if ((seg->flags & TCP_SYN) || seq_lt(seg->end, rcv_nxt) || seq_lt(rcv_nxt + TCP_WINDOW_START, seg->seq)) {
		/* The peer's SYN again, or anything else from outside of the window: say what we have. */
		if (seg->seq == request->irs || tcp_challenge_allowed())
			send_syn_ack(request, tcp_ts_now(request->ts_offset));
		return;
	}
	if (!(seg->flags & TCP_ACK))
		return;
	if (seg->ack != request->iss + 1) {
		tcp_reset_reply(seg, request->node.local_port, request->node.remote_port);
		return;
	}
	if (full(listener->listen)) {
		wait_for_room(listener->listen, request, seg);
		return;
	}
	if (listener->defer_accept_s != 0 && seg->bytes == 0 && !(seg->flags & TCP_FIN) &&
		(1u << request->tries) < listener->defer_accept_s) {
		request->acked = true;
		return;
	}
	t = tcp_request_complete(request, seg);
	if (t == NULL)
		return;
	tcp_request_free(request);
	tcp_node_insert(&t->node);
	tcp_wake(listener, EPOLLIN | EPOLLRDNORM);
	tcp_receive_segment(t, seg);
}

/* An acknowledgement for a listener that belongs to no request: of a cookie, or a stray. */
void tcp_cookie_ack(struct tcp *listener, struct tcp_segment *seg, const struct tcp_node *node)
{
	struct tcp_request request;
	uint16_t mss;
	struct tcp *t;

	if ((seg->flags & TCP_SYN) || tcp_now() > tcp_root.cookies_until_ns ||
		!tcp_cookie_check(node, seg->seq - 1, seg->ack - 1, &mss)) {
		tcp_reset_reply(seg, node->local_port, node->remote_port);
		return;
	}
	if (full(listener->listen))
		return;
	seg->mss = mss;
	fill(&request, listener, seg, node);
	request.irs = seg->seq - 1;
	request.iss = seg->ack - 1;
	if (seg->has_ts) {
		request.sack_ok = (seg->ts_echo & 16) != 0;
		request.has_wscale = (seg->ts_echo & 15) != 15;
		request.snd_wscale = seg->ts_echo & 15;
	}
	t = tcp_request_complete(&request, seg);
	if (t == NULL)
		return;
	tcp_node_insert(&t->node);
	tcp_wake(listener, EPOLLIN | EPOLLRDNORM);
	tcp_receive_segment(t, seg);
}
