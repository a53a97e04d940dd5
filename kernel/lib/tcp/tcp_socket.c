/* SPDX-License-Identifier: Apache-2.0 */
/* The socket's operations but for data and options (tcp(7), and the manual pages of the calls). */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/in.h>

static int tcp_bind(struct kl_socket *sock, const struct kl_sockaddr *addr)
{
	struct tcp *t = tcp_of(sock);
	uint32_t address_be;
	uint16_t port;
	int err = kl_inet_address_get(addr, &address_be, &port);

	if (err != 0)
		return err;
	if (t->state != TCP_S_CLOSED || t->bound)
		return -EINVAL;
	if (address_be != 0 && !kl_route_is_local(address_be)) {
		err = kl_net_wait_configured();
		if (err != 0)
			return err;
		if (!kl_route_is_local(address_be))
			return -EADDRNOTAVAIL;
		if (t->state != TCP_S_CLOSED || t->bound)
			return -EINVAL; /* another thread was faster */
	}
	return tcp_bind_port(t, address_be, port);
}

static int tcp_listen(struct kl_socket *sock, int backlog)
{
	struct tcp *t = tcp_of(sock);
	int err;

	if (!TCP_IN(t->state, TCP_M(CLOSED) | TCP_M(LISTEN)))
		return -EINVAL;
	if (!t->bound) {
		err = tcp_bind_port(t, 0, 0);
		if (err != 0)
			return err;
	}
	if (t->listen == NULL) {
		err = tcp_listen_conflict(t);
		if (err != 0)
			return err;
	}
	return tcp_listen_start(t, backlog);
}

static int tcp_accept(struct kl_socket *sock, bool nonblock, struct kl_socket **out)
{
	struct tcp *t = tcp_of(sock);
	uint64_t deadline = kl_inet_deadline(sock->rcvtimeo_ns);
	struct kl_list *link;
	bool looked = false;

	for (;;) {
		int err;

		if (t->state != TCP_S_LISTEN)
			return -EINVAL;
		link = kl_list_pop_front(&t->listen->accepted);
		if (link != NULL)
			break;
		if (nonblock) {
			if (looked)
				return -EAGAIN;
			looked = true;
			kl_inet_poll();
			continue;
		}
		err = kl_wait(&sock->wait, deadline, true);
		if (err != 0)
			return err == -ETIMEDOUT ? -EAGAIN : err;
	}
	t->listen->accepted_count--;
	if (t->listen->waiting_count > 0) {
		tcp_enter();
		tcp_listen_refill(t->listen);
	}
	*out = &KL_LIST_ENTRY(link, struct tcp, accept_link)->sock;
	return 0;
}

/* Back to an unconnected socket (AF_UNSPEC). */
static int disconnect(struct tcp *t)
{
	tcp_enter();
	if (t->state == TCP_S_LISTEN) {
		tcp_listen_stop(t);
		tcp_set_state(t, TCP_S_CLOSED);
		tcp_wake(t, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP); /* those that wait in accept(2) */
	} else if (t->state != TCP_S_CLOSED) {
		if (TCP_IN(t->state, TCP_CAN_SEND | TCP_M(FIN_WAIT1) | TCP_M(FIN_WAIT2)))
			tcp_send_reset(t);
		tcp_destroy(t, 0);
	}
	tcp_receive_clear(t);
	t->sock.error = 0;
	t->was_connected = t->shut_read = t->shut_write = false;
	t->fin_queued = t->fin_sent = t->fin_received = t->ooo_fin = false;
	return 0;
}

static int wait_connected(struct tcp *t)
{
	uint64_t deadline = kl_inet_deadline(t->sock.sndtimeo_ns);

	while (TCP_IN(t->state, TCP_M(SYN_SENT) | TCP_M(SYN_RECV))) {
		int err = kl_wait(&t->sock.wait, deadline, true);

		if (err != 0)
			return err == -ETIMEDOUT ? -EINPROGRESS : err;
	}
	if (t->state == TCP_S_CLOSED) {
		int err = tcp_take_error(t);

		return err != 0 ? -err : -ECONNABORTED;
	}
	return 0;
}

static int tcp_connect_call(struct kl_socket *sock, const struct kl_sockaddr *addr, bool nonblock)
{
	struct tcp *t = tcp_of(sock);
	uint32_t address_be;
	uint16_t port;
	int err;

	if (addr->bytes >= sizeof(addr->family) && addr->family == KL_AF_UNSPEC)
		return disconnect(t);
	err = kl_inet_address_get(addr, &address_be, &port);
	if (err != 0)
		return err;
	if (TCP_IN(t->state, TCP_M(SYN_SENT) | TCP_M(SYN_RECV)))
		return nonblock ? -EALREADY : wait_connected(t);
	if (t->state != TCP_S_CLOSED || t->was_connected)
		return t->state == TCP_S_CLOSED && sock->error != 0 ? -tcp_take_error(t) : -EISCONN;
	if (sock->error != 0)
		return -tcp_take_error(t);
	if (address_be == 0)
		address_be = kl_htonl(0x7f000001); /* as Linux */
	if (kl_route_is_multicast(address_be) || kl_route_is_broadcast(address_be))
		return -ENETUNREACH;
	t->shut_read = t->shut_write = false;
	err = tcp_connect(t, address_be, port);
	if (err != 0)
		return err;
	return nonblock ? -EINPROGRESS : wait_connected(t);
}

