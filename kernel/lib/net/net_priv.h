/* SPDX-License-Identifier: Apache-2.0 */
/* The module's root: all of its state that changes. */
#ifndef NET_PRIV_H
#define NET_PRIV_H

#include <kl/net.h>

#define DNS_MAX 3

struct net_root {
	bool ready;
	struct kl_list netifs; /* struct kl_netif.link_list */
	unsigned netifs_count;
	struct kl_list protocols; /* struct kl_net_protocol */
	struct kl_list flush;     /* struct kl_netif.flush_link: transmitted, no doorbell yet */
	unsigned unflushed;       /* packets in those */
	struct kl_net_work *works, *works_due, **works_last;
	struct kl_poller poller;
	void (*unreachable)(struct kl_pbuf *packet); /* NULL: nobody wants to know */
	size_t memory_max;
	/* configuration */
	uint32_t dns_be[DNS_MAX];
	struct kl_waitq configured;
	uint64_t configure_until_ns; /* how long callers wait for DHCP */
};

extern struct net_root net_root;

/* Cuts a GSO packet into frames and hands each to sink, which takes over the reference. Takes over packet. */
int net_segment(struct kl_pbuf *packet, struct kl_netif *nif, int (*sink)(struct kl_netif *nif, struct kl_pbuf *frame));
/* Completes KL_CSUM_PARTIAL. The field must be in the first buffer, which it is. */
void net_complete_checksum(struct kl_pbuf *packet);
/* Applies net<n>=... of the command line. */
void net_configure(struct kl_netif *nif, unsigned n);
/* Runs the work that is due. Whether there was any. */
bool net_work_run(void);

#endif
