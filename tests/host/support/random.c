/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that are the same in each run (splitmix64), so that a failure comes back. */
#include <kl/random.h>

#include "kl_host.h"

#define WEAK __attribute__((weak))

static uint64_t state = 1;

void kl_host_seed(uint64_t seed)
{
	state = seed;
}

static uint64_t step(void)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

WEAK void kl_random_bytes(void *buf, size_t n)
{
	unsigned char *bytes = buf;

	for (size_t i = 0; i < n; i++)
		bytes[i] = (unsigned char)(step() >> 56);
}

WEAK void kl_random_add(const void *buf, size_t n)
{
	(void)buf;
	(void)n;
}
