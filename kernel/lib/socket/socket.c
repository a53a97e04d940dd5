/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets as files, and the families. */
#include "socket_priv.h"

#include <kl/inet.h>
#include <kl/signal.h>
#include <kl/string.h>

#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <linux/errno.h>
#include <linux/stat.h>

static struct kl_list families = KL_LIST_INIT(families);

void kl_socket_family_add(struct kl_socket_family *family)
{
	kl_list_push_back(&families, &family->link);
}

struct kl_socket_family *socket_family(int number)
{
	KL_LIST_FOR(link, &families)
	{
		struct kl_socket_family *family = KL_LIST_ENTRY(link, struct kl_socket_family, link);

		if (family->family == number)
			return family;
	}
	return NULL;
}

void kl_socket_init(struct kl_socket *sock, const struct kl_socket_ops *ops, int family, int type, int protocol)
{
	sock->ops = ops;
	sock->file = NULL;
	sock->family = family;
	sock->type = type;
	sock->protocol = protocol;
	kl_waitq_init(&sock->wait);
	sock->rcvbuf = sock->sndbuf = 212992; /* net.core.rmem_default */
	sock->rcvlowat = 1;
}

bool kl_socket_nonblock(const struct kl_socket *sock, int flags)
{
	return (flags & KL_MSG_DONTWAIT) != 0 || (sock->file != NULL && (sock->file->flags & O_NONBLOCK) != 0);
}

kl_ssize socket_send(struct kl_socket *sock, struct kl_message *msg)
{
	int flags = msg->flags;
	kl_ssize n = sock->ops->send != NULL ? sock->ops->send(sock, msg) : -EOPNOTSUPP;

	if (n == -EPIPE && !(flags & KL_MSG_NOSIGNAL) && sock->type != KL_SOCK_DGRAM)
		(void)kl_signal_send_thread(kl_current, SIGPIPE, NULL);
	return n;
}

/* --- as a file --- */

static kl_ssize file_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_socket *sock = file->priv;
	struct kl_message msg = {.it = it};

	(void)pos;
	if (it->left == 0)
		return 0;
	return sock->ops->receive != NULL ? sock->ops->receive(sock, &msg) : -EOPNOTSUPP;
}

static kl_ssize file_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_message msg = {.it = it};

	(void)pos;
	return socket_send(file->priv, &msg);
}

static uint32_t file_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct kl_socket *sock = file->priv;

	return sock->ops->poll(sock, table);
}

static long file_ioctl(struct kl_file *file, unsigned cmd, uint64_t arg)
{
	struct kl_socket *sock = file->priv;
	int on;

	if (cmd == FIONBIO) {
		if (KL_GET_USER(on, arg) != 0)
			return -EFAULT;
		file->flags = on != 0 ? file->flags | O_NONBLOCK : file->flags & ~(uint32_t)O_NONBLOCK;
		return 0;
	}
	return sock->ops->ioctl != NULL ? sock->ops->ioctl(sock, cmd, arg) : -ENOTTY;
}

static kl_ssize file_write_span(struct kl_file *file, const void *data, size_t bytes, kl_phys hold, bool more)
{
	struct kl_socket *sock = file->priv;
	kl_ssize n = sock->ops->send_span != NULL ? sock->ops->send_span(sock, data, bytes, hold, more) : -EOPNOTSUPP;

	if (n == -EPIPE)
		(void)kl_signal_send_thread(kl_current, SIGPIPE, NULL);
	return n;
}

static void file_release(struct kl_file *file)
{
	struct kl_socket *sock = file->priv;

	sock->ops->release(sock);
}

static const struct kl_file_ops file_ops = {
	.read = file_read,
	.write = file_write,
	.poll = file_poll,
	.ioctl = file_ioctl,
	.stat = socket_stat,
	.release = file_release,
	.write_span = file_write_span,
};

struct kl_socket *kl_socket_of(struct kl_file *file)
{
	return file->ops == &file_ops ? file->priv : NULL;
}

int kl_socket_install(struct kl_socket *sock, int type)
{
	struct kl_file *file = kl_file_create(&file_ops, O_RDWR | (type & KL_SOCK_NONBLOCK ? O_NONBLOCK : 0), sock);
	int fd;

	if (file == NULL)
		return -ENOMEM;
	sock->file = file;
	fd = kl_fd_install(file, (type & KL_SOCK_CLOEXEC) != 0);
	if (fd < 0) {
		/* The socket stays the caller's. */
		static const struct kl_file_ops dead = {.release = NULL};

		file->ops = &dead;
		sock->file = NULL;
		kl_file_put(file);
	}
	return fd;
}
