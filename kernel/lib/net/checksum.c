/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet checksum (RFC 1071). In memory order, so that byte order does not matter: the result is stored as it is. */
#include <kl/net.h>

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	__builtin_memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t add_carry(uint64_t sum, uint64_t v)
{
	return __builtin_add_overflow(sum, v, &sum) ? sum + 1 : sum;
}

uint32_t kl_net_sum(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *p = data;
	uint64_t total = sum, tail = 0;

	for (; n >= 32; n -= 32, p += 32) {
		/* Halves, so that no addition carries: two chains of plain additions. */
		uint64_t a = load64(p), b = load64(p + 8), c = load64(p + 16), d = load64(p + 24);
		uint64_t low = (a & 0xffffffff) + (b & 0xffffffff) + (c & 0xffffffff) + (d & 0xffffffff);
		uint64_t high = (a >> 32) + (b >> 32) + (c >> 32) + (d >> 32);

		total = add_carry(total, low + high);
	}
	for (; n >= 8; n -= 8, p += 8)
		total = add_carry(total, load64(p));
	for (size_t i = 0; i < n; i++)
		tail |= (uint64_t)p[i] << (8 * i);
	total = add_carry(total, tail);
	total = (total & 0xffffffff) + (total >> 32);
	total = (total & 0xffffffff) + (total >> 32);
	total = (total & 0xffff) + (total >> 16);
	return kl_net_fold((uint32_t)total);
}

uint32_t kl_net_pseudo_sum(uint32_t src_be, uint32_t dst_be, uint8_t protocol, uint16_t bytes)
{
	uint64_t sum = (uint64_t)src_be + dst_be + kl_htons(protocol) + kl_htons(bytes);

	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	return kl_net_fold((uint32_t)sum);
}
