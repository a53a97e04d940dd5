/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generator with fast key erasure: each refill's first 32 bytes are the next key, the rest is handed out and wiped, so that who
 * sees the state learns nothing of the past.
 */
#include <kl/arch.h>
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/random.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/random.h>

#include "chacha20_priv.h"

#define BLOCK_BYTES 64
#define BLOCKS 8
#define KEY_BYTES 32
#define CHUNK_BYTES 256
#define CALL_BYTES 0x7fffffffu /* most that one getrandom(2) returns */

static struct {
	uint32_t key[KEY_BYTES / 4];
	uint32_t pool[BLOCKS * BLOCK_BYTES / 4];
	size_t left; /* bytes at the end of pool that were not handed out */
} generator;

int kl_random_init(void);
long kl_sys_getrandom(kl_uaddr buf, size_t n, unsigned flags);

static void refill(void)
{
	uint32_t counter[4] = {0};

	for (; counter[0] < BLOCKS; counter[0]++)
		chacha20_block(generator.key, counter, generator.pool + counter[0] * (BLOCK_BYTES / 4));
	memcpy(generator.key, generator.pool, KEY_BYTES);
	memset(generator.pool, 0, KEY_BYTES);
	generator.left = sizeof(generator.pool) - KEY_BYTES;
}

void kl_random_bytes(void *buf, size_t n)
{
	char *out = buf;

	while (n > 0) {
		size_t piece;
		char *from;

		if (generator.left == 0)
			refill();
		piece = KL_MIN(n, generator.left);
		from = (char *)generator.pool + sizeof(generator.pool) - generator.left;
		memcpy(out, from, piece);
		memset(from, 0, piece);
		generator.left -= piece;
		out += piece;
		n -= piece;
	}
}

void kl_random_add(const void *buf, size_t n)
{
	const uint8_t *in = buf;

	while (n > 0) {
		size_t piece = KL_MIN(n, (size_t)KEY_BYTES);

		for (size_t i = 0; i < piece; i++)
			((uint8_t *)generator.key)[i] ^= in[i];
		refill();
		in += piece;
		n -= piece;
	}
	generator.left = 0; /* nothing made from less than all that is known */
	memset(generator.pool, 0, sizeof(generator.pool));
}

int kl_random_init(void)
{
	struct kl_boot_info *record = (struct kl_boot_info *)(KL_DIRECT_VA + KL_BOOT_INFO_PA);
	static const uint8_t none[sizeof(kl_boot.seed)];
	uint64_t tsc = kl_arch_tsc();

	if (memcmp(kl_boot.seed, none, sizeof(none)) == 0)
		kl_debug("random: no seed from the machine");
	kl_random_add(kl_boot.seed, sizeof(kl_boot.seed));
	kl_random_add(&tsc, sizeof(tsc));
	memset(kl_boot.seed, 0, sizeof(kl_boot.seed));
	memset(record->seed, 0, sizeof(record->seed));
	return 0;
}

/* getrandom(2). It never waits: the seed is there from the start. */
long kl_sys_getrandom(kl_uaddr buf, size_t n, unsigned flags)
{
	uint8_t chunk[CHUNK_BYTES];
	size_t done = 0;

	if ((flags & ~(unsigned)(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) != 0 ||
		(flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
		return -EINVAL;
	n = KL_MIN(n, (size_t)CALL_BYTES);
	while (done < n) {
		size_t piece = KL_MIN(n - done, sizeof(chunk));

		kl_random_bytes(chunk, piece);
		if (kl_copy_to_user(buf + done, chunk, piece) < 0)
			break;
		done += piece;
	}
	memset(chunk, 0, sizeof(chunk));
	return done > 0 || n == 0 ? (long)done : -EFAULT;
}
