/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as bytes: what we ask, what servers answer, what nobody should believe. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dhcp_priv.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};

static size_t reply(uint8_t *out, const uint8_t *options, size_t n)
{
	memset(out, 0, 240);
	out[0] = 2;
	kl_put_be32(out + 4, 0x12345678);
	kl_put_be32(out + 16, 0x0a000005);
	memcpy(out + 28, mac, 6);
	kl_put_be32(out + 236, 0x63825363);
	memcpy(out + 240, options, n);
	return 240 + n;
}

int main(void)
{
	static const uint8_t good[] = {53, 1, 5, 0, 0, 1, 4, 255, 255, 254, 0, 3, 4, 10, 0, 0, 1, 6, 8, 9, 9, 9, 9, 8,
		8, 8, 8, 51, 4, 0, 0, 14, 16, 54, 4, 10, 0, 0, 2, 26, 2, 5, 120, 255};
	struct dhcp_request request = {
		.type = DHCP_REQUEST, .xid = 7, .mac = mac, .requested_be = kl_htonl(0x0a000005)};
	uint8_t out[DHCP_REQUEST_BYTES], in[600];
	struct dhcp_reply r;
	size_t n;

	dhcp_build(out, &request);
	CHECK(out[0] == 1 && kl_get_be32(out + 4) == 7 && kl_get_be32(out + 236) == 0x63825363);
	CHECK(out[240] == 53 && out[242] == DHCP_REQUEST && memcmp(out + 28, mac, 6) == 0);
	printf("ok a request\n");

	n = reply(in, good, sizeof(good));
	CHECK(dhcp_parse(in, n, 0x12345678, mac, &r));
	CHECK(r.type == DHCP_ACK && r.address_be == kl_htonl(0x0a000005) && r.mask_be == kl_htonl(0xfffffe00));
	CHECK(r.router_be == kl_htonl(0x0a000001) && r.dns_count == 2 && r.lease_s == 3600 && r.mtu == 1400);
	CHECK(r.server_be == kl_htonl(0x0a000002));
	printf("ok an answer\n");

	CHECK(!dhcp_parse(in, n, 0x12345679, mac, &r)); /* another exchange */
	CHECK(!dhcp_parse(in, n, 0x12345678, (const uint8_t[6]){2, 0, 0, 0, 0, 8}, &r));
	for (size_t cut = 0; cut < n; cut++)
		(void)dhcp_parse(in, cut, 0x12345678, mac, &r);
	n = reply(in, (const uint8_t[]){53, 1, 5, 1, 4, 255, 0, 255, 0}, 9);
	CHECK(dhcp_parse(in, n, 0x12345678, mac, &r) && r.mask_be == 0); /* a mask with holes */
	n = reply(in, (const uint8_t[]){53, 200, 5}, 3);
	CHECK(!dhcp_parse(in, n, 0x12345678, mac, &r)); /* longer than the message */
	n = reply(in, (const uint8_t[]){53, 1, 5}, 3);
	kl_put_be32(in + 16, 0x7f000001);
	CHECK(dhcp_parse(in, n, 0x12345678, mac, &r) && r.address_be == 0);
	printf("ok what nobody should believe\n");
	return 0;
}
