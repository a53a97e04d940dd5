/* SPDX-License-Identifier: Apache-2.0 */
#include "tmpfs_priv.h"

#include <asm/errno.h>

#define BITS 9u
#define ENTRIES (1u << BITS)

static kl_phys *entries(kl_phys node)
{
	return kl_phys_to_virt(node);
}

static bool beyond(const struct kl_pagemap *map, uint64_t index)
{
	return index >> BITS * map->height != 0;
}

kl_phys kl_pagemap_find(const struct kl_pagemap *map, uint64_t index)
{
	kl_phys at = map->root;

	if (beyond(map, index))
		return KL_PHYS_NONE;
	for (uint32_t level = map->height; level > 0 && at != KL_PHYS_NONE; level--)
		at = entries(at)[index >> BITS * (level - 1) & (ENTRIES - 1)];
	return at;
}

int kl_pagemap_insert(struct kl_pagemap *map, uint64_t index, kl_phys page)
{
	kl_phys *at;

	while (beyond(map, index)) {
		if (map->root != KL_PHYS_NONE) {
			kl_phys node = kl_page_alloc_zeroed();

			if (node == KL_PHYS_NONE)
				return -ENOSPC;
			entries(node)[0] = map->root;
			map->root = node;
		}
		map->height++;
	}
	at = &map->root;
	for (uint32_t level = map->height; level > 0; level--) {
		if (*at == KL_PHYS_NONE)
			*at = kl_page_alloc_zeroed();
		if (*at == KL_PHYS_NONE)
			return -ENOSPC;
		at = &entries(*at)[index >> BITS * (level - 1) & (ENTRIES - 1)];
	}
	*at = page;
	return 0;
}

/* base: index of the first page below *at */
static size_t drop(kl_phys *at, uint32_t level, uint64_t base, uint64_t first, uint64_t last)
{
	uint64_t step = level > 0 ? 1ull << BITS * (level - 1) : 0;
	size_t dropped = 0;
	bool empty = true;

	if (*at == KL_PHYS_NONE)
		return 0;
	if (level == 0) {
		dropped = 1;
	} else {
		kl_phys *e = entries(*at);

		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t start = base + i * step;

			if (e[i] != KL_PHYS_NONE && start <= last && start + (step - 1) >= first)
				dropped += drop(&e[i], level - 1, start, first, last);
			empty = empty && e[i] == KL_PHYS_NONE;
		}
	}
	if (empty) {
		kl_page_put(*at);
		*at = KL_PHYS_NONE;
	}
	return dropped;
}

size_t kl_pagemap_drop(struct kl_pagemap *map, uint64_t first, uint64_t last)
{
	size_t dropped = 0;

	if (map->height > 0 || first == 0)
		dropped = drop(&map->root, map->height, 0, first, last);
	if (map->root == KL_PHYS_NONE)
		map->height = 0;
	return dropped;
}
