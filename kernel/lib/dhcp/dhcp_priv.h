/* SPDX-License-Identifier: Apache-2.0 */
/* DHCP messages as bytes (RFC 2131 section 2, RFC 2132). */
#ifndef DHCP_PRIV_H
#define DHCP_PRIV_H

#include <kl/udp.h>

#define DHCP_CLIENT_PORT 68
#define DHCP_SERVER_PORT 67
#define DHCP_REQUEST_BYTES 300u
#define DHCP_REPLY_MAX 1472u
#define DHCP_DNS_MAX 3u

enum { DHCP_DISCOVER = 1, DHCP_OFFER = 2, DHCP_REQUEST = 3, DHCP_ACK = 5, DHCP_NAK = 6 };

struct dhcp_request {
	uint8_t type;
	uint32_t xid;
	const uint8_t *mac;
	uint16_t seconds;
	uint32_t address_be;              /* ours, or 0 */
	uint32_t requested_be, server_be; /* 0: option left out */
};

struct dhcp_reply {
	uint8_t type;
	uint32_t address_be, server_be, mask_be, router_be;
	uint32_t dns_be[DHCP_DNS_MAX];
	unsigned dns_count;
	uint32_t lease_s, renew_s, rebind_s, mtu;
};

void dhcp_build(uint8_t out[DHCP_REQUEST_BYTES], const struct dhcp_request *request);
/* false: not an answer to this exchange, or malformed. */
bool dhcp_parse(const uint8_t *data, size_t n, uint32_t xid, const uint8_t mac[6], struct dhcp_reply *reply);

#endif
