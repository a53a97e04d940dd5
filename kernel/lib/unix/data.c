/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving. */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/string.h>

#include "unix_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>

static void message_free(struct kl_unix_message *m)
{
	kl_scm_free(m->scm);
	kl_unix_put(m->from);
	kl_free(m);
}

static uint32_t cost(const struct kl_unix_message *m)
{
	return m->bytes + (uint32_t)sizeof(*m);
}

static uint64_t deadline(uint64_t timeout_ns)
{
	return timeout_ns != 0 ? kl_clock_ns() + timeout_ns : KL_FOREVER;
}

static int wait_in(struct kl_waitq *q, bool nonblock, uint64_t deadline_ns)
{
	int rc = nonblock ? -EAGAIN : kl_wait(q, deadline_ns, true);

	return rc == -ETIMEDOUT ? -EAGAIN : rc;
}

/* --- sending --- */

static int take_error(struct kl_unix *u)
{
	int rc = -u->sock.error;

	u->sock.error = 0;
	return rc;
}

/* Where a message goes now. Looked up again after each wait. */
static int find_target(struct kl_unix *u, const struct kl_message *msg, struct kl_unix **out)
{
	bool dgram = kl_unix_is_dgram(u), named = dgram && msg->addr != NULL;
	int rc;

	if (msg->addr != NULL && u->sock.type == KL_SOCK_STREAM)
		return u->peer != NULL ? -EISCONN : -EOPNOTSUPP;
	if (dgram && u->shut_write)
		return -EPIPE;
	if (!named && u->peer == NULL)
		return -ENOTCONN;
	if (u->shut_write)
		return -EPIPE;
	*out = u->peer;
	if (named) {
		rc = kl_unix_find(msg->addr, u->sock.type, out);
		if (rc < 0)
			return rc;
	} else if (u->peer->dead) {
		if (!dgram)
			return -EPIPE;
		kl_unix_set_peer(u, NULL);
		return -ECONNREFUSED;
	}
	if (dgram && (*out)->peer != NULL && (*out)->peer != u)
		return -EPERM; /* it talks to somebody else only */
	return (*out)->shut_read ? -EPIPE : 0;
}

/* The target, once it has room for n bytes. */
static int wait_target(
	struct kl_unix *u, const struct kl_message *msg, uint32_t n, uint64_t deadline_ns, struct kl_unix **out)
{
	for (;;) {
		int rc = find_target(u, msg, out);

		if (rc < 0 || (*out)->queued == 0 || (*out)->queued + n <= u->sock.sndbuf)
			return rc;
		rc = wait_in(&kl_unix_room, kl_socket_nonblock(&u->sock, msg->flags), deadline_ns);
		if (rc < 0)
			return rc;
	}
}

static struct kl_unix_message *make_message(struct kl_unix *u, size_t n)
{
	struct kl_unix_message *m = kl_malloc(sizeof(*m) + n);

	if (m == NULL)
		return NULL;
	memset(m, 0, sizeof(*m));
	m->bytes = (uint32_t)n;
	m->cred = kl_unix_credentials();
	m->from = u;
	u->refs++;
	return m;
}

static kl_ssize send_piece(
	struct kl_unix *u, struct kl_message *msg, size_t n, struct kl_scm **scm, uint64_t deadline_ns)
{
	struct kl_unix_message *m;
	struct kl_unix *to;
	int rc = wait_target(u, msg, (uint32_t)n, deadline_ns, &to);

	if (rc < 0)
		return rc;
	m = make_message(u, n);
	if (m == NULL)
		return -ENOBUFS;
	rc = kl_iter_read(msg->it, m->data, n);
	if (rc < 0) {
		message_free(m);
		return rc;
	}
	m->scm = *scm;
	*scm = NULL;
	kl_list_push_back(&to->queue, &m->link);
	to->queued += cost(m);
	kl_waitq_wake(&to->sock.wait, EPOLLIN | EPOLLRDNORM);
	return (kl_ssize)n;
}

