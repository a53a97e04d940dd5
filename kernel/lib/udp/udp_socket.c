/* SPDX-License-Identifier: Apache-2.0 */
/* The rest of the socket's operations (udp(7)). */
#include "udp_priv.h"

#include <asm/ioctls.h>
#include <asm/socket.h>
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/in.h>
#include <linux/sockios.h>

static int udp_bind(struct kl_socket *sock, const struct kl_sockaddr *addr)
{
	struct udp *u = udp_of(sock);
	uint32_t address_be;
	uint16_t port;
	int err = kl_inet_address_get(addr, &address_be, &port);

	if (err != 0)
		return err;
	if (u->local_port != 0)
		return -EINVAL;
	if (address_be != 0 && !kl_route_is_local(address_be) && !kl_route_is_broadcast(address_be) &&
		!kl_route_is_multicast(address_be)) {
		err = kl_net_wait_configured();
		if (err != 0 || !kl_route_is_local(address_be))
			return -EADDRNOTAVAIL;
		if (u->local_port != 0)
			return -EINVAL; /* another thread was faster */
	}
	return udp_bind_port(u, address_be, port);
}

static int udp_connect(struct kl_socket *sock, const struct kl_sockaddr *addr, bool nonblock)
{
	struct udp *u = udp_of(sock);
	uint32_t address_be;
	struct kl_route route;
	uint16_t port;
	int err;

	(void)nonblock;
	if (addr->bytes >= sizeof(addr->family) && addr->family == KL_AF_UNSPEC) {
		u->remote_be = 0;
		u->remote_port = 0;
		u->local_be = u->bound_be;
		return 0;
	}
	err = kl_inet_address_get(addr, &address_be, &port);
	if (err != 0)
		return err;
	if (address_be == 0)
		address_be = kl_htonl(0x7f000001);
	if (kl_route_is_broadcast(address_be) && !sock->broadcast)
		return -EACCES;
	err = kl_route_find(address_be, NULL, &route);
	if (err != 0 && kl_net_wait_configured() == 0)
		err = kl_route_find(address_be, NULL, &route);
	if (err != 0)
		return err;
	if (u->local_port == 0) {
		err = udp_bind_port(u, 0, 0);
		if (err != 0)
			return err;
	}
	if (u->bound_be == 0)
		u->local_be = route.source_be;
	u->remote_be = address_be;
	u->remote_port = port;
	return 0;
}

static int udp_shutdown(struct kl_socket *sock, int how)
{
	struct udp *u = udp_of(sock);

	if (how != KL_SHUT_WR)
		u->shut_read = true;
	if (how != KL_SHUT_RD)
		u->shut_write = true;
	kl_waitq_wake(&sock->wait, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	/* Linux shuts it down all the same. */
	return u->remote_be == 0 ? -ENOTCONN : 0;
}

static int udp_name(struct kl_socket *sock, bool peer, struct kl_sockaddr *out)
{
	struct udp *u = udp_of(sock);

	if (!peer) {
		kl_inet_address_put(out, u->local_be, u->local_port);
		return 0;
	}
	if (u->remote_be == 0)
		return -ENOTCONN;
	kl_inet_address_put(out, u->remote_be, u->remote_port);
	return 0;
}

static uint32_t udp_poll(struct kl_socket *sock, struct kl_poll_table *table)
{
	struct udp *u = udp_of(sock);
	uint32_t events = EPOLLOUT | EPOLLWRNORM;

	if (table != NULL)
		table->add(table, &sock->wait);
	if (u->queue.first != NULL)
		events |= EPOLLIN | EPOLLRDNORM;
	if (u->shut_read)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	if (u->shut_read && u->shut_write)
		events |= EPOLLHUP;
	if (sock->error != 0)
		events |= EPOLLERR;
	return events;
}

/* So that a program that ends leaves no group joined. */
static int membership(struct udp *u, int name, const void *value, size_t bytes)
{
	uint32_t group_be;
	int err;

	if (bytes < sizeof(struct ip_mreq))
		return -EINVAL;
	memcpy(&group_be, value, sizeof(group_be));
	if (name == IP_ADD_MEMBERSHIP) {
		for (unsigned i = 0; i < u->groups_count; i++) {
			if (u->groups_be[i] == group_be)
				return -EADDRINUSE;
		}
		if (u->groups_count == UDP_GROUPS_MAX)
			return -ENOBUFS;
		err = kl_inet_set_option(&u->ip, name, value, bytes);
		if (err == 0)
			u->groups_be[u->groups_count++] = group_be;
		return err;
	}
	for (unsigned i = 0; i < u->groups_count; i++) {
		if (u->groups_be[i] == group_be) {
			u->groups_be[i] = u->groups_be[--u->groups_count];
			return kl_inet_set_option(&u->ip, name, value, bytes);
		}
	}
	return -EADDRNOTAVAIL;
}

static int udp_set_option(struct kl_socket *sock, int level, int name, const void *value, size_t bytes)
{
	struct udp *u = udp_of(sock);

	if (level != IPPROTO_IP)
		return -ENOPROTOOPT;
	if (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP)
		return membership(u, name, value, bytes);
	return kl_inet_set_option(&u->ip, name, value, bytes);
}

static int udp_get_option(struct kl_socket *sock, int level, int name, void *value, size_t *bytes)
{
	if (level != IPPROTO_IP)
		return -ENOPROTOOPT;
	return kl_inet_get_option(&udp_of(sock)->ip, name, value, bytes);
}

static long udp_ioctl(struct kl_socket *sock, unsigned cmd, uint64_t arg)
{
	struct udp *u = udp_of(sock);
	int v = 0;

	switch (cmd) {
	case SIOCINQ:
		if (u->queue.first != NULL)
			v = (int)(u->queue.first->total - udp_payload_offset(u->queue.first));
		return KL_PUT_USER(arg, v);
	case SIOCOUTQ: return KL_PUT_USER(arg, v);
	default: return kl_inet_ioctl(cmd, arg);
	}
}

static void udp_release(struct kl_socket *sock)
{
	struct udp *u = udp_of(sock);

	for (unsigned i = 0; i < u->groups_count; i++)
		(void)kl_ipv4_leave(u->groups_be[i]);
	kl_list_remove(&u->link);
	kl_pbuf_queue_free(&u->queue);
	kl_free(u);
}

const struct kl_socket_ops udp_socket_ops = {
	.bind = udp_bind,
	.connect = udp_connect,
	.send = udp_send,
	.receive = udp_receive,
	.shutdown = udp_shutdown,
	.name = udp_name,
	.set_option = udp_set_option,
	.get_option = udp_get_option,
	.poll = udp_poll,
	.ioctl = udp_ioctl,
	.release = udp_release,
};

int udp_create(struct kl_socket **out)
{
	struct udp *u = kl_zalloc(sizeof(*u));

	if (u == NULL)
		return -ENOMEM;
	kl_socket_init(&u->sock, &udp_socket_ops, KL_AF_INET, KL_SOCK_DGRAM, IPPROTO_UDP);
	/* As much as the budget bears; Linux's default where there is memory. */
	u->sock.rcvbuf = (uint32_t)KL_MIN((size_t)u->sock.rcvbuf, KL_MAX(kl_net_memory_max() / 8, (size_t)16384));
	kl_inet_options_init(&u->ip);
	*out = &u->sock;
	return 0;
}
