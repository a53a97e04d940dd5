/* SPDX-License-Identifier: Apache-2.0 */
/* What an acknowledgement brings: progress, windows, round-trip times (RFC 6298), signs of loss. */
#include "tcp_priv.h"

#include <linux/eventpoll.h>

static void rtt_sample(struct tcp *t, uint32_t rtt_us)
{
	if (t->srtt_us == 0) {
		t->srtt_us = rtt_us;
		t->rttvar_us = rtt_us / 2;
		t->min_rtt_us = rtt_us;
	} else {
		uint32_t delta = rtt_us > t->srtt_us ? rtt_us - t->srtt_us : t->srtt_us - rtt_us;

		t->rttvar_us += (delta >> 2) - (t->rttvar_us >> 2);
		t->srtt_us = KL_MAX(t->srtt_us - (t->srtt_us >> 3) + (rtt_us >> 3), 1u);
		t->min_rtt_us = KL_MIN(t->min_rtt_us, rtt_us);
	}
	t->rto_us = KL_MIN(t->srtt_us + KL_MAX(4 * t->rttvar_us, TCP_RTO_MIN_US), TCP_RTO_MAX_US);
}

static void update_window(struct tcp *t, const struct tcp_segment *seg)
{
	uint32_t window = seg->window << t->snd_wscale;

	if (!seq_lt(t->snd_wl1, seg->seq) && !(t->snd_wl1 == seg->seq && seq_le(t->snd_wl2, seg->ack)))
		return;
	if (window != t->snd_wnd && t->snd_nxt != tcp_send_limit(t))
		tcp_pend(t);
	t->snd_wnd = window;
	t->snd_wl1 = seg->seq;
	t->snd_wl2 = seg->ack;
	t->snd_wnd_max = KL_MAX(t->snd_wnd_max, window);
	if (window > 0 && t->loss_timer == TCP_T_PERSIST)
		t->probes = 0;
}

/* The time-out was not needed: the acknowledgement answers a segment from before it (RFC 3522). */
static void undo_timeout(struct tcp *t)
{
	KL_LIST_FOR(link, &t->segs)
	{
		struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

		if (seg->state == TCP_SEG_LOST) {
			seg->state = TCP_SEG_FLYING;
			t->lost_segs--;
			t->flying += seg->end - seg->seq;
		}
	}
	t->cwnd = KL_MAX(t->cwnd, t->undo_cwnd);
	t->ssthresh = t->undo_ssthresh;
	t->ca = TCP_CA_OPEN_;
	t->undo_ts = 0;
	t->reordering = true;
}

static void lose_first(struct tcp *t)
{
	struct tcp_seg *seg;

	if (kl_list_empty(&t->segs))
		return;
	seg = KL_LIST_FIRST(&t->segs, struct tcp_seg, link);
	if (seg->end - seg->seq > t->mss && !tcp_seg_split(t, seg, seg->seq + t->mss))
		return;
	if (seg->state == TCP_SEG_FLYING)
		tcp_seg_lost(t, seg);
}

/* Without SACK: three duplicates, then each partial acknowledgement tells of one more loss (RFC 6582). */
static bool newreno_detect(struct tcp *t, bool advanced, bool duplicate)
{
	if (advanced) {
		t->dup_acks = 0;
		if (t->ca == TCP_CA_RECOVERY_ && seq_lt(t->snd_una, t->recover)) {
			lose_first(t);
			return true;
		}
		return false;
	}
	if (!duplicate || t->ca != TCP_CA_OPEN_ || ++t->dup_acks != 3)
		return false;
	lose_first(t);
	return true;
}

static void congestion(
	struct tcp *t, const struct tcp_segment *seg, const struct tcp_acked *acked, bool advanced, bool duplicate)
{
	bool lost;