static void queue_fin(struct tcp *t)
{
	if (t->fin_queued)
		return;
	t->fin_queued = true;
	t->shut_write = true;
	tcp_set_state(t, t->state == TCP_S_CLOSE_WAIT ? TCP_S_LAST_ACK : TCP_S_FIN_WAIT1);
	tcp_pend(t);
}

static int tcp_shutdown(struct kl_socket *sock, int how)
{
	struct tcp *t = tcp_of(sock);

	tcp_enter();
	if (t->state == TCP_S_LISTEN) {
		if (how == KL_SHUT_WR)
			return 0;
		return disconnect(t);
	}
	if (t->state == TCP_S_SYN_SENT)
		return disconnect(t); /* as Linux: connect(2) ends */
	if (t->state == TCP_S_CLOSED)
		return -ENOTCONN;
	if (how != KL_SHUT_WR)
		t->shut_read = true;
	if (how != KL_SHUT_RD && TCP_IN(t->state, TCP_CAN_SEND | TCP_M(SYN_RECV)))
		queue_fin(t);
	tcp_wake(t, EPOLLIN | EPOLLOUT | EPOLLRDHUP | (t->shut_read && t->shut_write ? EPOLLHUP : 0));
	return 0;
}

static int tcp_name(struct kl_socket *sock, bool peer, struct kl_sockaddr *out)
{
	struct tcp *t = tcp_of(sock);

	if (!peer) {
		kl_inet_address_put(out, t->node.local_be, t->node.local_port);
		return 0;
	}
	if (TCP_IN(t->state, TCP_M(CLOSED) | TCP_M(LISTEN) | TCP_M(SYN_SENT)))
		return -ENOTCONN;
	kl_inet_address_put(out, t->node.remote_be, t->node.remote_port);
	return 0;
}

bool tcp_writable(const struct tcp *t)
{
	uint32_t queued = tcp_queued(t);

	/* Two thirds full at most, so that each wake-up is worth it. */
	return queued <= t->sock.sndbuf / 3 * 2 && !(tcp_root.memory > tcp_root.memory_max && queued > 0);
}

static uint32_t tcp_poll(struct kl_socket *sock, struct kl_poll_table *table)
{
	struct tcp *t = tcp_of(sock);
	uint32_t events = 0;

	if (table != NULL)
		table->add(table, &sock->wait);
	if (t->state == TCP_S_LISTEN)
		return kl_list_empty(&t->listen->accepted) ? 0 : EPOLLIN | EPOLLRDNORM;
	if (sock->error != 0)
		events |= EPOLLERR;
	if (t->state == TCP_S_CLOSED || (t->shut_write && (t->shut_read || t->fin_received)))
		events |= EPOLLHUP;
	if (t->shut_read || t->fin_received)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (TCP_IN(t->state, TCP_M(SYN_SENT) | TCP_M(SYN_RECV)))
		return events;
	if (t->rcv_queue.bytes > 0 && t->rcv_queue.bytes >= KL_MIN(sock->rcvlowat, sock->rcvbuf / 2))
		events |= EPOLLIN | EPOLLRDNORM;
	if (t->shut_write || t->state == TCP_S_CLOSED || tcp_writable(t))
		events |= EPOLLOUT | EPOLLWRNORM;
	else
		t->no_space = true;
	return events;
}

/* SO_LINGER: waits for the peer to have everything, or for the time. */
static void linger(struct tcp *t)
{
	uint64_t deadline = kl_clock_ns() + (uint64_t)t->sock.linger.seconds * KL_NS_PER_S;

	while (TCP_IN(t->state, TCP_M(FIN_WAIT1) | TCP_M(CLOSING) | TCP_M(LAST_ACK))) {
		if (kl_wait(&t->sock.wait, deadline, true) != 0)
			break;
	}
}

static void abort_connection(struct tcp *t)
{
	tcp_send_reset(t);
	tcp_destroy(t, 0);
	tcp_free(t);
}

void tcp_close(struct tcp *t)
{
	bool abort;

	tcp_enter();
	if (TCP_IN(t->state, TCP_M(CLOSED) | TCP_M(LISTEN) | TCP_M(SYN_SENT))) {
		tcp_free(t);
		return;
	}
	/* What the program did not read is lost: the peer must learn that (RFC 2525, section 2.17). */
	abort = t->rcv_queue.bytes > 0 || (t->sock.linger.on && t->sock.linger.seconds == 0) ||
		tcp_root.orphans_count >= tcp_root.orphans_max;
	if (abort) {
		abort_connection(t);
		return;
	}
	if (TCP_IN(t->state, TCP_CAN_SEND | TCP_M(SYN_RECV)))
		queue_fin(t);
	if (t->sock.linger.on) {
		linger(t);
		if (t->state == TCP_S_CLOSED) {
			tcp_free(t);
			return;
		}
	}
	t->orphan = true;
	tcp_root.orphans_count++;
	t->sock.file = NULL;
	tcp_receive_clear(t);
	tcp_timer_keep(t);
	tcp_pend(t);
}

static void tcp_release(struct kl_socket *sock)
{
	tcp_close(tcp_of(sock));
}

int tcp_create(struct kl_socket **out)
{
	struct tcp *t = tcp_alloc();

	if (t == NULL)
		return -ENOMEM;
	*out = &t->sock;
	return 0;
}

const struct kl_socket_ops tcp_socket_ops = {
	.bind = tcp_bind,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.connect = tcp_connect_call,
	.send = tcp_send,
	.receive = tcp_receive,
	.shutdown = tcp_shutdown,
	.name = tcp_name,
	.set_option = tcp_set_option,
	.get_option = tcp_get_option,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
	.release = tcp_release,
	.send_span = tcp_send_span,
};
