/* SPDX-License-Identifier: Apache-2.0 */
/* Physical pages of 4 KiB, reference-counted. */
#ifndef KL_PMM_H
#define KL_PMM_H

#include <kl/types.h>

#include "kl_layout.h"

#define KL_PHYS_NONE 0ull /* no page: physical page 0 is never handed out */

/* One page with one reference; KL_PHYS_NONE when there is none left. */
kl_phys kl_page_alloc(void) KL_MUST_CHECK;
kl_phys kl_page_alloc_zeroed(void) KL_MUST_CHECK;
/*
 * A page known to be zero without anybody having to write to it: it costs nothing before it is used. KL_PHYS_NONE when there is
 * no such page, though others may be free.
 */
kl_phys kl_page_alloc_fresh(void) KL_MUST_CHECK;
/* Physically contiguous pages, each with one reference, to be freed one by one. align_pages: a power of two. */
kl_phys kl_pages_alloc(size_t pages, size_t align_pages) KL_MUST_CHECK;
kl_phys kl_pages_alloc_zeroed(size_t pages, size_t align_pages) KL_MUST_CHECK;
/* Pages of the image (root file system, library OS) may be passed too: they are never freed. */
void kl_page_get(kl_phys page);
void kl_page_put(kl_phys page);      /* the last reference frees it */
unsigned kl_page_refs(kl_phys page); /* UINT32_MAX: a page of the image */

/* A word for the use of whoever allocated the page; undefined at first. Not for pages of the image. */
uint32_t kl_page_tag(kl_phys page);
void kl_page_set_tag(kl_phys page, uint32_t tag);

/* Called once, before any other function here: takes over [kl_boot.free_start_pa, kl_boot.ram_end_pa). 0 or -ENOMEM. */
int kl_pmm_init(void);

/* Called when there is no page left: frees some that can be had again at no loss, and returns whether it did. Must not allocate. */
void kl_pmm_set_reclaim(bool (*reclaim)(void));

/* Counts in pages. */
size_t kl_pages_total(void);
size_t kl_pages_free(void);

/* RAM is mapped at KL_DIRECT_VA as a whole. */
static inline void *kl_phys_to_virt(kl_phys pa)
{
	return (void *)(KL_DIRECT_VA + pa);
}

/* va: in the direct map, or in the library OS's own segments. */
static inline kl_phys kl_virt_to_phys(const void *va)
{
	uint64_t v = (uint64_t)va;

	return v >= KL_DIRECT_VA ? v - KL_DIRECT_VA : v - KL_BASE_VA;
}

#endif
