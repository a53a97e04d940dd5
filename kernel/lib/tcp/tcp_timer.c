/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One timer a connection for all its deadlines. It is left at an earlier time when a deadline moves away: then it fires for nothing
 * once, which costs less than moving it with each segment.
 */
#include "tcp_priv.h"

#include <linux/errno.h>

#define RETRY_NS (20 * KL_NS_PER_MS)
#define CORK_NS (200 * KL_NS_PER_MS) /* tcp(7): the ceiling */
#define PROBE_MIN_US 10000u

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

void tcp_timer_update(struct tcp *t)
{
	uint64_t at = earlier(earlier(t->loss_at_ns, t->delack_at_ns), t->keep_at_ns);

	if (at != 0 && (!kl_net_timer_is_set(&t->timer) || at < t->timer.deadline_ns))
		kl_net_timer_set(&t->timer, at);
}

static uint64_t backed_off_us(const struct tcp *t, unsigned times)
{
	return KL_MIN((uint64_t)t->rto_us << KL_MIN(times, 12u), (uint64_t)TCP_RTO_MAX_US);
}

static void arm(struct tcp *t, enum tcp_loss_timer kind, uint64_t at_ns)
{
	t->loss_timer = (uint8_t)kind;
	t->loss_at_ns = at_ns;
	tcp_timer_update(t);
}

/* Something is unacknowledged. */
static void arm_flying(struct tcp *t, uint64_t now)
{
	uint64_t rto_at = t->rto_base_ns + backed_off_us(t, t->retries) * KL_NS_PER_US, at;

	if (t->no_memory && t->flying == 0) {
		arm(t, TCP_T_RETRY, now + RETRY_NS);
		return;
	}
	if (t->rack_wait_us != 0 && t->ca != TCP_CA_LOSS_) {
		at = now + t->rack_wait_us * KL_NS_PER_US;
		if (at < rto_at) {
			arm(t, TCP_T_REORDER, at);
			return;
		}
	}
	/* Tail loss probe (RFC 8985, section 7). */
	if (t->sack_ok && t->ca == TCP_CA_OPEN_ && !t->tlp_pending && t->srtt_us != 0 && t->sacked_segs == 0) {
		uint64_t probe_us = 2ull * t->srtt_us + (t->flying <= t->mss ? TCP_DELACK_NS / KL_NS_PER_US * 5 : 0);

		at = now + KL_MAX(probe_us, (uint64_t)PROBE_MIN_US) * KL_NS_PER_US;
		if (at < rto_at) {
			arm(t, TCP_T_PROBE, at);
			return;
		}
	}
	arm(t, TCP_T_RTO, rto_at);
}

void tcp_timer_loss(struct tcp *t)
{
	uint64_t now = tcp_now();

	if (!kl_list_empty(&t->segs)) {
		arm_flying(t, now);
	} else if (t->snd_nxt == tcp_send_limit(t)) {
		t->loss_timer = TCP_T_NONE;
		t->loss_at_ns = 0;
	} else if (t->no_memory) {
		arm(t, TCP_T_RETRY, now + RETRY_NS);
	} else if ((t->cork || t->more) && !t->uncork && !t->fin_queued && t->snd_wnd >= t->mss) {
		if (t->loss_timer != TCP_T_CORK)
			arm(t, TCP_T_CORK, now + CORK_NS);
	} else if (t->loss_timer != TCP_T_PERSIST) {
		arm(t, TCP_T_PERSIST, now + backed_off_us(t, t->probes) * KL_NS_PER_US);
	}
	tcp_timer_update(t);
}

/* Whether waiting any longer makes no sense; then the connection has ended. */
static bool given_up(struct tcp *t, unsigned tries)
{
	unsigned max = t->state == TCP_S_SYN_SENT || t->state == TCP_S_SYN_RECV ? TCP_SYN_RETRIES_MAX
		: t->orphan                                                     ? TCP_ORPHAN_RETRIES_MAX
										: TCP_RETRIES_MAX;
	bool over = tries > max;

	if (t->user_timeout_ms != 0)
		over = tcp_now() - KL_MAX(t->rto_base_ns, t->last_received_ns) > t->user_timeout_ms * KL_NS_PER_MS;
	if (over)
		tcp_destroy(t, t->soft_error != 0 ? t->soft_error : ETIMEDOUT);
	return over;
}

static void on_rto(struct tcp *t)
{
	if (given_up(t, ++t->retries))
		return;
	t->rto_base_ns = tcp_now();
	if (t->state == TCP_S_SYN_SENT || t->state == TCP_S_SYN_RECV) {
		tcp_send_syn(t);
		arm(t, TCP_T_RTO, t->rto_base_ns + backed_off_us(t, t->retries) * KL_NS_PER_US);
		return;
	}
	tcp_cc_timeout(t);
	t->dup_acks = 0;
	t->rack_wait_us = 0;
	KL_LIST_FOR(link, &t->segs)
	{
		struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

		/* A peer may have thrown away what it had reported (RFC 2018, section 8): then its first hole is not one. */
		if (seg->state == TCP_SEG_FLYING || link == t->segs.next)
			tcp_seg_lost(t, seg);
	}
	tcp_output(t);
}

