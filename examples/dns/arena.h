// SPDX-License-Identifier: Apache-2.0
/* Memory that is only ever released as a whole. */
#ifndef DNS_ARENA_H
#define DNS_ARENA_H

#include <stddef.h>

/* Start with all zero. */
struct arena {
	struct arena_block *blocks;
	char *free;
	size_t left;
};

/* Returns zeroed memory, aligned for pointers; NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t bytes);

void arena_release(struct arena *arena);

#endif
