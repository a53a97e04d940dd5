/* SPDX-License-Identifier: Apache-2.0 */
/* Congestion control: slow start and avoidance (RFC 5681, byte counting of RFC 3465), proportional rate reduction (RFC 6937). */
#include "tcp_priv.h"

void tcp_cc_init(struct tcp *t)
{
	t->cwnd = KL_MIN(TCP_IW_SEGMENTS * t->mss, KL_MAX(2 * t->mss, 14600u)); /* RFC 6928, section 2 */
	t->ssthresh = UINT32_MAX;
	t->ca = TCP_CA_OPEN_;
}

void tcp_cc_ack(struct tcp *t, uint32_t bytes_acked)
{
	if (!t->cwnd_limited)
		return; /* what was not used has not been tested (RFC 7661) */
	if (t->cwnd < t->ssthresh)
		t->cwnd += bytes_acked;
	else
		t->cwnd += KL_MAX((uint32_t)((uint64_t)t->mss * bytes_acked / t->cwnd), 1u);
	t->cwnd = KL_MIN(t->cwnd, 2 * TCP_SNDBUF_MAX);
}

static uint32_t half_flight(const struct tcp *t)
{
	uint32_t flight = KL_MIN(t->snd_nxt - t->snd_una, t->cwnd);

	return KL_MAX(flight / 2, 2 * t->mss);
}

void tcp_cc_enter_recovery(struct tcp *t)
{
	t->undo_cwnd = t->cwnd;
	t->undo_ssthresh = t->ssthresh;
	t->undo_ts = 0;
	t->ssthresh = half_flight(t);
	t->recover = t->snd_nxt;
	t->prr_delivered = t->prr_out = 0;
	t->prr_flight = KL_MAX(t->snd_nxt - t->snd_una, 1u);
	t->ca = TCP_CA_RECOVERY_;
	t->cwnd = t->flying + t->mss; /* the first retransmission goes at once */
}

void tcp_cc_recovery_ack(struct tcp *t, uint32_t delivered)
{
	uint32_t send;

	t->prr_delivered += delivered;
	if (t->flying > t->ssthresh) {
		uint64_t allowed = ((uint64_t)t->prr_delivered * t->ssthresh + t->prr_flight - 1) / t->prr_flight;

		send = allowed > t->prr_out ? (uint32_t)allowed - t->prr_out : 0;
	} else {
		uint32_t unsent = t->prr_delivered > t->prr_out ? t->prr_delivered - t->prr_out : 0;

		send = KL_MIN(t->ssthresh - t->flying, KL_MAX(unsent, delivered) + t->mss);
	}
	t->cwnd = KL_MAX(t->flying + send, t->mss);
}

void tcp_cc_timeout(struct tcp *t)
{
	/* Once for each loss event (RFC 5681, section 3.1). */
	if (t->ca != TCP_CA_LOSS_) {
		t->undo_cwnd = KL_MAX(t->cwnd, t->ssthresh == UINT32_MAX ? 0 : t->ssthresh);
		t->undo_ssthresh = t->ssthresh;
		t->undo_ts = tcp_ts_now(t->ts_offset);
		if (t->ca == TCP_CA_OPEN_)
			t->ssthresh = half_flight(t);
	} else {
		t->undo_ts = 0;
	}
	t->ca = TCP_CA_LOSS_;
	t->recover = t->snd_nxt;
	t->cwnd = t->mss;
}

void tcp_cc_idle(struct tcp *t)
{
	uint32_t start = KL_MIN(TCP_IW_SEGMENTS * t->mss, KL_MAX(2 * t->mss, 14600u));

	if (t->ca == TCP_CA_OPEN_ && t->cwnd > start) {
		t->ssthresh = KL_MAX(t->ssthresh, t->cwnd / 4 * 3);
		t->cwnd = start;
	}
}
