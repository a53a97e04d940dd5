/* SPDX-License-Identifier: Apache-2.0 */
/* The address family AF_INET: what TCP and UDP sockets share. */
#ifndef KL_INET_H
#define KL_INET_H

#include <kl/net.h>
#include <kl/socket.h>

/* A transport's way of making sockets. */
struct kl_inet_protocol {
	struct kl_list link;
	int type, protocol; /* SOCK_*, IPPROTO_* */
	int (*create)(struct kl_socket **out);
};
void kl_inet_protocol_add(struct kl_inet_protocol *protocol);

/* An address of bind, connect, sendto. port in host order. 0, -EINVAL (too short), -EAFNOSUPPORT. */
int kl_inet_address_get(const struct kl_sockaddr *from, uint32_t *address_be, uint16_t *port);
void kl_inet_address_put(struct kl_sockaddr *to, uint32_t address_be, uint16_t port);

/* ioctl(2)s about interfaces (netdevice(7)): SIOCGIFCONF, SIOCGIFADDR, ... -ENOTTY for others. */
long kl_inet_ioctl(unsigned cmd, uint64_t arg);

/* Options of level IPPROTO_IP that both have. */
struct kl_inet_options {
	uint8_t ttl, tos;
	uint8_t multicast_ttl;
	bool packet_info, multicast_loop, receive_error;
};
void kl_inet_options_init(struct kl_inet_options *options);
/* -ENOPROTOOPT for others. */
int kl_inet_set_option(struct kl_inet_options *options, int name, const void *value, size_t bytes);
int kl_inet_get_option(const struct kl_inet_options *options, int name, void *value, size_t *bytes);

/* An int option's value; shorter ones as Linux takes them. 0, -EINVAL. */
int kl_inet_int(const void *value, size_t bytes, int *out);
/* Stores an int, cut to what there is room for. */
void kl_inet_put_int(void *value, size_t *bytes, int v);

/* SipHash-2-4 (Aumasson and Bernstein, 2012) of n bytes with the stack's secret key. */
uint64_t kl_inet_hash(const void *data, size_t n);

/* Ephemeral ports, as Linux's ip_local_port_range. */
#define KL_INET_PORT_FIRST 32768
#define KL_INET_PORT_LAST 60999

/* The deadline of a call with time-out ns (0: none). */
uint64_t kl_inet_deadline(uint64_t timeout_ns);
/* Before "nothing there" is reported to a program that does not block: looks at the devices, but not too often. */
void kl_inet_poll(void);

#endif
