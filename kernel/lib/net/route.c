/* SPDX-License-Identifier: Apache-2.0 */
/* A small table of IPv4 routes, longest prefix first by search, and what was learnt of paths' MTUs. */
#include <kl/clock.h>

#include "net_priv.h"

#include <linux/errno.h>

#define PMTU_ENTRIES 16u
#define PMTU_NS (600 * KL_NS_PER_S)
#define PMTU_MIN 552u /* below it a hostile "fragmentation needed" is not believed; as Linux's min_pmtu */

static struct {
	struct {
		uint32_t dst_be, mask_be, gateway_be;
		struct kl_netif *nif;
	} entries[KL_ROUTES_MAX];
	unsigned count;
	struct {
		uint32_t dst_be, mtu;
		uint64_t until_ns;
	} pmtu[PMTU_ENTRIES];
} routes;

static bool is_loopback(uint32_t address_be)
{
	return (kl_ntohl(address_be) >> 24) == 127;
}

bool kl_route_is_local(uint32_t address_be)
{
	struct kl_netif *nif = NULL;

	if (is_loopback(address_be))
		return true;
	while ((nif = kl_netif_next(nif)) != NULL) {
		if (nif->address_be == address_be && address_be != 0)
			return true;
	}
	return false;
}

bool kl_route_is_broadcast(uint32_t address_be)
{
	struct kl_netif *nif = NULL;

	if (address_be == UINT32_MAX)
		return true;
	while ((nif = kl_netif_next(nif)) != NULL) {
		if (nif->broadcast_be == address_be && address_be != 0 && nif->mask_be != UINT32_MAX &&
			!(nif->features & KL_NETIF_LOOPBACK))
			return true;
	}
	return false;
}

static struct kl_netif *loopback(void)
{
	struct kl_netif *nif = NULL;

	while ((nif = kl_netif_next(nif)) != NULL && !(nif->features & KL_NETIF_LOOPBACK))
		;
	return nif;
}

static int find_local(uint32_t dst_be, struct kl_route *out)
{
	struct kl_netif *nif = loopback();

	if (nif == NULL)
		return -ENETUNREACH;
	*out = (struct kl_route){.nif = nif, .next_hop_be = dst_be, .mtu = nif->mtu};
	out->source_be = is_loopback(dst_be) ? nif->address_be : dst_be;
	return 0;
}

int kl_route_find(uint32_t dst_be, struct kl_netif *nif, struct kl_route *out)
{
	int best = -1;

	if (kl_route_is_local(dst_be))
		return find_local(dst_be, out);
	for (unsigned i = 0; i < routes.count; i++) {
		if ((dst_be & routes.entries[i].mask_be) != routes.entries[i].dst_be ||
			(nif != NULL && routes.entries[i].nif != nif))
			continue;
		if (best < 0 || kl_ntohl(routes.entries[i].mask_be) > kl_ntohl(routes.entries[best].mask_be))
			best = (int)i;
	}
	if (best < 0) {
		/* Broadcast and multicast need no route when the interface is known or there is just one. */
		if (dst_be != UINT32_MAX && !kl_route_is_multicast(dst_be))
			return -ENETUNREACH;
		while (nif == NULL || (nif->features & KL_NETIF_LOOPBACK)) {
			nif = kl_netif_next(nif);
			if (nif == NULL)
				return -ENETUNREACH;
		}
		*out = (struct kl_route){nif, nif->address_be, dst_be, nif->mtu};
		return 0;
	}
	nif = routes.entries[best].nif;
	*out = (struct kl_route){nif, nif->address_be, dst_be, nif->mtu};
	if (routes.entries[best].gateway_be != 0 && dst_be != UINT32_MAX && !kl_route_is_multicast(dst_be))
		out->next_hop_be = routes.entries[best].gateway_be;
	return 0;
}

int kl_route_add(uint32_t dst_be, uint32_t mask_be, uint32_t gateway_be, struct kl_netif *nif)
{
	if (routes.count == KL_ROUTES_MAX)
		return -ENOSPC;
	routes.entries[routes.count].dst_be = dst_be & mask_be;
	routes.entries[routes.count].mask_be = mask_be;
	routes.entries[routes.count].gateway_be = gateway_be;
	routes.entries[routes.count].nif = nif;
	routes.count++;
	return 0;
}

void kl_route_remove_all(struct kl_netif *nif)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < routes.count; i++) {
		if (routes.entries[i].nif != nif)
			routes.entries[kept++] = routes.entries[i];
	}
	routes.count = kept;
}

uint32_t kl_route_pmtu(uint32_t dst_be, uint32_t mtu)
{
	for (unsigned i = 0; i < PMTU_ENTRIES; i++) {
		if (routes.pmtu[i].dst_be == dst_be && routes.pmtu[i].until_ns != 0) {
			if (routes.pmtu[i].until_ns < kl_clock_ns())
				routes.pmtu[i].until_ns = 0;
			else
				return KL_MIN(mtu, routes.pmtu[i].mtu);
		}
	}
	return mtu;
}

void kl_route_pmtu_learn(uint32_t dst_be, uint32_t mtu)
{
	unsigned slot = 0;

	for (unsigned i = 0; i < PMTU_ENTRIES; i++) {
		if (routes.pmtu[i].dst_be == dst_be) {
			slot = i;
			break;
		}
		if (routes.pmtu[i].until_ns < routes.pmtu[slot].until_ns)
			slot = i;
	}
	routes.pmtu[slot].dst_be = dst_be;
	routes.pmtu[slot].mtu = KL_MAX(mtu, PMTU_MIN);
	routes.pmtu[slot].until_ns = kl_clock_ns() + PMTU_NS;
}