static void on_probe(struct tcp *t)
{
	struct tcp_seg *last;

	t->tlp_pending = true;
	t->tlp_end = t->snd_nxt;
	t->rto_base_ns = tcp_now();
	if (!kl_list_empty(&t->segs)) {
		last = KL_LIST_ENTRY(t->segs.prev, struct tcp_seg, link);
		if (last->end - last->seq > t->mss && tcp_seg_split(t, last, last->end - t->mss))
			last = KL_LIST_ENTRY(t->segs.prev, struct tcp_seg, link);
		if (last->state == TCP_SEG_FLYING)
			(void)tcp_resend(t, last);
	}
	tcp_timer_loss(t);
}

static void on_persist(struct tcp *t)
{
	t->probes++;
	if (t->orphan || t->user_timeout_ms != 0) {
		if (given_up(t, t->probes))
			return;
	}
	tcp_output(t);
	if (t->state == TCP_S_CLOSED || !kl_list_empty(&t->segs) || t->snd_nxt == tcp_send_limit(t))
		return;
	if (tcp_send_overdue(t)) {
		tcp_timer_loss(t);
		return;
	}
	tcp_send_probe(t);
	arm(t, TCP_T_PERSIST, tcp_now() + backed_off_us(t, t->probes) * KL_NS_PER_US);
}

static void on_loss_timer(struct tcp *t)
{
	uint8_t kind = t->loss_timer;

	t->loss_timer = TCP_T_NONE;
	t->loss_at_ns = 0;
	switch (kind) {
	case TCP_T_RTO: on_rto(t); break;
	case TCP_T_PROBE: on_probe(t); break;
	case TCP_T_REORDER:
		if (tcp_rack_detect(t) && t->ca == TCP_CA_OPEN_)
			tcp_cc_enter_recovery(t);
		tcp_output(t);
		break;
	case TCP_T_PERSIST: on_persist(t); break;
	case TCP_T_CORK:
		t->uncork = true;
		tcp_output(t);
		break;
	case TCP_T_RETRY: tcp_output(t); break;
	default: break;
	}
}

void tcp_timer_keep(struct tcp *t)
{
	if (TCP_IN(t->state, TCP_M(CLOSED) | TCP_M(LISTEN) | TCP_M(SYN_SENT)))
		return;
	if (t->state == TCP_S_FIN_WAIT2 && t->orphan) {
		uint64_t wait = t->linger2_s > 0 ? (uint64_t)t->linger2_s * KL_NS_PER_S : TCP_FIN_WAIT2_NS;

		t->keep_at_ns = tcp_now() + wait;
	} else if (t->sock.keep_alive) {
		t->keep_at_ns = tcp_now() + t->keep_idle_s * KL_NS_PER_S;
	} else {
		t->keep_at_ns = 0;
	}
	tcp_timer_update(t);
}

static void on_keep(struct tcp *t, uint64_t now)
{
	uint64_t idle = t->keep_idle_s * KL_NS_PER_S;
	bool over;

	t->keep_at_ns = 0;
	if (t->state == TCP_S_FIN_WAIT2 && t->orphan) {
		tcp_timewait_enter(t);
		return;
	}
	if (!t->sock.keep_alive)
		return;
	if (now - t->last_received_ns < idle) {
		t->keep_sent = 0;
		t->keep_at_ns = t->last_received_ns + idle;
		return;
	}
	over = t->keep_sent >= t->keep_count;
	if (t->user_timeout_ms != 0)
		over = t->keep_sent > 0 && now - t->last_received_ns > t->user_timeout_ms * KL_NS_PER_MS;
	if (over) {
		tcp_send_reset(t);
		tcp_destroy(t, t->soft_error != 0 ? t->soft_error : ETIMEDOUT);
		return;
	}
	if (kl_list_empty(&t->segs)) {
		tcp_send_probe(t);
		t->keep_sent++;
	}
	t->keep_at_ns = now + t->keep_interval_s * KL_NS_PER_S;
}

void tcp_timer_run(struct kl_net_timer *timer)
{
	struct tcp *t = KL_CONTAINER(timer, struct tcp, timer);
	uint64_t now;

	tcp_enter();
	now = tcp_now();
	if (t->delack_at_ns != 0 && t->delack_at_ns <= now) {
		t->delack_at_ns = 0;
		if (t->ack_pending)
			tcp_send_ack(t);
	}
	if (t->loss_at_ns != 0 && t->loss_at_ns <= now)
		on_loss_timer(t);
	if (t->state != TCP_S_CLOSED && t->keep_at_ns != 0 && t->keep_at_ns <= now)
		on_keep(t, now);
	if (t->state != TCP_S_CLOSED)
		tcp_timer_update(t);
}
