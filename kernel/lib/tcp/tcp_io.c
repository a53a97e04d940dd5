/* SPDX-License-Identifier: Apache-2.0 */
/* Data between the program and the connection (send(2), recv(2)). */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>

#define OUTPUT_NOW (32u << 10) /* unsent bytes from which on waiting for the end of the batch gains nothing */

#define COPY_MAX 512u /* of a file: less is copied, so that it shares a buffer with what precedes it */

int tcp_take_error(struct tcp *t)
{
	int error = t->sock.error;

	t->sock.error = 0;
	return error;
}

/* Waits for the connection to be able to send. 0 or -errno. */
static int wait_sendable(struct tcp *t, bool nonblock, uint64_t deadline)
{
	for (;;) {
		if (t->sock.error != 0)
			return -tcp_take_error(t);
		if (TCP_IN(t->state, TCP_M(SYN_SENT) | TCP_M(SYN_RECV)) && !t->shut_write) {
			if (nonblock)
				return -EAGAIN;
		} else if (t->shut_write || !TCP_IN(t->state, TCP_CAN_SEND)) {
			return -EPIPE;
		} else if (tcp_queued(t) < t->sock.sndbuf &&
			!(tcp_root.memory > tcp_root.memory_max && tcp_queued(t) > 0)) {
			return 0;
		} else {
			t->no_space = true;
			if (nonblock)
				return -EAGAIN;
		}
		{
			int err = kl_wait(&t->sock.wait, deadline, true);

			if (err != 0)
				return err == -ETIMEDOUT ? -EAGAIN : err;
		}
	}
}

/* What was queued goes out at the end of the batch, together with what is written until then. */
static void push(struct tcp *t)
{
	if (t->snd_end - t->snd_nxt >= OUTPUT_NOW) {
		tcp_enter();
		tcp_output(t);
	} else {
		tcp_pend(t);
	}
}

/* Copies up to the buffer's limit. Bytes, or -EFAULT, -ENOBUFS when there were none. */
static kl_ssize fill_queue(struct tcp *t, struct kl_iter *it)
{
	kl_ssize copied = 0;

	while (it->left > 0 && tcp_queued(t) < t->sock.sndbuf) {
		struct tcp_block *block = tcp_block_room(t, it->left);
		uint32_t n;
		size_t before = it->left;
		int err;

		if (block == NULL)
			return copied > 0 ? copied : -ENOBUFS;
		n = (uint32_t)KL_MIN((size_t)(block->size - block->used), it->left);
		n = KL_MIN(n, t->sock.sndbuf - tcp_queued(t));
		err = kl_iter_read(it, block->data + block->used, n);
		n = (uint32_t)(before - it->left);
		tcp_queue_append(t, block, n);
		copied += n;
		if (err != 0)
			return copied > 0 ? copied : err;
	}
	return copied;
}

kl_ssize tcp_send(struct kl_socket *sock, struct kl_message *msg)
{
	struct tcp *t = tcp_of(sock);
	bool nonblock = kl_socket_nonblock(sock, msg->flags);
	uint64_t deadline = kl_inet_deadline(sock->sndtimeo_ns);
	kl_ssize sent = 0;

	if (msg->flags & (KL_MSG_OOB | KL_MSG_FASTOPEN))
		return -EOPNOTSUPP;
	do {
		int err = wait_sendable(t, nonblock, deadline);
		kl_ssize n;

		if (err != 0)
			return sent > 0 ? sent : err;
		n = fill_queue(t, msg->it);
		if (n == -ENOBUFS && !nonblock && sent == 0)
			n = -ENOMEM;
		if (n < 0)
			return sent > 0 ? sent : (n == -ENOBUFS ? -EAGAIN : n);
		sent += n;
		t->more = (msg->flags & KL_MSG_MORE) != 0;
		push(t);
	} while (msg->it->left > 0);
	return sent;
}

kl_ssize tcp_send_span(struct kl_socket *sock, const void *data, size_t bytes, kl_phys hold, bool more)
{
	struct tcp *t = tcp_of(sock);
	bool nonblock = kl_socket_nonblock(sock, 0);
	int err;
	uint32_t n;

	if (bytes <= COPY_MAX)
		return -EOPNOTSUPP; /* behind what was written before, in one buffer: cheaper */
	err = wait_sendable(t, nonblock, kl_inet_deadline(sock->sndtimeo_ns));
	if (err != 0)
		return err;
	n = (uint32_t)KL_MIN(bytes, (size_t)(t->sock.sndbuf - tcp_queued(t)));
	err = tcp_queue_span(t, data, n, hold);
	if (err != 0)
		return nonblock ? -EAGAIN : err;
	t->more = more;
	push(t);
	return n;
}

/* --- receive --- */

static uint32_t truesize(const struct kl_pbuf *packet)
{
	uint32_t sum = 0;

	for (; packet != NULL; packet = packet->next)
		sum += packet->truesize;
	return sum;
}

