// SPDX-License-Identifier: Apache-2.0
#include "arena.h"

#include <stdint.h>
#include <sys/mman.h>

enum { BLOCK_BYTES = 64 * 1024, ALIGN = sizeof(void *) };

struct arena_block {
	struct arena_block *next;
	size_t bytes;
};

void *arena_alloc(struct arena *arena, size_t bytes)
{
	void *result;

	if (bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (bytes > arena->left) {
		size_t size = bytes + sizeof(struct arena_block);
		struct arena_block *block;

		size = (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
		block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (block == MAP_FAILED)
			return NULL;
		*block = (struct arena_block){.next = arena->blocks, .bytes = size};
		arena->blocks = block;
		arena->free = (char *)(block + 1);
		arena->left = size - sizeof(*block);
	}
	result = arena->free;
	arena->free += bytes;
	arena->left -= bytes;
	return result;
}

void arena_release(struct arena *arena)
{
	struct arena_block *next;

	for (struct arena_block *block = arena->blocks; block; block = next) {
		next = block->next;
		munmap(block, block->bytes);
	}
	*arena = (struct arena){0};
}
