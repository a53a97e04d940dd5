/* SPDX-License-Identifier: Apache-2.0 */
/* Cryptographically secure random bytes: ChaCha20 (RFC 8439) with fast key erasure, seeded at boot. */
#ifndef KL_RANDOM_H
#define KL_RANDOM_H

#include <kl/types.h>

void kl_random_bytes(void *buf, size_t n);
static inline uint32_t kl_random_u32(void)
{
	uint32_t v;

	kl_random_bytes(&v, sizeof(v));
	return v;
}
static inline uint64_t kl_random_u64(void)
{
	uint64_t v;

	kl_random_bytes(&v, sizeof(v));
	return v;
}
/* Mixes more entropy in (boot seed, virtio-rng, writes to /dev/urandom). */
void kl_random_add(const void *buf, size_t n);

#endif
