/* SPDX-License-Identifier: Apache-2.0 */
/* Address resolution for IPv4 on Ethernet (RFC 826, RFC 5227 announcements). */
#ifndef KL_ARP_H
#define KL_ARP_H

#include <kl/netif.h>

/*
 * The hardware address of a neighbour. 0: mac is filled in, the packet is still the caller's. -EINPROGRESS: it has been asked for;
 * the packet was taken over and is sent, or reported through kl_net_unreachable(), later. Other -errno: taken over and dropped.
 */
int kl_arp_resolve(struct kl_netif *nif, uint32_t address_be, struct kl_pbuf *packet, uint8_t mac[6]);
/* Tells the link who has the interface's address now. */
void kl_arp_announce(struct kl_netif *nif);
int kl_arp_init(void);

#endif