kl_ssize kl_unix_send(struct kl_socket *sock, struct kl_message *msg)
{
	struct kl_unix *u = kl_unix_of(sock);
	uint64_t deadline_ns = deadline(sock->sndtimeo_ns);
	struct kl_scm *scm = NULL;
	kl_ssize done = 0, rc;

	if ((msg->flags & KL_MSG_OOB) != 0)
		return -EOPNOTSUPP;
	if (sock->type != KL_SOCK_STREAM && sock->error != 0)
		return take_error(u);
	rc = kl_scm_take(msg->control, msg->control_bytes, &scm);
	if (rc < 0)
		return rc;
	if (sock->type != KL_SOCK_STREAM) {
		rc = msg->it->left > sock->sndbuf ? -EMSGSIZE : send_piece(u, msg, msg->it->left, &scm, deadline_ns);
		kl_scm_free(scm);
		return rc;
	}
	do {
		size_t n = KL_MIN(msg->it->left, (size_t)KL_UNIX_CHUNK);

		/* Nothing is queued for no bytes, but the errors are the same. */
		rc = n > 0 ? send_piece(u, msg, n, &scm, deadline_ns)
			   : wait_target(u, msg, 0, deadline_ns, &(struct kl_unix *){NULL});
		if (rc > 0)
			done += rc;
	} while (rc > 0 && msg->it->left > 0);
	kl_scm_free(scm);
	return done > 0 ? done : rc;
}

/* --- receiving --- */

/* After something left the queue. */
static void make_room(struct kl_unix *u)
{
	kl_waitq_wake(&kl_unix_room, EPOLLOUT);
	if (!kl_unix_is_dgram(u) && u->peer != NULL)
		kl_waitq_wake(&u->peer->sock.wait, EPOLLOUT | EPOLLWRNORM);
	KL_LIST_FOR_SAFE(link, &u->senders)
	kl_waitq_wake(&KL_LIST_ENTRY(link, struct kl_unix, sender_link)->sock.wait, EPOLLOUT | EPOLLWRNORM);
}

bool kl_unix_purge(struct kl_unix *u)
{
	bool any = !kl_list_empty(&u->queue);
	struct kl_list *link;

	while ((link = kl_list_pop_front(&u->queue)) != NULL)
		message_free(KL_LIST_ENTRY(link, struct kl_unix_message, link));
	u->queued = 0;
	if (any)
		make_room(u);
	return any;
}

static void drop_message(struct kl_unix *u, struct kl_unix_message *m)
{
	kl_list_remove(&m->link);
	u->queued -= cost(m);
	message_free(m);
	make_room(u);
}

/* 1: there is a message; 0: the end. An error comes first, except that a stream is read up to where it broke off. */
static int wait_message(struct kl_unix *u, int flags, uint64_t deadline_ns)
{
	bool stream = u->sock.type == KL_SOCK_STREAM;

	if (!kl_unix_is_dgram(u) && u->peer == NULL)
		return stream ? -EINVAL : -ENOTCONN;
	while (kl_list_empty(&u->queue) || (!stream && u->sock.error != 0)) {
		int rc;

		if (u->sock.error != 0)
			return take_error(u);
		if (u->shut_read && !(kl_unix_is_dgram(u) && kl_socket_nonblock(&u->sock, flags)))
			return 0;
		rc = wait_in(&u->sock.wait, kl_socket_nonblock(&u->sock, flags), deadline_ns);
		if (rc < 0)
			return rc;
	}
	return 1;
}

/* The files of a message: taken out of it, or with MSG_PEEK once more. */
static struct kl_scm *take_files(struct kl_unix_message *m, int flags)
{
	struct kl_scm *scm = m->scm;

	if (scm != NULL && (flags & KL_MSG_PEEK) != 0)
		return kl_scm_copy(scm);
	m->scm = NULL;
	return scm;
}

static void give_address(struct kl_message *msg, const struct kl_unix_message *m)
{
	if (msg->addr == NULL)
		return;
	*msg->addr = m->from->name; /* none: no bytes */
}

