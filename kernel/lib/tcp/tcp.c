/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection's structure, and the work at the end of a batch. */
#include "tcp_priv.h"

#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/in.h>

struct tcp_root tcp_root;

struct tcp *tcp_alloc(void)
{
	struct tcp *t = kl_zalloc(sizeof(*t));

	if (t == NULL)
		return NULL;
	kl_socket_init(&t->sock, &tcp_socket_ops, 2 /* AF_INET */, 1 /* SOCK_STREAM */, IPPROTO_TCP);
	t->sock.sndbuf = 64u << 10;
	t->sock.rcvbuf = 128u << 10;
	t->state = TCP_S_CLOSED;
	t->node.kind = TCP_CONNECTION;
	t->timer.fn = tcp_timer_run;
	t->mss = TCP_MSS_DEFAULT;
	t->rcv_mss = TCP_MSS_DEFAULT;
	t->rto_us = TCP_RTO_START_US;
	t->keep_idle_s = 7200;
	t->keep_interval_s = 75;
	t->keep_count = 9;
	kl_list_init(&t->segs);
	kl_inet_options_init(&t->ip);
	tcp_root.connections++;
	return t;
}

void tcp_free(struct tcp *t)
{
	if (t->listen != NULL)
		tcp_listen_stop(t);
	if (t->orphan)
		tcp_root.orphans_count--;
	kl_net_timer_cancel(&t->timer);
	kl_list_remove(&t->pending_link);
	kl_list_remove(&t->accept_link);
	tcp_node_remove(&t->node);
	tcp_unbind(t);
	tcp_queue_clear(t);
	tcp_receive_clear(t);
	tcp_root.connections--;
	kl_free(t);
}

void tcp_wake(struct tcp *t, uint32_t events)
{
	kl_waitq_wake(&t->sock.wait, events);
}

void tcp_set_state(struct tcp *t, enum tcp_state state)
{
	t->state = (uint8_t)state;
}

void tcp_destroy(struct tcp *t, int error)
{
	if (t->state == TCP_S_CLOSED && !t->node.hashed && !kl_net_timer_is_set(&t->timer))
		return;
	tcp_set_state(t, TCP_S_CLOSED);
	if (error != 0)
		t->sock.error = error;
	kl_net_timer_cancel(&t->timer);
	t->loss_at_ns = t->delack_at_ns = t->keep_at_ns = 0;
	t->ack_now = t->probe_now = false;
	tcp_node_remove(&t->node);
	tcp_unbind(t);
	tcp_queue_clear(t);
	t->shut_read = t->shut_write = true;
	if (t->orphan)
		tcp_pend(t); /* freed there: callers still look at it */
	else
		tcp_wake(t, EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLRDHUP | (error != 0 ? EPOLLERR : 0));
}

void tcp_pend(struct tcp *t)
{
	if (!kl_list_linked(&t->pending_link))
		kl_list_push_back(&tcp_root.pending, &t->pending_link);
	kl_net_work_schedule(&tcp_root.work);
}

bool tcp_memory_tight(void)
{
	return tcp_root.memory > tcp_root.memory_max - tcp_root.memory_max / 4;
}

static void work_run(struct kl_net_work *work)
{
	struct kl_list batch, *link;

	(void)work;
	tcp_enter();
	/* Those that have to wait for the interface come back into the root's list. */
	kl_list_init(&batch);
	while ((link = kl_list_pop_front(&tcp_root.pending)) != NULL)
		kl_list_push_back(&batch, link);
	while ((link = kl_list_pop_front(&batch)) != NULL) {
		struct tcp *t = KL_LIST_ENTRY(link, struct tcp, pending_link);

		if (t->state != TCP_S_CLOSED)
			tcp_output(t);
		else if (t->orphan)
			tcp_free(t);
	}
}

int kl_tcp_init(void);
int kl_tcp_init(void)
{
	static struct kl_ipv4_protocol protocol = {.protocol = KL_IPPROTO_TCP, .input = tcp_input, .error = tcp_error};
	static struct kl_inet_protocol family = {.type = 1, .protocol = IPPROTO_TCP, .create = tcp_create};
	int err;

	tcp_root.memory_max = kl_net_memory_max();
	kl_list_init(&tcp_root.pending);
	tcp_root.work.run = work_run;
	kl_net_work_add(&tcp_root.work);
	/* Each counts by what it costs: the tables may take an eighth of the budget each. */
	tcp_root.requests_max = (unsigned)KL_MAX(tcp_root.memory_max / 8 / sizeof(struct tcp_request), (size_t)64);
	tcp_root.timewaits_max = (unsigned)KL_MAX(tcp_root.memory_max / 8 / sizeof(struct tcp_timewait), (size_t)64);
	tcp_root.orphans_max = (unsigned)KL_MAX(tcp_root.memory_max / 8 / sizeof(struct tcp), (size_t)64);
	tcp_timewait_init();
	err = tcp_demux_init();
	if (err != 0)
		return err;
	kl_ipv4_protocol_add(&protocol);
	kl_inet_protocol_add(&family);
	return 0;
}
