/* SPDX-License-Identifier: Apache-2.0 */
/* DHCP client (RFC 2131, RFC 2132): one lease for each interface that is to have its address so. */
#include "dhcp_priv.h"

#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/log.h>
#include <kl/random.h>
#include <kl/string.h>

#include <linux/errno.h>

#define RETRY_MAX_S 64u
#define LEASE_FOREVER UINT32_MAX

enum state { SELECTING, REQUESTING, BOUND, RENEWING, REBINDING };

struct client {
	struct kl_udp_hook hook;
	struct kl_net_timer timer;
	struct client *next;
	struct kl_netif *nif;
	enum state state;
	uint32_t xid, offered_be, server_be;
	uint32_t renew_s, rebind_s, lease_s;
	uint64_t start_ns; /* of the exchange, and then of the lease */
	unsigned tries;
};

static struct client *clients;

static void send(struct client *c, uint8_t type)
{
	bool unicast = c->state == RENEWING, have = c->state == RENEWING || c->state == REBINDING;
	struct dhcp_request request = {
		.type = type,
		.xid = c->xid,
		.mac = c->nif->mac,
		.seconds = (uint16_t)((kl_clock_ns() - c->start_ns) / KL_NS_PER_S),
		.address_be = have ? c->nif->address_be : 0,
		.requested_be = c->state == REQUESTING ? c->offered_be : 0,
		.server_be = c->state == REQUESTING ? c->server_be : 0,
	};
	struct kl_udp_ends ends = {
		request.address_be, unicast ? c->server_be : UINT32_MAX, DHCP_CLIENT_PORT, DHCP_SERVER_PORT};
	struct kl_route route = {c->nif, request.address_be, UINT32_MAX, c->nif->mtu};
	struct kl_pbuf *packet;

	if (unicast && kl_route_find(c->server_be, c->nif, &route) != 0)
		return;
	packet = kl_pbuf_alloc(KL_PBUF_HEADROOM, DHCP_REQUEST_BYTES);
	if (packet == NULL)
		return; /* the timer tries again */
	dhcp_build(kl_pbuf_append(packet, DHCP_REQUEST_BYTES), &request);
	(void)kl_udp_output(packet, &ends, 64, 0, &route);
}

/* Next try after 1, 2, 4, ... s, a little off, so that many guests that start together do not stay together. */
static void retry_later(struct client *c)
{
	uint64_t wait_s = KL_MIN(1u << KL_MIN(c->tries, 6u), RETRY_MAX_S);

	c->tries++;
	kl_net_timer_set(&c->timer, kl_clock_ns() + wait_s * KL_NS_PER_S - kl_random_u32() % (KL_NS_PER_S / 4));
}

static void discover(struct client *c)
{
	c->state = SELECTING;
	c->xid = kl_random_u32();
	c->tries = 0;
	c->start_ns = kl_clock_ns();
	send(c, DHCP_DISCOVER);
	retry_later(c);
}

static void lose(struct client *c)
{
	if (c->nif->address_be != 0) {
		kl_warn("dhcp: %s: the lease has ended", c->nif->name);
		kl_netif_set_address(c->nif, 0, 0);
	}
	discover(c);
}

/* While renewing: half of the time that is left, a minute at least (RFC 2131, section 4.4.5). */
static void renew_again(struct client *c, uint64_t until_s, uint64_t elapsed_s)
{
	uint64_t wait_s = until_s > elapsed_s ? (until_s - elapsed_s) / 2 : 0;

	kl_net_timer_set(
		&c->timer, kl_clock_ns() + KL_MAX(KL_MIN(wait_s, until_s - elapsed_s), (uint64_t)60) * KL_NS_PER_S);
}

static void timer_run(struct kl_net_timer *timer)
{
	struct client *c = KL_CONTAINER(timer, struct client, timer);
	uint64_t elapsed_s = (kl_clock_ns() - c->start_ns) / KL_NS_PER_S;

	switch (c->state) {
	case SELECTING:
		send(c, DHCP_DISCOVER);
		retry_later(c);
		return;
	case REQUESTING:
		if (c->tries > 4) {
			discover(c);
			return;
		}
		send(c, DHCP_REQUEST);
		retry_later(c);
		return;
	default: break;
	}
	if (elapsed_s >= c->lease_s) {
		lose(c);
		return;
	}
	if (c->state == BOUND)
		c->xid = kl_random_u32();
	c->state = elapsed_s >= c->rebind_s ? REBINDING : RENEWING;
	send(c, DHCP_REQUEST);
	renew_again(c, c->state == RENEWING ? c->rebind_s : c->lease_s, elapsed_s);
}

