/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the modules of the TCP/IP stack share: dispatch by protocol number, checksums, timers, work at the end of a batch, routes,
 * the configuration. All of it is called with the library OS's usual exclusion: never two callers at once.
 */
#ifndef KL_NET_H
#define KL_NET_H

#include <kl/byteorder.h>
#include <kl/list.h>
#include <kl/netif.h>
#include <kl/pbuf.h>
#include <kl/sched.h>
#include <kl/types.h>

#define KL_ETHERTYPE_IPV4 0x0800
#define KL_ETHERTYPE_ARP 0x0806

/* --- network-layer protocols, by EtherType --- */

struct kl_net_protocol {
	struct kl_list link;
	uint16_t ethertype;
	/* The packet begins with the protocol's header; takes over the reference. */
	void (*input)(struct kl_netif *nif, struct kl_pbuf *packet);
};
void kl_net_protocol_add(struct kl_net_protocol *protocol);
/* Hands the packet to the protocol of that EtherType; drops it when there is none. */
void kl_net_input(struct kl_netif *nif, uint16_t ethertype, struct kl_pbuf *packet);

/*
 * A packet that the stack sent could not be delivered on the link (no answer to ARP): tells its sender. packet begins with its IPv4
 * header; takes over the reference. The handler is set by whoever knows the senders.
 */
void kl_net_unreachable(struct kl_pbuf *packet);
void kl_net_set_unreachable(void (*handler)(struct kl_pbuf *packet));

/* --- checksums (RFC 1071) --- */

/* The 16-bit ones' complement sum of n bytes added to sum, folded to 16 bits; n may be odd only for the last piece. */
uint32_t kl_net_sum(const void *data, size_t n, uint32_t sum);
static inline uint16_t kl_net_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)(sum + (sum >> 16));
}
/* Of the pseudo-header of TCP and UDP over IPv4 (RFC 9293, section 3.1); not complemented. */
uint32_t kl_net_pseudo_sum(uint32_t src_be, uint32_t dst_be, uint8_t protocol, uint16_t bytes);

/* --- timers: coarse (a few ms late), cheap to move, never fail --- */

struct kl_net_timer {
	struct kl_list link;
	uint64_t deadline_ns;
	void (*fn)(struct kl_net_timer *timer); /* may set the timer again, and free what it lies in */
};
void kl_net_timer_set(struct kl_net_timer *timer, uint64_t deadline_ns);
void kl_net_timer_cancel(struct kl_net_timer *timer);
static inline bool kl_net_timer_is_set(const struct kl_net_timer *timer)
{
	return kl_list_linked(&timer->link);
}

/* --- work at the end of a batch of packets, before the devices' doorbells --- */

struct kl_net_work {
	void (*run)(struct kl_net_work *work);
	struct kl_net_work *all, *next; /* net's own */
	bool due;
};
/* Once, at init. The work also runs when an interface that was busy takes packets again. */
void kl_net_work_add(struct kl_net_work *work);
void kl_net_work_schedule(struct kl_net_work *work);

/* --- routes --- */

struct kl_route {
	struct kl_netif *nif;
	uint32_t source_be;   /* the address to send from */
	uint32_t next_hop_be; /* the neighbour on the link */
	uint32_t mtu;
};

#define KL_ROUTES_MAX 16

/* Whether an address is this host's (any interface's, or 127.0.0.0/8). */
bool kl_route_is_local(uint32_t address_be);
/* Whether it is 255.255.255.255, or the broadcast address of one of the interfaces' networks. */
bool kl_route_is_broadcast(uint32_t address_be);
static inline bool kl_route_is_multicast(uint32_t address_be)
{
	return (address_be & kl_htonl(0xf0000000)) == kl_htonl(0xe0000000);
}
/* The way to dst. nif NULL: any interface; otherwise only that one. 0 or -ENETUNREACH. */
int kl_route_find(uint32_t dst_be, struct kl_netif *nif, struct kl_route *out);
/* Through a gateway (0: directly on the link). 0, -ENOSPC. */
int kl_route_add(uint32_t dst_be, uint32_t mask_be, uint32_t gateway_be, struct kl_netif *nif);
void kl_route_remove_all(struct kl_netif *nif);
/* Path MTU discovery (RFC 1191): what was learnt for a destination, or mtu. Forgotten after ten minutes. */
uint32_t kl_route_pmtu(uint32_t dst_be, uint32_t mtu);
void kl_route_pmtu_learn(uint32_t dst_be, uint32_t mtu);

/* --- configuration --- */

/* Name servers, from the command line or DHCP; 0: no n-th one. For whoever shows /etc/resolv.conf. */
uint32_t kl_net_dns(unsigned n);
/* In n order; replaces all. At most 3 are kept. */
void kl_net_dns_set(const uint32_t *servers_be, unsigned count);
/* DHCP is still on its way: waits for it, for a few seconds at most. 0, -EINTR. Called before "no route" is reported. */
int kl_net_wait_configured(void);
void kl_net_configured(void); /* wakes those */
/* How many bytes the stack may keep in socket buffers altogether, from the memory that was free at start. */
size_t kl_net_memory_max(void);

/* Dotted decimal to network order; *end: behind it. false: not an address. */
bool kl_net_parse_address(const char *text, uint32_t *address_be, const char **end);
/* buf: 16 bytes. Returns buf. */
char *kl_net_format_address(uint32_t address_be, char *buf);

int kl_net_init(void);

#endif
