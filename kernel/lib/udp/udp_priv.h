/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UDP_PRIV_H
#define UDP_PRIV_H

#include <kl/heap.h>
#include <kl/inet.h>
#include <kl/socket.h>
#include <kl/string.h>
#include <kl/udp.h>

#define UDP_BUCKETS 32u
#define UDP_GROUPS_MAX 8u

struct udp_header {
	uint16_t src_be, dst_be, bytes_be, checksum;
} __attribute__((packed));

struct udp {
	struct kl_socket sock; /* first */
	struct kl_list link;   /* in the table, once it has a port */
	struct kl_inet_options ip;
	uint32_t local_be, remote_be; /* remote 0: not connected */
	uint32_t bound_be;            /* given to bind(2) */
	uint16_t local_port, remote_port;
	bool shut_read, shut_write;
	/* Each packet begins with its IP header, contiguous up to the end of the UDP header. */
	struct kl_pbuf_queue queue;
	uint32_t truesize;
	uint32_t groups_be[UDP_GROUPS_MAX];
	unsigned groups_count;
};

struct udp_root {
	struct kl_list buckets[UDP_BUCKETS];
	struct kl_list hooks;
};
extern struct udp_root udp_root;

static inline struct udp *udp_of(struct kl_socket *sock)
{
	return (struct udp *)sock;
}

/* udp.c */
int udp_bind_port(struct udp *u, uint32_t address_be, uint16_t port); /* port 0: an ephemeral one */
uint32_t udp_truesize(const struct kl_pbuf *packet);
/* Where a queued packet's payload begins. */
unsigned udp_payload_offset(const struct kl_pbuf *packet);

/* udp_socket.c, udp_io.c */
extern const struct kl_socket_ops udp_socket_ops;
int udp_create(struct kl_socket **out);
kl_ssize udp_send(struct kl_socket *sock, struct kl_message *msg);
kl_ssize udp_receive(struct kl_socket *sock, struct kl_message *msg);

#endif