static void bound(struct client *c, const struct dhcp_reply *reply)
{
	uint32_t mask_be = reply->mask_be != 0 ? reply->mask_be : kl_htonl(0xffffff00);
	char text[16];

	if (c->nif->address_be != reply->address_be || c->nif->mask_be != mask_be) {
		kl_netif_set_address(c->nif, reply->address_be, mask_be);
		if (reply->router_be != 0 && kl_route_add(0, 0, reply->router_be, c->nif) != 0)
			kl_warn("dhcp: %s: no room for its default route", c->nif->name);
		kl_info("dhcp: %s: %s", c->nif->name, kl_net_format_address(reply->address_be, text));
	}
	if (reply->dns_count > 0)
		kl_net_dns_set(reply->dns_be, reply->dns_count);
	if (reply->mtu >= 576 && reply->mtu < c->nif->mtu)
		c->nif->mtu = reply->mtu;
	c->state = BOUND;
	c->tries = 0;
	c->start_ns = kl_clock_ns();
	c->lease_s = reply->lease_s;
	c->renew_s = reply->renew_s != 0 && reply->renew_s < c->lease_s ? reply->renew_s : c->lease_s / 2;
	c->rebind_s =
		reply->rebind_s > c->renew_s && reply->rebind_s < c->lease_s ? reply->rebind_s : c->lease_s / 8 * 7;
	if (c->lease_s == LEASE_FOREVER)
		kl_net_timer_cancel(&c->timer);
	else
		kl_net_timer_set(&c->timer, c->start_ns + KL_MAX(c->renew_s, 1u) * KL_NS_PER_S);
	kl_net_configured();
}

static void reply_in(struct client *c, const struct dhcp_reply *reply)
{
	switch (reply->type) {
	case DHCP_OFFER:
		if (c->state != SELECTING || reply->address_be == 0 || reply->server_be == 0)
			return;
		c->state = REQUESTING;
		c->offered_be = reply->address_be;
		c->server_be = reply->server_be;
		c->tries = 0;
		kl_net_timer_cancel(&c->timer);
		send(c, DHCP_REQUEST);
		retry_later(c);
		return;
	case DHCP_ACK:
		if (c->state == SELECTING || c->state == BOUND || reply->address_be == 0 || reply->lease_s == 0)
			return;
		kl_net_timer_cancel(&c->timer);
		if (reply->server_be != 0)
			c->server_be = reply->server_be;
		bound(c, reply);
		return;
	case DHCP_NAK:
		if (c->state == SELECTING || c->state == BOUND)
			return;
		kl_net_timer_cancel(&c->timer);
		lose(c);
		return;
	default: return;
	}
}

static void input(
	struct kl_udp_hook *hook, struct kl_pbuf *packet, const struct kl_ipv4_info *info, uint16_t source_port)
{
	uint8_t copy[DHCP_REPLY_MAX];
	size_t n = KL_MIN((size_t)packet->total, sizeof(copy));
	struct dhcp_reply reply;

	(void)hook;
	if (source_port != DHCP_SERVER_PORT)
		return;
	kl_pbuf_copy_out(packet, 0, copy, n);
	for (struct client *c = clients; c != NULL; c = c->next) {
		if (c->nif == info->nif && dhcp_parse(copy, n, c->xid, c->nif->mac, &reply)) {
			reply_in(c, &reply);
			return;
		}
	}
}

int kl_dhcp_init(void);
int kl_dhcp_init(void)
{
	static struct kl_udp_hook hook = {.port = DHCP_CLIENT_PORT, .input = input};
	struct kl_netif *nif = NULL;

	while ((nif = kl_netif_next(nif)) != NULL) {
		struct client *c;

		if (!nif->dhcp)
			continue;
		c = kl_zalloc(sizeof(*c));
		if (c == NULL)
			return -ENOMEM;
		c->nif = nif;
		c->timer.fn = timer_run;
		if (clients == NULL)
			kl_udp_hook_add(&hook);
		c->next = clients;
		clients = c;
		discover(c);
	}
	return 0;
}
