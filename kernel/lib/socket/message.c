/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that move data: sendto(2), recvmsg(2) and their relatives. */
#include "socket_priv.h"

#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <linux/errno.h>
#include <linux/time_types.h>

#define CONTROL_FAST 64u
#define CONTROL_MAX 20480u /* net.core.optmem_max */
#define RW_MAX ((size_t)0x7ffff000)
#define VECTOR_MAX 1024u

/* struct user_msghdr and struct mmsghdr of the ABI. */
struct header {
	kl_uaddr name;
	int32_t name_bytes, pad0;
	kl_uaddr iov;
	uint64_t iov_count;
	kl_uaddr control;
	uint64_t control_bytes;
	uint32_t flags, pad1;
};

struct header_and_count {
	struct header header;
	uint32_t count, pad;
};
_Static_assert(sizeof(struct header) == 56 && sizeof(struct header_and_count) == 64, "ABI");

long kl_sys_sendto(int fd, kl_uaddr buf, size_t n, int flags, kl_uaddr addr, int addr_bytes)
{
	struct kl_sockaddr copy;
	struct kl_iter it;
	struct kl_message msg = {.it = &it, .flags = flags};
	struct kl_socket *sock;
	struct kl_file *file;
	kl_ssize sent;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	if (addr != 0) {
		err = socket_address_get(&copy, addr, addr_bytes);
		if (err != 0) {
			kl_file_put(file);
			return err;
		}
		msg.addr = &copy;
	}
	kl_iter_user(&it, buf, KL_MIN(n, RW_MAX));
	sent = socket_send(sock, &msg);
	kl_file_put(file);
	return sent;
}

static kl_ssize receive(struct kl_socket *sock, struct kl_message *msg)
{
	return sock->ops->receive != NULL ? sock->ops->receive(sock, msg) : -EOPNOTSUPP;
}

long kl_sys_recvfrom(int fd, kl_uaddr buf, size_t n, int flags, kl_uaddr addr, kl_uaddr addr_bytes)
{
	struct kl_sockaddr from = {.bytes = 0};
	struct kl_iter it;
	struct kl_message msg = {.it = &it, .addr = addr != 0 ? &from : NULL, .flags = flags};
	struct kl_socket *sock;
	struct kl_file *file;
	kl_ssize got;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	kl_iter_user(&it, buf, KL_MIN(n, RW_MAX));
	got = receive(sock, &msg);
	if (got >= 0 && addr != 0) {
		err = socket_address_put(&from, addr, addr_bytes);
		if (err != 0)
			got = err;
	}
	kl_file_put(file);
	return got;
}

/* --- sendmsg(2), recvmsg(2) --- */

/* What a call needs besides its arguments. */
struct buffers {
	struct header header;
	struct kl_sockaddr addr;
	struct kl_iter it;
	struct kl_iovec fast[KL_IOV_FAST], *iov;
	uint8_t control_fast[CONTROL_FAST] __attribute__((aligned(8)));
	uint8_t *control;
};

