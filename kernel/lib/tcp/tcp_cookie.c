/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SYN cookies (RFC 4987, section 3.6): the initial sequence number is 5 bits of time, 3 bits that stand for the peer's MSS, and 24
 * bits that only we can compute. Window scaling and SACK are kept in the low bits of our timestamp when the peer has timestamps.
 */
#include "tcp_priv.h"

#define PERIOD_NS (16 * KL_NS_PER_S)
#define PERIODS_MAX 4u /* age of a cookie */

static const uint16_t sizes[8] = {536, 1200, 1300, 1400, 1440, 1452, 1460, 8960};

static uint32_t code(const struct tcp_node *node, uint32_t irs, uint32_t period, unsigned size)
{
	struct {
		uint32_t local_be, remote_be;
		uint16_t local_port, remote_port;
		uint32_t irs, period, size;
	} tuple = {node->local_be, node->remote_be, node->local_port, node->remote_port, irs, period, size};

	return (uint32_t)kl_inet_hash(&tuple, sizeof(tuple)) & 0xffffff;
}

static uint32_t period_now(void)
{
	return (uint32_t)(tcp_now() / PERIOD_NS);
}

uint32_t tcp_cookie_make(const struct tcp_node *node, uint32_t irs, uint16_t mss)
{
	uint32_t period = period_now();
	unsigned size = 0;

	while (size < 7 && sizes[size + 1] <= mss)
		size++;
	return (period & 31) << 27 | size << 24 | code(node, irs, period, size);
}

bool tcp_cookie_check(const struct tcp_node *node, uint32_t irs, uint32_t cookie, uint16_t *mss)
{
	uint32_t age = (period_now() - (cookie >> 27)) & 31;
	unsigned size = cookie >> 24 & 7;

	if (age > PERIODS_MAX || code(node, irs, period_now() - age, size) != (cookie & 0xffffff))
		return false;
	*mss = sizes[size];
	return true;
}
