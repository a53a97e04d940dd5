// SPDX-License-Identifier: Apache-2.0
/* The DNS example's memory, each piece on its own, so that the sanitizer sees where it ends. */
#include "arena.h"

#include <stdlib.h>

struct arena_block {
	struct arena_block *next;
	void *memory;
};

void *arena_alloc(struct arena *arena, size_t bytes)
{
	struct arena_block *block = malloc(sizeof(*block));

	if (!block)
		abort();
	*block = (struct arena_block){.next = arena->blocks, .memory = calloc(1, bytes)};
	arena->blocks = block;
	return block->memory;
}

void arena_release(struct arena *arena)
{
	while (arena->blocks) {
		struct arena_block *block = arena->blocks;

		arena->blocks = block->next;
		free(block->memory);
		free(block);
	}
}
