/* SPDX-License-Identifier: Apache-2.0 */
/* Data that comes in: the receive queue, what came out of order, when to acknowledge (RFC 9293 sections 3.8.6.3 and 3.10.7.4). */
#include "tcp_priv.h"

#include <linux/eventpoll.h>

#define COMPACT_MAX 1024u /* payload that may be copied so as not to hold a large buffer */

static uint32_t truesize(const struct kl_pbuf *packet)
{
	uint32_t sum = 0;

	for (; packet != NULL; packet = packet->next)
		sum += packet->truesize;
	return sum;
}

static void charge(uint32_t *counter, int64_t bytes)
{
	*counter = (uint32_t)(*counter + bytes);
	tcp_root.memory = (size_t)((int64_t)tcp_root.memory + bytes);
}

static struct kl_pbuf *last_packet(struct kl_pbuf_queue *queue)
{
	return queue->first == NULL ? NULL : KL_CONTAINER(queue->last, struct kl_pbuf, queue);
}

/* Little data in a large buffer: into the room behind the last packet, or into a buffer of its size. NULL: done. */
static struct kl_pbuf *compact(struct tcp *t, struct kl_pbuf *packet)
{
	struct kl_pbuf *last = last_packet(&t->rcv_queue), *copy;

	if (packet->total > COMPACT_MAX || packet->total * 4 > truesize(packet))
		return packet;
	if (last != NULL && last->next == NULL && last->refs == 1 && !last->slice &&
		kl_pbuf_tailroom(last) >= packet->total) {
		kl_pbuf_copy_out(packet, 0, kl_pbuf_append(last, packet->total), packet->total);
		t->rcv_queue.bytes += packet->total;
		kl_pbuf_put(packet);
		return NULL;
	}
	if (packet->total + sizeof(*packet) > truesize(packet) / 4 && packet->next == NULL && !packet->slice)
		return packet;
	copy = kl_pbuf_copy(packet, 0);
	if (copy == NULL)
		return packet;
	kl_pbuf_put(packet);
	return copy;
}

static void append(struct tcp *t, struct kl_pbuf *packet)
{
	uint32_t n = packet->total;

	t->rcv_nxt += n;
	t->bytes_received += n;
	packet = compact(t, packet);
	if (packet == NULL)
		return;
	charge(&t->rcv_truesize, truesize(packet));
	kl_pbuf_enqueue(&t->rcv_queue, packet);
}

