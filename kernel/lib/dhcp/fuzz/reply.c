/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a hostile DHCP server. The header is made right, so that the options are what the fuzzer works on. */
#include <stdlib.h>
#include <string.h>

#include "../dhcp_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 9};
	struct dhcp_reply reply;
	uint8_t *copy;

	if (size > DHCP_REPLY_MAX)
		return 0;
	copy = malloc(size == 0 ? 1 : size); /* of exactly that size: ASan sees the first byte too far */
	if (copy == NULL)
		return 0;
	memcpy(copy, data, size);
	if (size >= 240) {
		copy[0] = 2;
		kl_put_be32(copy + 4, 1);
		memcpy(copy + 28, mac, 6);
		kl_put_be32(copy + 236, 0x63825363);
	}
	if (dhcp_parse(copy, size, 1, mac, &reply) && (reply.dns_count > DHCP_DNS_MAX || reply.type == 0))
		abort();
	free(copy);
	return 0;
}
