/* SPDX-License-Identifier: Apache-2.0 */
#include "dhcp_priv.h"

#include <kl/string.h>

#define COOKIE 0x63825363u
#define OPTIONS_AT 240u
#define REPLY_SIZE_ASKED 1500

enum {
	OPTION_PAD = 0,
	OPTION_MASK = 1,
	OPTION_ROUTER = 3,
	OPTION_DNS = 6,
	OPTION_MTU = 26,
	OPTION_REQUESTED = 50,
	OPTION_LEASE = 51,
	OPTION_TYPE = 53,
	OPTION_SERVER = 54,
	OPTION_WANTED = 55,
	OPTION_MAX_SIZE = 57,
	OPTION_RENEW = 58,
	OPTION_REBIND = 59,
	OPTION_CLIENT = 61,
	OPTION_END = 255,
};

static uint8_t *put_address(uint8_t *p, uint8_t option, uint32_t address_be)
{
	if (address_be == 0)
		return p;
	*p++ = option;
	*p++ = 4;
	memcpy(p, &address_be, 4);
	return p + 4;
}

void dhcp_build(uint8_t out[DHCP_REQUEST_BYTES], const struct dhcp_request *request)
{
	static const uint8_t wanted[] = {OPTION_MASK, OPTION_ROUTER, OPTION_DNS, OPTION_MTU, OPTION_LEASE,
		OPTION_SERVER, OPTION_RENEW, OPTION_REBIND};
	uint8_t *p = out + OPTIONS_AT;

	memset(out, 0, DHCP_REQUEST_BYTES);
	out[0] = 1; /* BOOTREQUEST */
	out[1] = 1; /* Ethernet */
	out[2] = 6;
	kl_put_be32(out + 4, request->xid);
	kl_put_be16(out + 8, request->seconds);
	memcpy(out + 12, &request->address_be, 4);
	memcpy(out + 28, request->mac, 6);
	kl_put_be32(out + 236, COOKIE);
	*p++ = OPTION_TYPE;
	*p++ = 1;
	*p++ = request->type;
	*p++ = OPTION_CLIENT;
	*p++ = 7;
	*p++ = 1;
	memcpy(p, request->mac, 6);
	p += 6;
	p = put_address(p, OPTION_REQUESTED, request->requested_be);
	p = put_address(p, OPTION_SERVER, request->server_be);
	*p++ = OPTION_MAX_SIZE;
	*p++ = 2;
	kl_put_be16(p, REPLY_SIZE_ASKED);
	p += 2;
	*p++ = OPTION_WANTED;
	*p++ = sizeof(wanted);
	memcpy(p, wanted, sizeof(wanted));
	p += sizeof(wanted);
	*p = OPTION_END;
}

static uint32_t address_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void take_option(struct dhcp_reply *reply, uint8_t option, const uint8_t *p, size_t n)
{
	if (option == OPTION_TYPE && n == 1)
		reply->type = p[0];
	if (option == OPTION_MTU && n == 2)
		reply->mtu = kl_get_be16(p);
	if (n < 4)
		return;
	switch (option) {
	case OPTION_MASK: reply->mask_be = address_at(p); break;
	case OPTION_ROUTER: reply->router_be = address_at(p); break;
	case OPTION_SERVER: reply->server_be = address_at(p); break;
	case OPTION_LEASE: reply->lease_s = kl_get_be32(p); break;
	case OPTION_RENEW: reply->renew_s = kl_get_be32(p); break;
	case OPTION_REBIND: reply->rebind_s = kl_get_be32(p); break;
	case OPTION_DNS:
		for (reply->dns_count = 0; reply->dns_count < DHCP_DNS_MAX && n >= 4; n -= 4, p += 4)
			reply->dns_be[reply->dns_count++] = address_at(p);
		break;
	default: break;
	}
}

/* An address that an interface can have. */
static bool usable(uint32_t address_be)
{
	uint32_t address = kl_ntohl(address_be);

	return address >> 24 != 0 && address >> 24 != 127 && address < 0xe0000000;
}

bool dhcp_parse(const uint8_t *data, size_t n, uint32_t xid, const uint8_t mac[6], struct dhcp_reply *reply)
{
	size_t at = OPTIONS_AT;

	if (n < OPTIONS_AT || data[0] != 2 || kl_get_be32(data + 4) != xid || memcmp(data + 28, mac, 6) != 0 ||
		kl_get_be32(data + 236) != COOKIE)
		return false;
	memset(reply, 0, sizeof(*reply));
	reply->address_be = address_at(data + 16);
	if (!usable(reply->address_be))
		reply->address_be = 0;
	while (at < n && data[at] != OPTION_END) {
		size_t length;

		if (data[at] == OPTION_PAD) {
			at++;
			continue;
		}
		if (at + 2 > n)
			return false;
		length = data[at + 1];
		if (length > n - at - 2)
			return false;
		take_option(reply, data[at], data + at + 2, length);
		at += 2 + length;
	}
	/* A mask with holes is none. */
	if ((~kl_ntohl(reply->mask_be) & (~kl_ntohl(reply->mask_be) + 1)) != 0)
		reply->mask_be = 0;
	return reply->type != 0;
}
