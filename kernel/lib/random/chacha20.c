/* SPDX-License-Identifier: Apache-2.0 */
/* The block function of RFC 8439, section 2.3, with a nonce of zero. */
#include "chacha20_priv.h"

static uint32_t rotate(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void quarter(uint32_t *s, unsigned a, unsigned b, unsigned c, unsigned d)
{
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 16);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 12);
	s[a] += s[b];
	s[d] = rotate(s[d] ^ s[a], 8);
	s[c] += s[d];
	s[b] = rotate(s[b] ^ s[c], 7);
}

void chacha20_block(const uint32_t key[8], const uint32_t counter_nonce[4], uint32_t out[16])
{
	static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
	uint32_t in[16];

	for (unsigned i = 0; i < 4; i++) {
		in[i] = constants[i];
		in[12 + i] = counter_nonce[i];
	}
	for (unsigned i = 0; i < 8; i++)
		in[4 + i] = key[i];
	for (unsigned i = 0; i < 16; i++)
		out[i] = in[i];
	for (unsigned round = 0; round < 10; round++) {
		for (unsigned i = 0; i < 4; i++)
			quarter(out, i, 4 + i, 8 + i, 12 + i);
		for (unsigned i = 0; i < 4; i++)
			quarter(out, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
	}
	for (unsigned i = 0; i < 16; i++)
		out[i] += in[i];
}