	if (t->ca == TCP_CA_LOSS_ && advanced && t->undo_ts != 0 && seg->has_ts && seq_lt(seg->ts_echo, t->undo_ts))
		undo_timeout(t);
	if (t->sack_ok)
		lost = (t->ca != TCP_CA_OPEN_ || t->sacked_segs > 0) && tcp_rack_detect(t);
	else
		lost = newreno_detect(t, advanced, duplicate);
	if (t->ca != TCP_CA_OPEN_ && advanced && !seq_lt(t->snd_una, t->recover)) {
		if (t->ca == TCP_CA_RECOVERY_)
			t->cwnd = KL_MAX(t->ssthresh, 2 * t->mss);
		t->ca = TCP_CA_OPEN_;
		t->dup_acks = 0;
		return;
	}
	if (t->ca == TCP_CA_OPEN_ && lost)
		tcp_cc_enter_recovery(t);
	else if (t->ca == TCP_CA_OPEN_ && advanced)
		tcp_cc_ack(t, acked->delivered);
	else if (t->ca == TCP_CA_RECOVERY_)
		tcp_cc_recovery_ack(t, acked->delivered + (duplicate && !t->sack_ok ? t->mss : 0));
	if (t->ca == TCP_CA_RECOVERY_ && lost && !t->sack_ok)
		t->cwnd = KL_MAX(t->cwnd, t->flying + t->mss); /* each hole goes at once (RFC 6582, section 3.2) */
	if (t->ca == TCP_CA_LOSS_)
		t->cwnd += KL_MIN(acked->delivered, 2 * t->mss);
}

static void progress(struct tcp *t, uint32_t ack)
{
	uint32_t limit = (uint32_t)KL_MIN((size_t)TCP_SNDBUF_MAX, tcp_root.memory_max / 4);

	t->bytes_acked += ack - t->snd_una;
	t->snd_una = ack;
	if (seq_lt(t->snd_small, ack))
		t->snd_small = ack;
	tcp_queue_acked(t, ack);
	t->retries = t->probes = 0;
	t->tlp_pending = false;
	t->soft_error = 0;
	t->rto_base_ns = tcp_now();
	if (!t->sndbuf_locked && t->sock.sndbuf < 2 * t->cwnd && !tcp_memory_tight())
		t->sock.sndbuf = KL_MIN(2 * t->cwnd, KL_MAX(limit, t->sock.sndbuf));
	if (t->no_space && tcp_writable(t)) {
		t->no_space = false;
		tcp_wake(t, EPOLLOUT | EPOLLWRNORM);
	}
}

/* The acknowledgement lies within what was sent: the caller has looked. */
void tcp_ack_in(struct tcp *t, const struct tcp_segment *seg)
{
	struct tcp_acked acked = {0};
	bool advanced = seq_lt(t->snd_una, seg->ack);
	bool duplicate = seg->ack == t->snd_una && seg->bytes == 0 && !kl_list_empty(&t->segs) &&
		!(seg->flags & (TCP_SYN | TCP_FIN)) && seg->window << t->snd_wscale == t->snd_wnd;

	if (seq_lt(seg->ack, t->snd_una)) {
		if (!t->sack_ok || seg->sacks == 0)
			return;
	} else {
		update_window(t, seg);
	}
	if (!advanced && seg->sacks == 0 && !duplicate)
		return;
	if (advanced) {
		tcp_segs_ack(t, seg->ack, &acked);
		if (acked.rtt_us == 0 && acked.resent_acked && seg->has_ts && seg->ts_echo != 0)
			acked.rtt_us = (tcp_ts_now(t->ts_offset) - seg->ts_echo) * 1000u;
	}
	if (advanced)
		progress(t, seg->ack);
	if (t->sack_ok && seg->sacks > 0)
		tcp_segs_sack(t, seg, &acked);
	if (acked.rtt_us != 0 && acked.rtt_us < TCP_RTO_MAX_US)
		rtt_sample(t, acked.rtt_us);
	congestion(t, seg, &acked, advanced, duplicate);
	if (t->lost_segs > 0 || t->snd_nxt != tcp_send_limit(t))
		tcp_pend(t);
	else
		tcp_timer_loss(t);
}

void tcp_update_mss(struct tcp *t, uint32_t mtu)
{
	uint32_t mss = KL_MIN(mtu, 65535u) - KL_IPV4_HEADER_BYTES - TCP_HEADER_BYTES;

	mss = KL_MIN(mss, (uint32_t)t->mss_peer);
	if (t->mss_user != 0)
		mss = KL_MIN(mss, (uint32_t)t->mss_user);
	if (t->ts_ok)
		mss -= 12;
	t->mss = KL_MAX(mss, TCP_MSS_MIN);
}
