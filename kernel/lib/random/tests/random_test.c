/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/random.h>

#include <kl/platform.h>
#include <kl/random.h>

#include "chacha20_priv.h"

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

struct kl_boot_info kl_boot;

int kl_random_init(void);
long kl_sys_getrandom(kl_uaddr buf, size_t n, unsigned flags);

/* RFC 8439, section 2.3.2 */
static void test_block(void)
{
	static const uint32_t counter_nonce[4] = {1, 0x09000000, 0x4a000000, 0};
	static const uint32_t want[16] = {0xe4e7f110, 0x15593bd1, 0x1fdd0f50, 0xc47120a3, 0xc7f4d1c7, 0x0368c033,
		0x9aaa2204, 0x4e6cd4c3, 0x466482d2, 0x09aa9f07, 0x05d7c214, 0xa2028bd9, 0xd19c12b5, 0xb94e16de,
		0xe883d0cb, 0x4e3c50a2};
	uint32_t key[8], out[16];

	for (unsigned i = 0; i < 32; i++)
		((uint8_t *)key)[i] = (uint8_t)i;
	chacha20_block(key, counter_nonce, out);
	CHECK(memcmp(out, want, sizeof(want)) == 0);
	printf("ok ChaCha20 block of RFC 8439\n");
}

static void test_stream(void)
{
	static uint8_t a[100000];
	unsigned counts[256] = {0};

	kl_random_bytes(a, sizeof(a));
	for (size_t i = 0; i < sizeof(a); i++)
		counts[a[i]]++;
	for (unsigned i = 0; i < 256; i++)
		CHECK(counts[i] > 250 && counts[i] < 550); /* 391 each, more than seven deviations wide */
	for (size_t i = 32; i < sizeof(a); i += 32)
		CHECK(memcmp(a, a + i, 16) != 0);
	CHECK(kl_random_u64() != kl_random_u64());
	printf("ok stream\n");
}

static void test_seed(void)
{
	uint8_t zero[sizeof(kl_boot.seed)] = {0};

	CHECK(memcmp(kl_boot.seed, zero, sizeof(zero)) == 0);
	CHECK(((struct kl_boot_info *)(KL_DIRECT_VA + KL_BOOT_INFO_PA))->seed[0] == 0);
	printf("ok the seed is wiped\n");
}

static void test_getrandom(void)
{
	uint8_t buf[1000] = {0};
	unsigned zeroes = 0;

	CHECK(kl_sys_getrandom((kl_uaddr)buf, sizeof(buf), 0) == sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		zeroes += buf[i] == 0;
	CHECK(zeroes < 40);
	CHECK(kl_sys_getrandom((kl_uaddr)buf, 0, GRND_NONBLOCK) == 0);
	CHECK(kl_sys_getrandom((kl_uaddr)buf, 1, 8) == -EINVAL);
	CHECK(kl_sys_getrandom((kl_uaddr)buf, 1, GRND_RANDOM | GRND_INSECURE) == -EINVAL);
	CHECK(kl_sys_getrandom(8, 10, 0) == -EFAULT);
	printf("ok getrandom\n");
}

int main(void)
{
	CHECK(mmap((void *)KL_DIRECT_VA, 0x10000, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != MAP_FAILED);
	memset(kl_boot.seed, 1, sizeof(kl_boot.seed));
	memset((void *)(KL_DIRECT_VA + KL_BOOT_INFO_PA), 1, sizeof(kl_boot));
	test_block();
	CHECK(kl_random_init() == 0);
	test_seed();
	test_stream();
	test_getrandom();
	return 0;
}
