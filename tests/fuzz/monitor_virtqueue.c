// SPDX-License-Identifier: Apache-2.0
/*
 * The monitor's virtqueue walker on rings made of any bytes. Input: 8 bytes that place the rings, then memory. Whatever it
 * returns must lie inside memory.
 */
#include "virtqueue.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES 0x8000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* Read or write every byte of a request, so that the sanitizer sees one that is outside. */
static void use(const struct kl_memory *memory, const struct kl_vq_chain *chain, const struct iovec *iov)
{
	volatile uint8_t sum = 0;
	uint64_t bytes = 0;

	require(chain->out_count + chain->in_count <= KL_VQ_CHAIN_MAX);
	for (unsigned int i = 0; i < (unsigned int)chain->out_count + chain->in_count; i++) {
		const uint8_t *base = iov[i].iov_base;

		require(iov[i].iov_len > 0);
		require(base >= memory->base && iov[i].iov_len <= memory->bytes);
		require((uint64_t)(base - memory->base) <= memory->bytes - iov[i].iov_len);
		sum ^= base[0] ^ base[iov[i].iov_len - 1];
		bytes += iov[i].iov_len;
	}
	require(bytes == chain->out_bytes + chain->in_bytes);
	kl_iov_write(iov + chain->out_count, chain->in_count, 0, "answer", 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kl_memory memory = {.bytes = MEMORY_BYTES};
	struct kl_vq vq = {0};
	struct iovec iov[KL_VQ_CHAIN_MAX];
	struct kl_vq_chain chain;

	if (size < 8)
		return 0;
	memory.base = aligned_alloc(4096, MEMORY_BYTES);
	require(memory.base != NULL);
	memset(memory.base, 0, MEMORY_BYTES);
	memcpy(memory.base, data + 8, size - 8 < MEMORY_BYTES ? size - 8 : MEMORY_BYTES);
	uint64_t desc = (uint64_t)data[1] << 8, avail = (uint64_t)data[2] << 8, used = (uint64_t)data[3] << 8;
	if (!kl_vq_setup(&vq, &memory, 1u << (data[0] & 15), desc | (data[4] & 15), avail | (data[5] & 15),
		    used | (data[6] & 15), data[7] & 1)) {
		for (int i = 0; i < 600; i++) {
			int taken = kl_vq_take(&vq, &chain, iov);

			require(taken == 1 || taken == 0 || taken == -71 /* EPROTO */);
			if (taken != 1)
				break;
			use(&memory, &chain, iov);
			if (i % 7 == 3) {
				kl_vq_untake(&vq, 1);
				continue;
			}
			kl_vq_put(&vq, chain.head, 6);
			if (i % 3 == 0)
				kl_vq_publish(&vq);
			kl_vq_watch(&vq);
		}
		kl_vq_publish(&vq);
	}
	free(memory.base);
	return 0;
}