static void fin_in(struct tcp *t)
{
	t->fin_received = true;
	t->rcv_nxt++;
	t->ack_now = true;
	tcp_pend(t);
	switch (t->state) {
	case TCP_S_ESTABLISHED: tcp_set_state(t, TCP_S_CLOSE_WAIT); break;
	case TCP_S_FIN_WAIT1: tcp_set_state(t, TCP_S_CLOSING); break;
	default: break; /* FIN-WAIT-2: the caller goes on to TIME-WAIT */
	}
	tcp_wake(t, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
}

/* --- out of order --- */

static uint32_t end_of(const struct kl_pbuf *packet)
{
	return packet->seq + packet->total;
}

static void ooo_remove_after(struct tcp *t, struct kl_pbuf *before)
{
	struct kl_pbuf **at = before == NULL ? &t->ooo : &before->queue, *packet = *at;

	*at = packet->queue;
	if (t->ooo_last == packet)
		t->ooo_last = before;
	packet->queue = NULL;
	charge(&t->ooo_truesize, -(int64_t)truesize(packet));
}

/* Takes over the packet. */
static void ooo_insert(struct tcp *t, struct kl_pbuf *packet, uint32_t seq)
{
	struct kl_pbuf *before = NULL, *next;

	if (t->ooo_last != NULL && seq_le(end_of(t->ooo_last), seq)) {
		before = t->ooo_last;
	} else {
		for (next = t->ooo; next != NULL && seq_le(next->seq, seq); next = next->queue)
			before = next;
	}
	if (before != NULL && seq_lt(seq, end_of(before))) {
		uint32_t n = end_of(before) - seq;

		t->dsack = (struct tcp_range){seq, seq + KL_MIN(n, packet->total)};
		if (n >= packet->total)
			goto drop;
		packet = kl_pbuf_drop(packet, n);
		seq += n;
	}
	while ((next = before == NULL ? t->ooo : before->queue) != NULL && seq_lt(next->seq, seq + packet->total)) {
		if (seq_lt(seq + packet->total, end_of(next))) {
			kl_pbuf_trim(packet, next->seq - seq);
			break;
		}
		ooo_remove_after(t, before);
		kl_pbuf_put(next);
	}
	/* What came in order may use all of the buffer; this must not keep it out. */
	if (t->ooo_truesize > t->sock.rcvbuf * 2 || tcp_root.memory > tcp_root.memory_max)
		goto drop;
	packet->seq = seq;
	packet->queue = next;
	if (before == NULL)
		t->ooo = packet;
	else
		before->queue = packet;
	if (next == NULL)
		t->ooo_last = packet;
	charge(&t->ooo_truesize, truesize(packet));
	t->last_ooo = (struct tcp_range){seq, seq + packet->total};
	return;
drop:
	kl_pbuf_put(packet);
}

static void ooo_drain(struct tcp *t)
{
	while (t->ooo != NULL && seq_le(t->ooo->seq, t->rcv_nxt)) {
		struct kl_pbuf *packet = t->ooo;
		uint32_t old;

		ooo_remove_after(t, NULL);
		old = t->rcv_nxt - packet->seq;
		if (old >= packet->total) {
			kl_pbuf_put(packet);
			continue;
		}
		append(t, kl_pbuf_drop(packet, old));
	}
	if (t->ooo_fin && t->ooo_fin_seq == t->rcv_nxt)
		fin_in(t);
}

unsigned tcp_sack_blocks(struct tcp *t, struct tcp_range *out, unsigned max)
{
	unsigned n = 0, start;
	struct kl_pbuf *packet = t->ooo;

	if (t->dsack.start != t->dsack.end) {
		out[n++] = t->dsack;
		t->dsack.end = t->dsack.start;
	}
	start = n;
	while (packet != NULL) {
		struct tcp_range range = {packet->seq, end_of(packet)};

		for (packet = packet->queue; packet != NULL && packet->seq == range.end; packet = packet->queue)
			range.end = end_of(packet);
		/* The block with what came last is the first (RFC 2018, section 4). */
		if (seq_le(range.start, t->last_ooo.start) && seq_lt(t->last_ooo.start, range.end) && n > start) {
			if (n == max)
				n--;
			memmove(&out[start + 1], &out[start], (n - start) * sizeof(out[0]));
			out[start] = range;
			n++;
		} else if (n < max) {
			out[n++] = range;
		}
	}
	return n;
}

/* --- acknowledging --- */

static void schedule_ack(struct tcp *t)
{
	if (t->rcv_nxt - t->ack_sent >= 2u * t->rcv_mss || t->quick_ack) {
		t->ack_now = true;
		tcp_pend(t);
		return;
	}
	t->ack_pending = true;
	if (t->delack_at_ns == 0) {
		t->delack_at_ns = t->last_received_ns + TCP_DELACK_NS;
		tcp_timer_update(t);
	}
}

static void in_order(struct tcp *t, struct kl_pbuf *packet, bool fin)
{
	bool had_hole = t->ooo != NULL;

	append(t, packet);
	if (had_hole)
		ooo_drain(t);
	if (had_hole) {
		t->ack_now = true; /* RFC 5681, section 4.2 */
		tcp_pend(t);
	} else {
		schedule_ack(t);
	}
	if (fin && !t->fin_received)
		fin_in(t);
	else
		tcp_wake(t, EPOLLIN | EPOLLRDNORM);
}

void tcp_data_in(struct tcp *t, struct tcp_segment *seg)
{
	struct kl_pbuf *packet = seg->packet;
	uint32_t seq = seg->seq, n = seg->bytes;
	bool fin = (seg->flags & TCP_FIN) != 0;

	seg->packet = NULL;
	if (packet->gso == KL_GSO_NONE && n > t->rcv_mss)
		t->rcv_mss = (uint16_t)KL_MIN(n, 65535u);
	else if (packet->gso != KL_GSO_NONE && packet->gso_bytes > t->rcv_mss)
		t->rcv_mss = packet->gso_bytes;
	if (seq_lt(seq, t->rcv_nxt)) {
		uint32_t old = t->rcv_nxt - seq;

		t->dsack = (struct tcp_range){seq, seq + KL_MIN(old, n)};
		t->ack_now = true;
		tcp_pend(t);
		if (old >= n + (fin ? 1 : 0))
			goto drop;
		old = KL_MIN(old, n);
		packet = kl_pbuf_drop(packet, old);
		seq += old;
		n -= old;
	}
	if (seq_lt(t->rcv_adv, seq + n)) {
		t->ack_now = true;
		tcp_pend(t);
		fin = false;
		if (!seq_lt(seq, t->rcv_adv))
			goto drop;
		n = t->rcv_adv - seq;
		kl_pbuf_trim(packet, n);
	}
	if (seq == t->rcv_nxt) {
		/* Beyond the budget each connection may still have one packet, so that all of them get on. */
		if (n > 0 && tcp_root.memory > tcp_root.memory_max && t->rcv_queue.first != NULL)
			goto drop;
		if (n > 0) {
			in_order(t, packet, fin);
			return;
		}
		if (fin && !t->fin_received)
			fin_in(t);
		goto drop;
	}
	t->ack_now = true;
	if (fin) {
		t->ooo_fin = true;
		t->ooo_fin_seq = seq + n;
	}
	if (n > 0) {
		ooo_insert(t, packet, seq);
		packet = NULL;
	}
	tcp_send_ack(t);
drop:
	kl_pbuf_put(packet);
}

/* The program took bytes out of the queue: the buffer grows with what it takes in one round trip. */
void tcp_receive_consumed(struct tcp *t, uint32_t bytes)
{
	uint32_t now_us = tcp_us(), rtt_us = KL_MAX(t->srtt_us, 1000u);
	uint32_t max = (uint32_t)KL_MIN((size_t)TCP_RCVBUF_MAX, tcp_root.memory_max / 4);

	t->read_bytes += bytes;
	if (now_us - t->tune_us >= rtt_us) {
		if (!t->rcvbuf_locked && t->read_bytes > t->sock.rcvbuf / 2 && t->sock.rcvbuf < max &&
			!tcp_memory_tight())
			t->sock.rcvbuf = KL_MIN(t->sock.rcvbuf * 2, max);
		t->read_bytes = 0;
		t->tune_us = now_us;
	}
	tcp_window_opened(t);
}

void tcp_receive_clear(struct tcp *t)
{
	charge(&t->rcv_truesize, -(int64_t)t->rcv_truesize);
	kl_pbuf_queue_free(&t->rcv_queue);
	while (t->ooo != NULL) {
		struct kl_pbuf *packet = t->ooo;

		ooo_remove_after(t, NULL);
		kl_pbuf_put(packet);
	}
}
