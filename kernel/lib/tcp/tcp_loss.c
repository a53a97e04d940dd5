/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sent and what became of it: cumulative and selective acknowledgements (RFC 2018), and the detection of losses by time
 * (RACK, RFC 8985). In every state: flying = the sum of the lengths of segments in state FLYING.
 */
#include "tcp_priv.h"

#define SPARE_MAX 256u
#define DUP_THRESHOLD 3u
#define SEGS_MAX 4096u /* a hostile peer's SACK blocks must not split without end */

struct tcp_seg *tcp_seg_alloc(void)
{
	struct tcp_seg *seg = tcp_root.spare_segs;

	if (seg == NULL)
		return kl_malloc(sizeof(*seg));
	tcp_root.spare_segs = (struct tcp_seg *)seg->link.next;
	tcp_root.spare_segs_count--;
	return seg;
}

void tcp_seg_free(struct tcp_seg *seg)
{
	if (tcp_root.spare_segs_count >= SPARE_MAX) {
		kl_free(seg);
		return;
	}
	seg->link.next = (struct kl_list *)tcp_root.spare_segs;
	tcp_root.spare_segs = seg;
	tcp_root.spare_segs_count++;
}

static uint32_t length(const struct tcp_seg *seg)
{
	return seg->end - seg->seq;
}

static void set_state(struct tcp *t, struct tcp_seg *seg, enum tcp_seg_state state)
{
	if (seg->state == TCP_SEG_FLYING)
		t->flying -= length(seg);
	else if (seg->state == TCP_SEG_SACKED)
		t->sacked_segs--;
	else
		t->lost_segs--;
	seg->state = (uint8_t)state;
	if (state == TCP_SEG_FLYING)
		t->flying += length(seg);
	else if (state == TCP_SEG_SACKED)
		t->sacked_segs++;
	else
		t->lost_segs++;
}

static void forget(struct tcp *t, struct tcp_seg *seg)
{
	if (seg->state == TCP_SEG_FLYING)
		t->flying -= length(seg);
	else if (seg->state == TCP_SEG_SACKED)
		t->sacked_segs--;
	else
		t->lost_segs--;
	kl_list_remove(&seg->link);
	tcp_seg_free(seg);
}

void tcp_segs_clear(struct tcp *t)
{
	while (!kl_list_empty(&t->segs))
		forget(t, KL_LIST_FIRST(&t->segs, struct tcp_seg, link));
}

void tcp_seg_lost(struct tcp *t, struct tcp_seg *seg)
{
	if (seg->state != TCP_SEG_LOST)
		set_state(t, seg, TCP_SEG_LOST);
}

/* Moves the start of seg n bytes on; the state's counters are the caller's. */
static void advance(struct tcp_seg *seg, uint32_t n)
{
	seg->seq += n;
	seg->offset += n;
	while (seg->block != NULL && seg->offset >= seg->block->used && seg->block->next != NULL) {
		seg->offset -= seg->block->used;
		seg->block = seg->block->next;
	}
}

bool tcp_seg_split(struct tcp *t, struct tcp_seg *seg, uint32_t at)
{
	struct tcp_seg *rest = tcp_seg_alloc();

	if (rest == NULL)
		return false;
	*rest = *seg;
	advance(rest, at - seg->seq);
	seg->end = at;
	seg->fin = false;
	kl_list_insert_(&rest->link, &seg->link, seg->link.next);
	if (rest->state == TCP_SEG_SACKED)
		t->sacked_segs++;
	else if (rest->state == TCP_SEG_LOST)
		t->lost_segs++;
	return true;
}

/* Remembers the segment sent last among those that arrived (RFC 8985, section 6.2, steps 1 to 3). */
static void arrived(struct tcp *t, const struct tcp_seg *seg, uint32_t now_us, struct tcp_acked *acked)
{
	uint32_t rtt = now_us - seg->sent_us;

	if (!seg->resent) {
		acked->rtt_us = KL_MAX(rtt, 1u);
		if (seq_lt(seg->end, t->fack) && seg->state == TCP_SEG_FLYING)
			t->reordering = true;
	} else {
		acked->resent_acked = true;
		if (rtt < t->min_rtt_us)
			return; /* the answer to the first copy */
	}
	t->rack_rtt_us = rtt;
	if (seq_lt(t->rack_sent_us, seg->sent_us) ||
		(t->rack_sent_us == seg->sent_us && seq_lt(t->rack_end, seg->end))) {
		t->rack_sent_us = seg->sent_us;
		t->rack_end = seg->end;
	}
}

