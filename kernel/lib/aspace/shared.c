/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for MAP_SHARED | MAP_ANONYMOUS: a file without a name, whose pages come with the first touch and go with the last area. */
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/pmm.h>

#include <asm/errno.h>
#include <linux/fcntl.h>

#include "aspace_priv.h"

#define PER_CHUNK 512ul

struct shared {
	uint64_t pages;
	kl_phys *chunks[]; /* each NULL or a page of PER_CHUNK addresses */
};

static int shared_page(struct kl_file *file, uint64_t index, bool shared_write, kl_phys *page)
{
	struct shared *shared = file->priv;
	kl_phys **chunk, *slot;

	(void)shared_write;
	if (index >= shared->pages)
		return -EFAULT;
	chunk = &shared->chunks[index / PER_CHUNK];
	if (*chunk == NULL)
		*chunk = kl_zalloc(PER_CHUNK * sizeof(**chunk));
	if (*chunk == NULL)
		return -ENOMEM;
	slot = &(*chunk)[index % PER_CHUNK];
	if (*slot == KL_PHYS_NONE)
		*slot = kl_page_alloc_zeroed();
	if (*slot == KL_PHYS_NONE)
		return -ENOMEM;
	kl_page_get(*slot);
	*page = *slot;
	return 0;
}

static void shared_release(struct kl_file *file)
{
	struct shared *shared = file->priv;

	for (uint64_t c = 0; c * PER_CHUNK < shared->pages; c++) {
		if (shared->chunks[c] == NULL)
			continue;
		for (size_t i = 0; i < PER_CHUNK; i++) {
			if (shared->chunks[c][i] != KL_PHYS_NONE)
				kl_page_put(shared->chunks[c][i]);
		}
		kl_free(shared->chunks[c]);
	}
	kl_free(shared);
}

static const struct kl_file_ops shared_ops = {.page = shared_page, .release = shared_release};

struct kl_file *aspace_shared_file(uint64_t bytes)
{
	uint64_t pages = bytes >> KL_PAGE_SHIFT;
	struct shared *shared = kl_zalloc(sizeof(*shared) + (pages + PER_CHUNK - 1) / PER_CHUNK * sizeof(kl_phys *));
	struct kl_file *file;

	if (shared == NULL)
		return NULL;
	shared->pages = pages;
	file = kl_file_create(&shared_ops, O_RDWR, shared);
	if (file == NULL)
		kl_free(shared);
	return file;
}
