/* SPDX-License-Identifier: Apache-2.0 */
/* The heap, on malloc(), so that ASan sees every mistake; pages from an arena at the place of the direct map. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kl/heap.h>
#include <kl/log.h>
#include <kl/pmm.h>

#include "kl_host.h"

#define WEAK __attribute__((weak))
#define ARENA_PAGES 16384ul
#define ARENA_PA 0x200000ul

long kl_host_fail_after = -1;

static size_t allocations;
static unsigned refs[ARENA_PAGES];
static size_t pages_used;

size_t kl_host_allocations(void)
{
	return allocations;
}

size_t kl_host_pages_used(void)
{
	return pages_used;
}

static bool fails(void)
{
	if (kl_host_fail_after < 0)
		return false;
	if (kl_host_fail_after == 0)
		return true;
	kl_host_fail_after--;
	return false;
}

WEAK void *kl_malloc(size_t bytes)
{
	void *p = fails() ? NULL : malloc(bytes);

	allocations += p != NULL;
	return p;
}

WEAK void *kl_zalloc(size_t bytes)
{
	void *p = fails() ? NULL : calloc(1, bytes);

	allocations += p != NULL;
	return p;
}

WEAK void *kl_realloc(void *old, size_t bytes)
{
	void *p = fails() ? NULL : realloc(old, bytes);

	allocations += p != NULL && old == NULL;
	return p;
}

WEAK void kl_free(void *p)
{
	allocations -= p != NULL;
	free(p);
}

static void arena_map(void)
{
	static bool mapped;
	void *at = (void *)(KL_DIRECT_VA + ARENA_PA);

	if (mapped)
		return;
	if (mmap(at, ARENA_PAGES * KL_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != at)
		kl_panic("the arena of pages can't be mapped");
	mapped = true;
}

static size_t page_index(kl_phys page)
{
	size_t i = (page - ARENA_PA) / KL_PAGE_BYTES;

	if (page % KL_PAGE_BYTES != 0 || i >= ARENA_PAGES || refs[i] == 0)
		kl_panic("page %#lx is not allocated", (unsigned long)page);
	return i;
}

WEAK kl_phys kl_pages_alloc(size_t pages, size_t align_pages)
{
	if (fails())
		return KL_PHYS_NONE;
	arena_map();
	for (size_t i = 0; i + pages <= ARENA_PAGES; i += align_pages) {
		size_t n = 0;

		while (n < pages && refs[i + n] == 0)
			n++;
		if (n < pages)
			continue;
		for (n = 0; n < pages; n++)
			refs[i + n] = 1;
		pages_used += pages;
		memset((void *)(KL_DIRECT_VA + ARENA_PA + i * KL_PAGE_BYTES), 0xa5, pages * KL_PAGE_BYTES);
		return ARENA_PA + i * KL_PAGE_BYTES;
	}
	return KL_PHYS_NONE;
}

WEAK kl_phys kl_page_alloc(void)
{
	return kl_pages_alloc(1, 1);
}

WEAK kl_phys kl_page_alloc_zeroed(void)
{
	kl_phys page = kl_pages_alloc(1, 1);

	if (page != KL_PHYS_NONE)
		memset(kl_phys_to_virt(page), 0, KL_PAGE_BYTES);
	return page;
}

WEAK void kl_page_get(kl_phys page)
{
	refs[page_index(page)]++;
}

WEAK void kl_page_put(kl_phys page)
{
	pages_used -= --refs[page_index(page)] == 0;
}

WEAK unsigned kl_page_refs(kl_phys page)
{
	return refs[page_index(page)];
}

WEAK size_t kl_pages_total(void)
{
	return ARENA_PAGES;
}

WEAK size_t kl_pages_free(void)
{
	return ARENA_PAGES - pages_used;
}