void tcp_segs_ack(struct tcp *t, uint32_t ack, struct tcp_acked *acked)
{
	uint32_t now_us = tcp_us();

	while (!kl_list_empty(&t->segs)) {
		struct tcp_seg *seg = KL_LIST_FIRST(&t->segs, struct tcp_seg, link);

		if (!seq_lt(seg->seq, ack))
			break;
		if (seg->state != TCP_SEG_SACKED)
			arrived(t, seg, now_us, acked);
		if (seq_lt(ack, seg->end)) {
			uint32_t n = ack - seg->seq;

			if (seg->state != TCP_SEG_SACKED)
				acked->delivered += n;
			if (seg->state == TCP_SEG_FLYING)
				t->flying -= n;
			advance(seg, n);
			break;
		}
		if (seg->state != TCP_SEG_SACKED)
			acked->delivered += length(seg);
		forget(t, seg);
	}
	t->fack = seq_max(t->fack, ack);
}

static void sack_range(struct tcp *t, struct tcp_range range, uint32_t now_us, struct tcp_acked *acked)
{
	unsigned walked = 0;

	KL_LIST_FOR(link, &t->segs)
	{
		struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);

		if (!seq_lt(seg->seq, range.end) || ++walked > SEGS_MAX)
			break;
		if (!seq_lt(range.start, seg->end) || seg->state == TCP_SEG_SACKED)
			continue;
		if (seq_lt(seg->seq, range.start)) {
			if (!tcp_seg_split(t, seg, range.start))
				return;
			continue; /* the rest comes next */
		}
		if (seq_lt(range.end, seg->end) && !tcp_seg_split(t, seg, range.end))
			return;
		arrived(t, seg, now_us, acked);
		acked->delivered += length(seg);
		set_state(t, seg, TCP_SEG_SACKED);
	}
	t->fack = seq_max(t->fack, range.end);
}

void tcp_segs_sack(struct tcp *t, const struct tcp_segment *seg, struct tcp_acked *acked)
{
	uint32_t now_us = tcp_us();

	for (unsigned i = 0; i < seg->sacks; i++) {
		struct tcp_range range = seg->sack[i];

		/* D-SACK (RFC 2883) and nonsense lie at or below una, or beyond what was sent. */
		if (!seq_lt(range.start, range.end) || !seq_lt(t->snd_una, range.end) ||
			seq_lt(t->snd_nxt, range.end) || seq_lt(range.start, t->snd_una))
			continue;
		sack_range(t, range, now_us, acked);
	}
}

static uint32_t reorder_window_us(const struct tcp *t)
{
	if (!t->reordering && (t->ca != TCP_CA_OPEN_ || t->sacked_segs >= DUP_THRESHOLD))
		return 0;
	return KL_MIN(KL_MAX(t->min_rtt_us / 4, t->reordering ? 1000u : 0u), KL_MAX(t->srtt_us, 1000u));
}

bool tcp_rack_detect(struct tcp *t)
{
	uint32_t now_us = tcp_us(), window_us = reorder_window_us(t), wait_us = 0;
	bool any = false;

	t->rack_wait_us = 0;
	if (t->rack_rtt_us == 0)
		return false;
	KL_LIST_FOR(link, &t->segs)
	{
		struct tcp_seg *seg = KL_LIST_ENTRY(link, struct tcp_seg, link);
		int32_t left;

		if (!seq_lt(seg->seq, t->fack) && !seg->resent)
			break; /* nothing sent later has arrived */
		if (seg->state != TCP_SEG_FLYING)
			continue;
		if (!seq_lt(seg->sent_us, t->rack_sent_us) &&
			!(seg->sent_us == t->rack_sent_us && seq_lt(seg->end, t->rack_end)))
			continue;
		left = (int32_t)(seg->sent_us + t->rack_rtt_us + window_us - now_us);
		if (left <= 0) {
			tcp_seg_lost(t, seg);
			any = true;
		} else {
			wait_us = KL_MAX(wait_us, (uint32_t)left);
		}
	}
	t->rack_wait_us = wait_us;
	return any;
}