/* Removes n bytes from the first packet, or all of it. */
static void consume(struct tcp *t, uint32_t n)
{
	struct kl_pbuf *packet = t->rcv_queue.first;
	uint32_t before = truesize(packet), after = 0;

	if (n == packet->total) {
		kl_pbuf_put(kl_pbuf_dequeue(&t->rcv_queue));
	} else {
		struct kl_pbuf *next = packet->queue, *rest = kl_pbuf_drop(packet, n);

		rest->queue = next;
		if (next == NULL)
			t->rcv_queue.last = &rest->queue;
		t->rcv_queue.first = rest;
		t->rcv_queue.bytes -= n;
		after = truesize(rest);
	}
	t->rcv_truesize -= before - after;
	tcp_root.memory -= before - after;
}

/* n bytes of the packet from offset on to the program; NULL iterator: nowhere. */
static int copy_packet(const struct kl_pbuf *packet, uint32_t offset, uint32_t n, struct kl_iter *it)
{
	for (; n > 0; packet = packet->next) {
		uint32_t part;
		int err;

		if (offset >= packet->bytes) {
			offset -= packet->bytes;
			continue;
		}
		part = KL_MIN(n, packet->bytes - offset);
		err = kl_iter_write(it, packet->data + offset, part);
		if (err != 0)
			return err;
		n -= part;
		offset = 0;
	}
	return 0;
}

/* What is there, at most want bytes. */
static kl_ssize drain(struct tcp *t, struct kl_iter *it, size_t want, int flags)
{
	size_t done = 0;

	while (done < want && t->rcv_queue.first != NULL) {
		struct kl_pbuf *packet = t->rcv_queue.first;
		uint32_t n = (uint32_t)KL_MIN(want - done, (size_t)packet->total);

		if (!(flags & KL_MSG_TRUNC)) {
			int err = copy_packet(packet, 0, n, it);

			if (err != 0)
				return done > 0 ? (kl_ssize)done : err;
		}
		done += n;
		consume(t, n);
	}
	return (kl_ssize)done;
}

static kl_ssize peek(struct tcp *t, struct kl_iter *it, size_t want, int flags)
{
	size_t done = 0;

	for (struct kl_pbuf *packet = t->rcv_queue.first; packet != NULL && done < want; packet = packet->queue) {
		uint32_t n = (uint32_t)KL_MIN(want - done, (size_t)packet->total);
		int err = flags & KL_MSG_TRUNC ? 0 : copy_packet(packet, 0, n, it);

		if (err != 0)
			return err;
		done += n;
	}
	return (kl_ssize)done;
}

/* Nothing is queued: 1 to wait, 0 at the end of the stream, -errno. */
static int why_empty(struct tcp *t)
{
	if (t->fin_received)
		return 0;
	if (t->sock.error != 0)
		return -tcp_take_error(t);
	if (t->shut_read)
		return t->was_connected ? 0 : -ENOTCONN;
	if (t->state == TCP_S_CLOSED)
		return t->was_connected ? 0 : -ENOTCONN;
	return 1;
}

kl_ssize tcp_receive(struct kl_socket *sock, struct kl_message *msg)
{
	struct tcp *t = tcp_of(sock);
	int flags = msg->flags, why;
	bool nonblock = kl_socket_nonblock(sock, flags), looked = false;
	uint64_t deadline = kl_inet_deadline(sock->rcvtimeo_ns);
	size_t want = msg->it->left, done = 0;
	struct kl_iter start = *msg->it;
	size_t enough = flags & KL_MSG_WAITALL ? want : KL_MIN(want, (size_t)KL_MIN(sock->rcvlowat, sock->rcvbuf / 2));

	msg->flags = 0;
	msg->control_bytes = 0;
	if (msg->addr != NULL)
		msg->addr->bytes = 0; /* a stream's peer is known */
	if (t->state == TCP_S_LISTEN)
		return -ENOTCONN;
	if (flags & KL_MSG_OOB)
		return -EINVAL;
	if (flags & KL_MSG_ERRQUEUE)
		return -EAGAIN;
	for (;;) {
		kl_ssize n;
		int err;

		if (want == 0 &&
			t->rcv_queue.first != NULL) /* as Linux: nothing is wanted, but something must be there */
			return 0;
		if (flags & KL_MSG_PEEK) {
			*msg->it = start; /* from the beginning, however often */
			n = peek(t, msg->it, want, flags);
			if (n != 0 && (!(flags & KL_MSG_WAITALL) || n < 0 || (size_t)n == want || nonblock))
				return n;
		} else {
			n = drain(t, msg->it, want - done, flags);
			if (n < 0)
				return done > 0 ? (kl_ssize)done : n;
			if (n > 0) {
				done += (size_t)n;
				tcp_receive_consumed(t, (uint32_t)n);
			}
			if ((done >= enough && done > 0) || (done > 0 && nonblock))
				return (kl_ssize)done;
		}
		if (done > 0 && t->sock.error != 0)
			return (kl_ssize)done;
		why = why_empty(t);
		if (why <= 0)
			return done > 0 ? (kl_ssize)done : why;
		if (nonblock) {
			if (looked)
				return -EAGAIN;
			looked = true;
			kl_inet_poll();
			continue;
		}
		err = kl_wait(&sock->wait, deadline, true);
		if (err != 0)
			return done > 0 ? (kl_ssize)done : (err == -ETIMEDOUT ? -EAGAIN : err);
	}
}