static kl_ssize receive_one(struct kl_unix *u, struct kl_message *msg, int flags)
{
	struct kl_unix_message *m;
	size_t n;
	int rc = wait_message(u, flags, deadline(u->sock.rcvtimeo_ns));

	if (rc <= 0) {
		msg->control_bytes = 0;
		return rc;
	}
	m = KL_LIST_FIRST(&u->queue, struct kl_unix_message, link);
	n = KL_MIN((size_t)m->bytes, msg->it->left);
	rc = kl_iter_write(msg->it, m->data, n);
	if (rc < 0)
		return rc;
	give_address(msg, m);
	kl_scm_give(msg, take_files(m, flags), u->pass_cred ? &m->cred : NULL, (flags & KL_MSG_CMSG_CLOEXEC) != 0);
	if (n < m->bytes)
		msg->flags |= KL_MSG_TRUNC;
	if (u->sock.type == KL_SOCK_SEQPACKET)
		msg->flags |= KL_MSG_EOR;
	if ((flags & KL_MSG_TRUNC) != 0)
		n = m->bytes;
	if ((flags & KL_MSG_PEEK) == 0)
		drop_message(u, m);
	return (kl_ssize)n;
}

/* One receive from a stream. */
struct gathering {
	struct kl_scm *scm;
	struct kl_credentials cred; /* of the first message */
	bool any, stop;
};

/* Bytes of messages that may be received together: up to one with files, which ends a receive. */
static kl_ssize take_bytes(struct kl_unix *u, struct kl_message *msg, int flags, struct gathering *g)
{
	kl_ssize done = 0;

	KL_LIST_FOR_SAFE(link, &u->queue)
	{
		struct kl_unix_message *m = KL_LIST_ENTRY(link, struct kl_unix_message, link);
		size_t left = msg->it->left, n = KL_MIN((size_t)(m->bytes - m->taken), left);
		bool files = m->scm != NULL;
		int rc;

		if (left == 0)
			break;
		rc = kl_iter_write(msg->it, m->data + m->taken, n);
		if (rc < 0)
			return done > 0 ? done : rc;
		if (!g->any) {
			give_address(msg, m);
			g->cred = m->cred;
			g->any = true;
		}
		if (files)
			g->scm = take_files(m, flags);
		done += (kl_ssize)n;
		if ((flags & KL_MSG_PEEK) == 0) {
			m->taken += (uint32_t)n;
			if (m->taken == m->bytes)
				drop_message(u, m);
		}
		g->stop = files;
		if (g->stop)
			break;
	}
	return done;
}

static kl_ssize receive_stream(struct kl_unix *u, struct kl_message *msg, int flags)
{
	uint64_t deadline_ns = deadline(u->sock.rcvtimeo_ns);
	bool all = (flags & (KL_MSG_WAITALL | KL_MSG_PEEK)) == KL_MSG_WAITALL;
	struct gathering g = {.scm = NULL};
	kl_ssize done = 0, rc;

	do {
		rc = wait_message(u, flags, deadline_ns);
		if (rc > 0)
			rc = take_bytes(u, msg, flags, &g);
		if (rc > 0)
			done += rc;
	} while (rc > 0 && !g.stop && all && msg->it->left > 0);
	kl_scm_give(msg, g.scm, g.any && u->pass_cred ? &g.cred : NULL, (flags & KL_MSG_CMSG_CLOEXEC) != 0);
	return done > 0 ? done : rc;
}

kl_ssize kl_unix_receive(struct kl_socket *sock, struct kl_message *msg)
{
	struct kl_unix *u = kl_unix_of(sock);
	int flags = msg->flags;

	msg->flags = 0;
	if ((flags & (KL_MSG_OOB | KL_MSG_ERRQUEUE)) != 0)
		return -EOPNOTSUPP;
	return sock->type == KL_SOCK_STREAM ? receive_stream(u, msg, flags) : receive_one(u, msg, flags);
}
