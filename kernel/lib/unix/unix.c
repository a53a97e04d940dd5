/* SPDX-License-Identifier: Apache-2.0 */
/* Names, connections, the end of sockets. */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/random.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "unix_priv.h"

#include <asm/errno.h>
#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#define PATH_BYTES 108 /* of struct sockaddr_un */
#define FAMILY_BYTES sizeof(uint16_t)
#define BACKLOG_MAX 4096

struct kl_waitq kl_unix_room = {KL_LIST_INIT(kl_unix_room.waiters)};
static struct kl_list abstract = KL_LIST_INIT(abstract);

static const struct kl_socket_ops ops;

struct kl_credentials kl_unix_credentials(void)
{
	const struct kl_process *p = kl_proc();

	return (struct kl_credentials){.pid = p->pid, .uid = p->euid, .gid = p->egid};
}

static int create(int type, int protocol, struct kl_socket **out)
{
	struct kl_unix *u;

	if (protocol != 0 && protocol != KL_AF_UNIX)
		return -EPROTONOSUPPORT;
	if (type != KL_SOCK_STREAM && type != KL_SOCK_DGRAM && type != KL_SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	u = kl_zalloc(sizeof(*u));
	if (u == NULL)
		return -ENOMEM;
	kl_socket_init(&u->sock, &ops, KL_AF_UNIX, type, 0);
	kl_list_init(&u->senders);
	kl_list_init(&u->queue);
	kl_list_init(&u->pending);
	u->refs = 1;
	u->own_cred = u->peer_cred = kl_unix_credentials();
	*out = &u->sock;
	return 0;
}

void kl_unix_put(struct kl_unix *u)
{
	if (u != NULL && --u->refs == 0)
		kl_free(u);
}

void kl_unix_set_peer(struct kl_unix *u, struct kl_unix *peer)
{
	struct kl_unix *old = u->peer;

	kl_list_remove(&u->sender_link);
	u->peer = peer;
	if (peer != NULL) {
		peer->refs++;
		kl_list_push_back(&peer->senders, &u->sender_link);
	}
	if (old == NULL || old == peer)
		goto out;
	/* What came from the old peer, or anyone, is lost; if that was connected to us, it gets to know. */
	if (kl_unix_purge(u) && !old->dead && old->peer == u) {
		old->sock.error = ECONNRESET;
		kl_waitq_wake(&old->sock.wait, ~0u);
	}
out:
	kl_unix_put(old);
}

/* --- names --- */

/* Each type of socket has names of its own. */
static struct kl_unix *find_abstract(const struct kl_sockaddr *addr, int type)
{
	KL_LIST_FOR(link, &abstract)
	{
		struct kl_unix *u = KL_LIST_ENTRY(link, struct kl_unix, bound);

		if (u->sock.type == type && u->name.bytes == addr->bytes &&
			memcmp(u->name.raw, addr->raw, addr->bytes) == 0)
			return u;
	}
	return NULL;
}

/* The path in an address, with a zero. */
static void get_path(const struct kl_sockaddr *addr, char path[PATH_BYTES + 1])
{
	size_t n = strnlen((const char *)addr->raw + FAMILY_BYTES, addr->bytes - FAMILY_BYTES);

	memcpy(path, addr->raw + FAMILY_BYTES, n);
	path[n] = '\0';
}

static int check_address(const struct kl_sockaddr *addr)
{
	if (addr->bytes < FAMILY_BYTES || addr->bytes > FAMILY_BYTES + PATH_BYTES || addr->family != KL_AF_UNIX)
		return -EINVAL;
	return 0;
}

int kl_unix_find(const struct kl_sockaddr *addr, int type, struct kl_unix **out)
{
	char path[PATH_BYTES + 1];
	struct kl_walk w;
	int rc = check_address(addr);

	*out = NULL;
	if (rc < 0 || addr->bytes == FAMILY_BYTES)
		return -EINVAL;
	if (addr->raw[FAMILY_BYTES] == '\0') {
		*out = find_abstract(addr, type);
	} else {
		get_path(addr, path);
		rc = kl_walk_kernel(&w, path, KL_WALK_CWD);
		if (rc == 0)
			rc = kl_vnode_may(w.dentry->vnode, 2, false);
		if (rc == 0 && S_ISSOCK(w.dentry->vnode->mode))
			*out = w.dentry->vnode->endpoint;
		kl_walk_end(&w);
	}
	if (rc < 0)
		return rc;
	if (*out == NULL)
		return -ECONNREFUSED;
	return (*out)->sock.type == type ? 0 : -EPROTOTYPE;
}

static int bind_path(struct kl_unix *u, const struct kl_sockaddr *addr)
{
	char path[PATH_BYTES + 1];
	int rc;

	get_path(addr, path);
	rc = kl_vfs_make(path, S_IFSOCK | 0777, &u->entry);
	if (rc < 0)
		return rc == -EEXIST ? -EADDRINUSE : rc;
	u->entry->vnode->endpoint = u;
	u->name = *addr;
	u->name.bytes = (uint32_t)(FAMILY_BYTES + strlen(path) + 1);
	u->name.raw[u->name.bytes - 1] = '\0';
	return 0;
}

static int bind_abstract(struct kl_unix *u, const struct kl_sockaddr *addr)
{
	if (find_abstract(addr, u->sock.type) != NULL)
		return -EADDRINUSE;
	u->name = *addr;
	kl_list_push_back(&abstract, &u->bound);
	return 0;
}

/* A name that nobody has: five hexadecimal digits. */
static int bind_auto(struct kl_unix *u)
{
	struct kl_sockaddr addr = {.bytes = FAMILY_BYTES + 6};
	int rc = -EADDRINUSE;

	addr.family = KL_AF_UNIX;
	for (unsigned i = 0; rc == -EADDRINUSE && i < 1000; i++) {
		char text[8];

		kl_snprintf(text, sizeof(text), "%05x", kl_random_u32() & 0xfffff);
		addr.raw[FAMILY_BYTES] = '\0';
		memcpy(addr.raw + FAMILY_BYTES + 1, text, 5);
		rc = bind_abstract(u, &addr);
	}
	return rc;
}

static int bind(struct kl_socket *sock, const struct kl_sockaddr *addr)
{
	struct kl_unix *u = kl_unix_of(sock);
	int rc = check_address(addr);

	if (rc < 0)
		return rc;
	if (u->name.bytes != 0)
		return addr->bytes == FAMILY_BYTES ? 0 : -EINVAL;
	if (addr->bytes == FAMILY_BYTES)
		return bind_auto(u);
	return addr->raw[FAMILY_BYTES] == '\0' ? bind_abstract(u, addr) : bind_path(u, addr);
}

static int name(struct kl_socket *sock, bool peer, struct kl_sockaddr *out)
{
	struct kl_unix *u = kl_unix_of(sock);

	if (peer) {
		if (u->peer == NULL)
			return -ENOTCONN;
		u = u->peer;
	}
	*out = u->name;
	if (out->bytes == 0) {
		out->bytes = FAMILY_BYTES;
		out->family = KL_AF_UNIX;
	}
	return 0;
}

/* --- connections --- */

static int listen(struct kl_socket *sock, int backlog)
{
	struct kl_unix *u = kl_unix_of(sock);

	if (kl_unix_is_dgram(u))
		return -EOPNOTSUPP;
	if (u->name.bytes == 0 || u->peer != NULL)
		return -EINVAL;
	u->backlog = backlog < 0 || backlog > BACKLOG_MAX ? BACKLOG_MAX : (unsigned)backlog;
	u->listening = true;
	u->own_cred = kl_unix_credentials();
	kl_waitq_wake(&kl_unix_room, ~0u);
	return 0;
}

static void join(struct kl_unix *a, struct kl_unix *b)
{
	a->peer = b;
	b->peer = a;
	a->refs++;
	b->refs++;
	a->peer_cred = b->own_cred;
	b->peer_cred = a->own_cred;
}

static int pair(struct kl_socket *a, struct kl_socket *b)
{
	struct kl_unix *x = kl_unix_of(a), *y = kl_unix_of(b);

	join(x, y);
	if (kl_unix_is_dgram(x)) {
		kl_list_push_back(&y->senders, &x->sender_link);
		kl_list_push_back(&x->senders, &y->sender_link);
	}
	return 0;
}

static int connect_stream(struct kl_unix *u, const struct kl_sockaddr *addr, bool nonblock)
{
	struct kl_socket *sock;
	struct kl_unix *listener, *fresh;
	int rc;

	for (;;) {
		rc = kl_unix_find(addr, u->sock.type, &listener);
		if (rc < 0)
			return rc;
		if (!listener->listening || listener->shut_read)
			return -ECONNREFUSED;
		if (listener->pending_count <= listener->backlog)
			break;
		rc = nonblock ? -EAGAIN : kl_wait(&kl_unix_room, KL_FOREVER, true);
		if (rc < 0)
			return rc;
	}
	if (u->peer != NULL || u->listening)
		return u->listening ? -EINVAL : -EISCONN;
	rc = create(u->sock.type, 0, &sock);
	if (rc < 0)
		return rc;
	fresh = kl_unix_of(sock);
	fresh->name = listener->name;
	fresh->own_cred = listener->own_cred;
	fresh->pass_cred = listener->pass_cred;
	u->own_cred = kl_unix_credentials();
	join(u, fresh);
	kl_list_push_back(&listener->pending, &fresh->pending_link);
	listener->pending_count++;
	kl_waitq_wake(&listener->sock.wait, EPOLLIN | EPOLLRDNORM);
	kl_waitq_wake(&u->sock.wait, EPOLLOUT | EPOLLWRNORM);
	return 0;
}

static int connect(struct kl_socket *sock, const struct kl_sockaddr *addr, bool nonblock)
{
	struct kl_unix *u = kl_unix_of(sock), *to;
	int rc;

	if (!kl_unix_is_dgram(u))
		return connect_stream(u, addr, nonblock);
	if (addr->bytes >= FAMILY_BYTES && addr->family == KL_AF_UNSPEC) {
		to = NULL;
	} else {
		rc = kl_unix_find(addr, sock->type, &to);
		if (rc < 0)
			return rc;
		if (to->peer != NULL && to->peer != u)
			return -EPERM; /* it talks to somebody else only */
	}
	kl_unix_set_peer(u, to);
	return 0;
}

static int accept(struct kl_socket *sock, bool nonblock, struct kl_socket **out)
{
	struct kl_unix *u = kl_unix_of(sock);
	uint64_t deadline_ns = sock->rcvtimeo_ns != 0 ? kl_clock_ns() + sock->rcvtimeo_ns : KL_FOREVER;
	struct kl_list *link;

	if (kl_unix_is_dgram(u))
		return -EOPNOTSUPP;
	if (!u->listening)
		return -EINVAL;
	while ((link = kl_list_pop_front(&u->pending)) == NULL) {
		int rc;

		if (u->shut_read && !nonblock)
			return -EINVAL;
		rc = nonblock ? -EAGAIN : kl_wait(&sock->wait, deadline_ns, true);
		if (rc < 0)
			return rc == -ETIMEDOUT ? -EAGAIN : rc;
	}
	u->pending_count--;
	kl_waitq_wake(&kl_unix_room, ~0u);
	*out = &KL_LIST_ENTRY(link, struct kl_unix, pending_link)->sock;
	return 0;
}

static int shutdown(struct kl_socket *sock, int how)
{
	struct kl_unix *u = kl_unix_of(sock);

	u->shut_read |= how != KL_SHUT_WR;
	u->shut_write |= how != KL_SHUT_RD;
	kl_waitq_wake(&sock->wait, ~0u);
	if (u->peer != NULL && !kl_unix_is_dgram(u)) {
		u->peer->shut_read |= how != KL_SHUT_RD;
		u->peer->shut_write |= how != KL_SHUT_WR;
	}
	if (u->peer != NULL)
		kl_waitq_wake(&u->peer->sock.wait, ~0u);
	kl_waitq_wake(&kl_unix_room, ~0u);
	return 0;
}

static void release(struct kl_socket *sock)
{
	struct kl_unix *u = kl_unix_of(sock), *peer = u->peer;
	bool unread = !kl_list_empty(&u->queue);
	struct kl_list *link;

	kl_list_remove(&u->bound);
	kl_list_remove(&u->sender_link);
	if (u->entry != NULL) {
		u->entry->vnode->endpoint = NULL;
		kl_dentry_put(u->entry);
	}
	while (kl_list_pop_front(&u->senders) != NULL)
		;
	u->dead = true;
	if (peer != NULL && !kl_unix_is_dgram(u)) {
		peer->shut_read = peer->shut_write = true;
		if (unread)
			peer->sock.error = ECONNRESET;
		kl_waitq_wake(&peer->sock.wait, ~0u);
	}
	while ((link = kl_list_pop_front(&u->pending)) != NULL) {
		struct kl_unix *waiting = KL_LIST_ENTRY(link, struct kl_unix, pending_link);

		waiting->peer->sock.error = ECONNRESET;
		release(&waiting->sock);
	}
	kl_unix_purge(u);
	kl_waitq_wake(&kl_unix_room, ~0u);
	u->peer = NULL;
	kl_unix_put(peer);
	kl_unix_put(u);
}

static bool can_send(const struct kl_unix *u)
{
	return u->peer == NULL || u->peer->dead || u->peer->queued * 2ull <= u->sock.sndbuf;
}

static uint32_t poll(struct kl_socket *sock, struct kl_poll_table *table)
{
	struct kl_unix *u = kl_unix_of(sock);
	uint32_t events = sock->error != 0 ? EPOLLERR : 0;
	bool stream = !kl_unix_is_dgram(u), end = u->shut_read;

	if (table != NULL)
		table->add(table, &sock->wait);
	if (end)
		events |= EPOLLRDHUP;
	if (end || !kl_list_empty(&u->queue) || !kl_list_empty(&u->pending))
		events |= EPOLLIN | EPOLLRDNORM;
	if (stream && u->peer == NULL && !u->listening)
		events |= EPOLLHUP;
	if (end && u->shut_write)
		events |= EPOLLHUP;
	if (!u->listening && can_send(u))
		events |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	return events;
}

static long ioctl(struct kl_socket *sock, unsigned cmd, uint64_t arg)
{
	struct kl_unix *u = kl_unix_of(sock);
	int n = 0;

	if (cmd != FIONREAD && cmd != TIOCOUTQ)
		return -ENOTTY;
	if (u->listening)
		return -EINVAL;
	u = cmd == FIONREAD ? u : u->peer;
	if (u != NULL) {
		KL_LIST_FOR(link, &u->queue)
		{
			struct kl_unix_message *m = KL_LIST_ENTRY(link, struct kl_unix_message, link);

			n += (int)(m->bytes - m->taken);
			if (cmd == FIONREAD && sock->type == KL_SOCK_DGRAM)
				break;
		}
	}
	return KL_PUT_USER(arg, n);
}

static int set_option(struct kl_socket *sock, int level, int option, const void *value, size_t bytes)
{
	int v;

	if (level != SOL_SOCKET || option != SO_PASSCRED)
		return -ENOPROTOOPT;
	if (bytes < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	kl_unix_of(sock)->pass_cred = v != 0;
	return 0;
}

static int get_option(struct kl_socket *sock, int level, int option, void *value, size_t *bytes)
{
	struct kl_unix *u = kl_unix_of(sock);
	struct kl_credentials none = {.pid = 0, .uid = UINT32_MAX, .gid = UINT32_MAX};
	int v;

	if (level != SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (option) {
	case SO_PASSCRED: v = u->pass_cred; break;
	case SO_ACCEPTCONN: v = u->listening; break;
	case SO_PEERCRED:
		*bytes = KL_MIN(*bytes, sizeof(none));
		memcpy(value, u->peer != NULL ? &u->peer_cred : &none, *bytes);
		return 0;
	default: return -ENOPROTOOPT;
	}
	*bytes = KL_MIN(*bytes, sizeof(v));
	memcpy(value, &v, *bytes);
	return 0;
}

static const struct kl_socket_ops ops = {
	.bind = bind,
	.listen = listen,
	.accept = accept,
	.connect = connect,
	.send = kl_unix_send,
	.receive = kl_unix_receive,
	.shutdown = shutdown,
	.name = name,
	.set_option = set_option,
	.get_option = get_option,
	.poll = poll,
	.ioctl = ioctl,
	.pair = pair,
	.release = release,
};

int kl_unix_init(void)
{
	static struct kl_socket_family family = {.family = KL_AF_UNIX, .create = create};

	kl_socket_family_add(&family);
	return 0;
}
