/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's memory as the monitor sees it: one mapping of [0, bytes). */
#ifndef KL_MONITOR_MEMORY_H
#define KL_MONITOR_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#define KL_PAGE_BYTES 4096ull
#define KL_HUGE_PAGE_BYTES 0x200000ull

struct kl_memory {
	uint8_t *base;
	uint64_t bytes;
};

/* The host address of [pa, pa + bytes), or NULL where that is not all memory. Any pa and bytes are safe to ask for. */
static inline void *kl_memory_at(const struct kl_memory *memory, uint64_t pa, uint64_t bytes)
{
	if (bytes > memory->bytes || pa > memory->bytes - bytes)
		return NULL;
	return memory->base + pa;
}

#endif
