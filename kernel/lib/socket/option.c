/* SPDX-License-Identifier: Apache-2.0 */
/* setsockopt(2), getsockopt(2), and the options of level SOL_SOCKET that all families have (socket(7)). */
#include "socket_priv.h"

#include <kl/clock.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/socket.h>
#include <linux/errno.h>

#define VALUE_MAX 256u
#define BUF_MIN 2048
#define BUF_MAX (4 << 20)

struct timeval64 {
	int64_t sec, usec;
};

static int set_timeout(uint64_t *timeout_ns, const void *value, size_t bytes)
{
	struct timeval64 time;

	if (bytes < sizeof(time))
		return -EINVAL;
	memcpy(&time, value, sizeof(time));
	if (time.usec < 0 || time.usec >= 1000000)
		return -EDOM;
	if (time.sec < 0)
		*timeout_ns = 1; /* as Linux: over at once */
	else if (time.sec > INT32_MAX)
		*timeout_ns = 0;
	else
		*timeout_ns = (uint64_t)time.sec * KL_NS_PER_S + (uint64_t)time.usec * KL_NS_PER_US;
	return 0;
}

static int set_linger(struct kl_socket *sock, const void *value, size_t bytes)
{
	struct {
		int on, seconds;
	} linger;

	if (bytes < sizeof(linger))
		return -EINVAL;
	memcpy(&linger, value, sizeof(linger));
	sock->linger.on = linger.on != 0;
	sock->linger.seconds = linger.seconds;
	return 0;
}

static uint32_t doubled(int v)
{
	return (uint32_t)KL_MIN(KL_MAX(v, BUF_MIN / 2), BUF_MAX) * 2;
}

static int set_common(struct kl_socket *sock, int name, const void *value, size_t bytes)
{
	int v;

	switch (name) {
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW: return set_timeout(&sock->rcvtimeo_ns, value, bytes);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW: return set_timeout(&sock->sndtimeo_ns, value, bytes);
	case SO_LINGER: return set_linger(sock, value, bytes);
	case SO_BINDTODEVICE: return -ENODEV;
	default: break;
	}
	if (bytes < sizeof(v))
		return -EINVAL;
	memcpy(&v, value, sizeof(v));
	switch (name) {
	case SO_REUSEADDR: sock->reuse_addr = v != 0; return 0;
	case SO_REUSEPORT: sock->reuse_port = v != 0; return 0;
	case SO_KEEPALIVE: sock->keep_alive = v != 0; return 0;
	case SO_BROADCAST: sock->broadcast = v != 0; return 0;
	case SO_SNDBUF:
	case SO_SNDBUFFORCE: sock->sndbuf = doubled(v); return 0;
	case SO_RCVBUF:
	case SO_RCVBUFFORCE: sock->rcvbuf = doubled(v); return 0;
	case SO_RCVLOWAT: sock->rcvlowat = v <= 0 ? 1 : (uint32_t)v; return 0;
	/* Without effect here, and without a promise that a program could miss: hints. */
	case SO_PRIORITY:
	case SO_BUSY_POLL:
	case SO_INCOMING_CPU:
	case SO_DONTROUTE:
	case SO_OOBINLINE: return 0;
	default: return -ENOPROTOOPT;
	}
}

static int put(void *value, size_t *bytes, const void *from, size_t n)
{
	*bytes = KL_MIN(*bytes, n);
	memcpy(value, from, *bytes);
	return 0;
}

static int get_timeout(uint64_t timeout_ns, void *value, size_t *bytes)
{
	struct timeval64 time = {
		(int64_t)(timeout_ns / KL_NS_PER_S), (int64_t)(timeout_ns % KL_NS_PER_S / KL_NS_PER_US)};

	return put(value, bytes, &time, sizeof(time));
}

static int get_common(struct kl_socket *sock, int name, void *value, size_t *bytes)
{
	int v;

	switch (name) {
	case SO_TYPE: v = sock->type; break;
	case SO_DOMAIN: v = sock->family; break;
	case SO_PROTOCOL: v = sock->protocol; break;
	case SO_ERROR:
		v = sock->error;
		sock->error = 0;
		break;
	case SO_ACCEPTCONN: v = 0; break;
	case SO_REUSEADDR: v = sock->reuse_addr; break;
	case SO_REUSEPORT: v = sock->reuse_port; break;
	case SO_KEEPALIVE: v = sock->keep_alive; break;
	case SO_BROADCAST: v = sock->broadcast; break;
	case SO_SNDBUF: v = (int)sock->sndbuf; break;
	case SO_RCVBUF: v = (int)sock->rcvbuf; break;
	case SO_RCVLOWAT: v = (int)sock->rcvlowat; break;
	case SO_SNDLOWAT: v = 1; break;
	case SO_PRIORITY:
	case SO_DONTROUTE:
	case SO_OOBINLINE: v = 0; break;
	case SO_LINGER: return put(value, bytes, &sock->linger, sizeof(sock->linger));
	case SO_RCVTIMEO_OLD:
	case SO_RCVTIMEO_NEW: return get_timeout(sock->rcvtimeo_ns, value, bytes);
	case SO_SNDTIMEO_OLD:
	case SO_SNDTIMEO_NEW: return get_timeout(sock->sndtimeo_ns, value, bytes);
	default: return -ENOPROTOOPT;
	}
	return put(value, bytes, &v, sizeof(v));
}

long kl_sys_setsockopt(int fd, int level, int name, kl_uaddr value, int bytes)
{
	uint8_t copy[VALUE_MAX] __attribute__((aligned(8)));
	struct kl_socket *sock;
	struct kl_file *file;
	size_t n;
	int err;

	if (bytes < 0)
		return -EINVAL;
	err = socket_get(fd, &file, &sock);
	if (err != 0)
		return err;
	n = KL_MIN((size_t)bytes, (size_t)VALUE_MAX);
	err = kl_copy_from_user(copy, value, n);
	if (err == 0)
		err = sock->ops->set_option != NULL ? sock->ops->set_option(sock, level, name, copy, n) : -ENOPROTOOPT;
	if (err == -ENOPROTOOPT && level == SOL_SOCKET)
		err = set_common(sock, name, copy, n);
	kl_file_put(file);
	return err;
}

long kl_sys_getsockopt(int fd, int level, int name, kl_uaddr value, kl_uaddr bytes)
{
	uint8_t copy[VALUE_MAX] __attribute__((aligned(8)));
	struct kl_socket *sock;
	struct kl_file *file;
	size_t n;
	int err = socket_get(fd, &file, &sock), room;

	if (err != 0)
		return err;
	err = KL_GET_USER(room, bytes);
	if (err == 0 && room < 0)
		err = -EINVAL;
	if (err != 0)
		goto out;
	n = KL_MIN((size_t)room, (size_t)VALUE_MAX);
	err = sock->ops->get_option != NULL ? sock->ops->get_option(sock, level, name, copy, &n) : -ENOPROTOOPT;
	if (err == -ENOPROTOOPT && level == SOL_SOCKET)
		err = get_common(sock, name, copy, &n);
	if (err == 0)
		err = kl_copy_to_user(value, copy, n);
	if (err == 0)
		err = KL_PUT_USER(bytes, (int)n);
out:
	kl_file_put(file);
	return err;
}