static int open_buffers(struct buffers *b, kl_uaddr from)
{
	size_t n;
	int err;

	b->iov = b->fast;
	b->control = b->control_fast;
	if (KL_GET_USER(b->header, from) != 0)
		return -EFAULT;
	if (b->header.iov_count > VECTOR_MAX)
		return -EMSGSIZE;
	if (b->header.name_bytes < 0)
		return -EINVAL;
	err = kl_iov_from_user(&b->it, &b->iov, b->fast, b->header.iov, b->header.iov_count);
	if (err != 0) {
		b->iov = b->fast;
		return err;
	}
	n = b->header.control == 0 ? 0 : (size_t)KL_MIN(b->header.control_bytes, (uint64_t)CONTROL_MAX);
	b->header.control_bytes = n;
	if (n > CONTROL_FAST) {
		b->control = kl_malloc(n);
		if (b->control == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void close_buffers(struct buffers *b)
{
	if (b->iov != b->fast)
		kl_free(b->iov);
	if (b->control != b->control_fast)
		kl_free(b->control);
}

static kl_ssize send_one(struct kl_socket *sock, kl_uaddr from, int flags)
{
	struct buffers b;
	struct kl_message msg = {.it = &b.it, .flags = flags};
	kl_ssize sent;
	int err = open_buffers(&b, from);

	if (err == 0 && b.header.control_bytes > 0)
		err = kl_copy_from_user(b.control, b.header.control, b.header.control_bytes);
	if (err == 0 && b.header.name != 0) {
		err = socket_address_get(&b.addr, b.header.name, KL_MIN(b.header.name_bytes, KL_SOCKADDR_BYTES));
		msg.addr = &b.addr;
	}
	msg.control = b.control;
	msg.control_bytes = err == 0 ? b.header.control_bytes : 0;
	sent = err == 0 ? socket_send(sock, &msg) : err;
	close_buffers(&b);
	return sent;
}

/* The parts of the header that recvmsg(2) changes. */
static int put_header(const struct buffers *b, const struct kl_message *msg, kl_uaddr to)
{
	size_t n = KL_MIN((size_t)b->header.name_bytes, (size_t)b->addr.bytes);

	if (b->header.name != 0) {
		if (kl_copy_to_user(b->header.name, b->addr.raw, n) != 0 ||
			KL_PUT_USER(to + offsetof(struct header, name_bytes), (int32_t)b->addr.bytes) != 0)
			return -EFAULT;
	}
	if (msg->control_bytes > 0 && kl_copy_to_user(b->header.control, b->control, msg->control_bytes) != 0)
		return -EFAULT;
	if (KL_PUT_USER(to + offsetof(struct header, control_bytes), (uint64_t)msg->control_bytes) != 0 ||
		KL_PUT_USER(to + offsetof(struct header, flags), (uint32_t)msg->flags) != 0)
		return -EFAULT;
	return 0;
}

static kl_ssize receive_one(struct kl_socket *sock, kl_uaddr to, int flags)
{
	struct buffers b;
	struct kl_message msg = {.it = &b.it, .flags = flags};
	kl_ssize got;
	int err = open_buffers(&b, to);

	b.addr.bytes = 0;
	if (err != 0) {
		got = err;
		goto out;
	}
	msg.addr = b.header.name != 0 ? &b.addr : NULL;
	msg.control = b.control;
	msg.control_bytes = b.header.control_bytes;
	/* What a family does not fill in must not be shown. */
	memset(b.control, 0, b.header.control_bytes);
	got = receive(sock, &msg);
	if (got < 0)
		goto out;
	msg.flags |= flags & KL_MSG_CMSG_CLOEXEC;
	err = put_header(&b, &msg, to);
	if (err != 0)
		got = err;
out:
	close_buffers(&b);
	return got;
}

long kl_sys_sendmsg(int fd, kl_uaddr msg, int flags)
{
	struct kl_socket *sock;
	struct kl_file *file;
	kl_ssize sent;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	sent = send_one(sock, msg, flags);
	kl_file_put(file);
	return sent;
}

long kl_sys_recvmsg(int fd, kl_uaddr msg, int flags)
{
	struct kl_socket *sock;
	struct kl_file *file;
	kl_ssize got;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	got = receive_one(sock, msg, flags);
	kl_file_put(file);
	return got;
}

long kl_sys_sendmmsg(int fd, kl_uaddr vector, unsigned count, int flags)
{
	struct kl_socket *sock;
	struct kl_file *file;
	kl_ssize sent = 0;
	unsigned done;
	int err = socket_get(fd, &file, &sock);

	if (err != 0)
		return err;
	count = KL_MIN(count, VECTOR_MAX);
	for (done = 0; done < count; done++) {
		kl_uaddr at = vector + done * sizeof(struct header_and_count);

		sent = send_one(sock, at, flags);
		if (sent >= 0 && KL_PUT_USER(at + offsetof(struct header_and_count, count), (uint32_t)sent) != 0)
			sent = -EFAULT;
		if (sent < 0)
			break;
	}
	kl_file_put(file);
	return done > 0 ? (long)done : sent;
}

static int deadline_of(kl_uaddr timeout, uint64_t *deadline_ns)
{
	struct __kernel_timespec time;

	*deadline_ns = KL_FOREVER;
	if (timeout == 0)
		return 0;
	if (KL_GET_USER(time, timeout) != 0)
		return -EFAULT;
	if (time.tv_sec < 0 || time.tv_nsec < 0 || time.tv_nsec >= (long long)KL_NS_PER_S)
		return -EINVAL;
	if (time.tv_sec < INT32_MAX)
		*deadline_ns = kl_clock_ns() + (uint64_t)time.tv_sec * KL_NS_PER_S + (uint64_t)time.tv_nsec;
	return 0;
}

long kl_sys_recvmmsg(int fd, kl_uaddr vector, unsigned count, int flags, kl_uaddr timeout)
{
	struct kl_socket *sock;
	struct kl_file *file;
	uint64_t deadline_ns;
	kl_ssize got = 0;
	unsigned done;
	int err = deadline_of(timeout, &deadline_ns);

	if (err == 0)
		err = socket_get(fd, &file, &sock);
	if (err != 0)
		return err;
	count = KL_MIN(count, VECTOR_MAX);
	for (done = 0; done < count; done++) {
		kl_uaddr at = vector + done * sizeof(struct header_and_count);
		int one = flags & ~KL_MSG_WAITFORONE;

		/* recvmmsg(2), BUGS: the time is looked at between datagrams only. */
		if (done > 0 && ((flags & KL_MSG_WAITFORONE) || kl_clock_ns() >= deadline_ns))
			one |= KL_MSG_DONTWAIT;
		got = receive_one(sock, at, one);
		if (got >= 0 && KL_PUT_USER(at + offsetof(struct header_and_count, count), (uint32_t)got) != 0)
			got = -EFAULT;
		if (got < 0)
			break;
	}
	kl_file_put(file);
	return done > 0 ? (long)done : got;
}
