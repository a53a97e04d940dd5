/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that make, name and connect sockets. */
#include "socket_priv.h"

#include <kl/stat.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/stat.h>
#include <linux/errno.h>

#define TYPE_MASK 0xf
#define FAMILIES_MAX 46 /* AF_MAX */

/* --- what the calls share --- */

int socket_get(int fd, struct kl_file **file, struct kl_socket **sock)
{
	*file = kl_fd_get(fd);
	if (*file == NULL)
		return -EBADF;
	*sock = kl_socket_of(*file);
	if (*sock == NULL) {
		kl_file_put(*file);
		return -ENOTSOCK;
	}
	return 0;
}

int socket_address_get(struct kl_sockaddr *addr, kl_uaddr from, int bytes)
{
	if (bytes < 0 || bytes > KL_SOCKADDR_BYTES)
		return -EINVAL;
	addr->bytes = (uint32_t)bytes;
	addr->family = 0;
	return kl_copy_from_user(addr->raw, from, (size_t)bytes);
}

/* As much as fits; the length is the whole address's. */
int socket_address_put(const struct kl_sockaddr *addr, kl_uaddr to, kl_uaddr bytes)
{
	int room;

	if (KL_GET_USER(room, bytes) != 0)
		return -EFAULT;
	if (room < 0)
		return -EINVAL;
	if (kl_copy_to_user(to, addr->raw, KL_MIN((size_t)room, (size_t)addr->bytes)) != 0)
		return -EFAULT;
	return KL_PUT_USER(bytes, (int)addr->bytes);
}

int socket_stat(struct kl_file *file, struct stat *st)
{
	(void)file;
	memset(st, 0, sizeof(*st));
	st->st_mode = S_IFSOCK | 0777;
	st->st_nlink = 1;
	st->st_ino = (unsigned long)(uintptr_t)file >> 4 & 0xffffff;
	st->st_blksize = 4096;
	return 0;
}

/* --- socket(2), socketpair(2) --- */

static int create(int family, int type, int protocol, struct kl_socket **out)
{
	struct kl_socket_family *found;

	if (family < 0 || family >= FAMILIES_MAX)
		return -EAFNOSUPPORT;
	if ((type & ~(TYPE_MASK | KL_SOCK_NONBLOCK | KL_SOCK_CLOEXEC)) != 0 || (type & TYPE_MASK) == 0 ||
		(type & TYPE_MASK) > 10)
		return -EINVAL;
	found = socket_family(family);
	return found != NULL ? found->create(type & TYPE_MASK, protocol, out) : -EAFNOSUPPORT;
}

long kl_sys_socket(int family, int type, int protocol)
{
	struct kl_socket *sock;
	int fd, err = create(family, type, protocol, &sock);

	if (err != 0)
		return err;
	fd = kl_socket_install(sock, type);
	if (fd < 0)
		sock->ops->release(sock);
	return fd;
}

long kl_sys_socketpair(int family, int type, int protocol, kl_uaddr out)
{
	struct kl_socket *a, *b;
	int fds[2], err = create(family, type, protocol, &a);

	if (err != 0)
		return err;
	err = create(family, type, protocol, &b);
	if (err != 0)
		goto out_a;
	err = a->ops->pair != NULL ? a->ops->pair(a, b) : -EOPNOTSUPP;
	if (err != 0)
		goto out_b;
	err = fds[0] = kl_socket_install(a, type);
	if (err < 0)
		goto out_b;
	err = fds[1] = kl_socket_install(b, type);
	if (err < 0) {
		kl_fd_close(fds[0]);
		b->ops->release(b);
		return err;
	}
	err = kl_copy_to_user(out, fds, sizeof(fds));
	if (err != 0) {
		kl_fd_close(fds[0]);
		kl_fd_close(fds[1]);
	}
	return err;
out_b:
	b->ops->release(b);
out_a:
	a->ops->release(a);
	return err;
}

/* --- names --- */

long kl_sys_bind(int fd, kl_uaddr addr, int bytes)
{
	struct kl_sockaddr copy;
	struct kl_socket *sock;
	struct kl_file *file;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	err = socket_address_get(&copy, addr, bytes);
	if (err == 0)
		err = sock->ops->bind != NULL ? sock->ops->bind(sock, &copy) : -EOPNOTSUPP;
	kl_file_put(file);
	return err;
}

static long name(int fd, kl_uaddr addr, kl_uaddr bytes, bool peer)
{
	struct kl_sockaddr copy = {.bytes = 0};
	struct kl_socket *sock;
	struct kl_file *file;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	err = sock->ops->name != NULL ? sock->ops->name(sock, peer, &copy) : -EOPNOTSUPP;
	if (err == 0)
		err = socket_address_put(&copy, addr, bytes);
	kl_file_put(file);
	return err;
}

long kl_sys_getsockname(int fd, kl_uaddr addr, kl_uaddr bytes)
{
	return name(fd, addr, bytes, false);
}

long kl_sys_getpeername(int fd, kl_uaddr addr, kl_uaddr bytes)
{
	return name(fd, addr, bytes, true);
}

/* --- connections --- */

long kl_sys_listen(int fd, int backlog)
{
	struct kl_socket *sock;
	struct kl_file *file;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	err = sock->ops->listen != NULL ? sock->ops->listen(sock, backlog) : -EOPNOTSUPP;
	kl_file_put(file);
	return err;
}

long kl_sys_accept4(int fd, kl_uaddr addr, kl_uaddr bytes, int flags)
{
	struct kl_socket *sock, *fresh;
	struct kl_sockaddr peer = {.bytes = 0};
	struct kl_file *file;
	int err, new_fd;

	if ((flags & ~(KL_SOCK_NONBLOCK | KL_SOCK_CLOEXEC)) != 0)
		return -EINVAL;
	err = socket_get(fd, &file, &sock);
	if (err != 0)
		return err;
	err = sock->ops->accept != NULL ? sock->ops->accept(sock, kl_socket_nonblock(sock, 0), &fresh) : -EOPNOTSUPP;
	kl_file_put(file);
	if (err != 0)
		return err;
	new_fd = kl_socket_install(fresh, flags);
	if (new_fd < 0) {
		fresh->ops->release(fresh);
		return new_fd;
	}
	if (addr == 0)
		return new_fd;
	err = fresh->ops->name(fresh, true, &peer);
	if (err == -ENOTCONN)
		err = -ECONNABORTED; /* reset before it was accepted */
	if (err == 0)
		err = socket_address_put(&peer, addr, bytes);
	if (err != 0) {
		kl_fd_close(new_fd);
		return err;
	}
	return new_fd;
}

long kl_sys_accept(int fd, kl_uaddr addr, kl_uaddr bytes)
{
	return kl_sys_accept4(fd, addr, bytes, 0);
}

long kl_sys_connect(int fd, kl_uaddr addr, int bytes)
{
	struct kl_sockaddr copy;
	struct kl_socket *sock;
	struct kl_file *file;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	err = socket_address_get(&copy, addr, bytes);
	if (err == 0)
		err = sock->ops->connect != NULL ? sock->ops->connect(sock, &copy, kl_socket_nonblock(sock, 0))
						 : -EOPNOTSUPP;
	kl_file_put(file);
	return err;
}

long kl_sys_shutdown(int fd, int how)
{
	struct kl_socket *sock;
	struct kl_file *file;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	if (how < KL_SHUT_RD || how > KL_SHUT_RDWR)
		err = -EINVAL;
	else
		err = sock->ops->shutdown != NULL ? sock->ops->shutdown(sock, how) : -EOPNOTSUPP;
	kl_file_put(file);
	return err;
}
