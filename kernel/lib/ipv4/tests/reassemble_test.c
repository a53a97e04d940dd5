/* SPDX-License-Identifier: Apache-2.0 */
/* Fragments in any order, doubled, overlapping, too many, never finished. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/clock.h>
#include <kl/string.h>

#include "../ipv4_priv.h"
#include "kl_host.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d %s\n", __FILE__, __LINE__, #cond);                                          \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

const char *kl_cmdline_get(const char *key, unsigned n)
{
	(void)key;
	(void)n;
	return NULL;
}

static uint32_t rnd(uint32_t below)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

static uint8_t payload[66000];

static struct kl_pbuf *fragment(uint16_t id, uint32_t offset, uint32_t n, bool more)
{
	struct kl_pbuf *packet = kl_pbuf_alloc(0, 20 + n);
	struct kl_ipv4_header *header;

	CHECK(packet != NULL);
	header = (struct kl_ipv4_header *)kl_pbuf_append(packet, 20);
	*header = (struct kl_ipv4_header){.version_ihl = 0x45,
		.total_be = kl_htons((uint16_t)(20 + n)),
		.id_be = kl_htons(id),
		.fragment_be = kl_htons((uint16_t)(offset / 8 | (more ? KL_IPV4_MF : 0))),
		.protocol = 17,
		.src_be = 1,
		.dst_be = 2};
	memcpy(kl_pbuf_append(packet, n), payload + offset, n);
	return packet;
}

static void check_whole(struct kl_pbuf *packet, uint32_t n)
{
	static uint8_t out[65600];

	CHECK(packet != NULL && packet->total == 20 + n);
	kl_pbuf_copy_out(packet, 20, out, n);
	CHECK(memcmp(out, payload, n) == 0);
	CHECK(kl_ntohs(((struct kl_ipv4_header *)packet->data)->total_be) == 20 + n);
	kl_pbuf_put(packet);
}

static void test_any_order(void)
{
	for (int round = 0; round < 2000; round++) {
		uint32_t pieces = 2 + rnd(40), step = 8 + 8 * rnd(180), n = step * (pieces - 1) + 1 + rnd(step),
			 order[64];
		struct kl_pbuf *whole = NULL;

		if (n > 65500)
			continue;
		for (uint32_t i = 0; i < pieces; i++)
			order[i] = i;
		for (uint32_t i = 0; i < pieces; i++) {
			uint32_t k = rnd(pieces), t = order[i];

			order[i] = order[k];
			order[k] = t;
		}
		for (uint32_t i = 0; i < pieces; i++) {
			uint32_t at = order[i] * step, size = KL_MIN(step, n - at);

			CHECK(whole == NULL);
			if (rnd(10) == 0 && i + 1 < pieces)
				CHECK(ipv4_reassemble(fragment((uint16_t)round, at, size, at + size < n)) == NULL);
			whole = ipv4_reassemble(fragment((uint16_t)round, at, size, at + size < n));
		}
		check_whole(whole, n);
	}
	printf("ok fragments in any order, some doubled\n");
}

static void test_what_attackers_send(void)
{
	/* Overlap ends the packet: the rest does not complete it. */
	CHECK(ipv4_reassemble(fragment(1, 0, 16, true)) == NULL);
	CHECK(ipv4_reassemble(fragment(1, 8, 16, true)) == NULL);
	CHECK(ipv4_reassemble(fragment(1, 16, 8, false)) == NULL);
	/* Beyond 64 KiB, not in units of 8, empty. */
	CHECK(ipv4_reassemble(fragment(2, 65528, 100, false)) == NULL);
	CHECK(ipv4_reassemble(fragment(3, 0, 13, true)) == NULL);
	CHECK(ipv4_reassemble(fragment(4, 8, 0, false)) == NULL);
	/* Something beyond what the last one says is the end. */
	CHECK(ipv4_reassemble(fragment(5, 0, 8, true)) == NULL);
	CHECK(ipv4_reassemble(fragment(5, 24, 8, true)) == NULL);
	CHECK(ipv4_reassemble(fragment(5, 16, 8, false)) == NULL);
	printf("ok overlaps and impossible fragments\n");
}

static void test_nothing_stays(void)
{
	size_t before, peak = 0;

	kl_host_advance(60 * KL_NS_PER_S);
	before = kl_host_allocations();
	for (uint32_t i = 0; i < 5000; i++) {
		CHECK(ipv4_reassemble(fragment((uint16_t)(i + 10000), 8 * rnd(100), 1400, true)) == NULL);
		peak = KL_MAX(peak, kl_host_allocations() - before);
	}
	CHECK(peak < 1000);
	for (uint32_t i = 0; i < 200; i++) /* one with too many pieces */
		CHECK(ipv4_reassemble(fragment(9, 16 * i, 8, true)) == NULL);
	kl_host_advance(60 * KL_NS_PER_S);
	CHECK(kl_host_allocations() - before < 130); /* spare buffers */
	printf("ok packets that are never complete are bounded, and go\n");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 13 + (i >> 8));
	CHECK(kl_net_init() == 0);
	test_any_order();
	test_what_attackers_send();
	test_nothing_stays();
	return 0;
}
