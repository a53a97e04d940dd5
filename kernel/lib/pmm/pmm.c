/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical pages. Memory that was never used is handed out in order of address, behind a mark that only moves up; pages that came
 * back are kept in lists. A record of 8 bytes for each page lies at the start of free memory and is written when its page is
 * first handed out, so nothing is touched at boot.
 */
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/pmm.h>
#include <kl/string.h>

#include <asm/errno.h>

/* Index of a page: its number minus that of the first page managed. Links are an index plus one; zero ends a list. */
struct page {
	uint32_t next;  /* free: link; in use: the owner's tag */
	uint32_t state; /* free: FREE, perhaps CLEAN, and the link to the previous one; in use: references */
};

#define FREE 0x80000000u
#define CLEAN 0x40000000u /* known to be zero, never written */
#define LINK 0x3fffffffu

static struct {
	struct page *pages;
	kl_phys base;   /* address of page 0 */
	uint32_t fresh; /* pages from here to count were never handed out */
	uint32_t count;
	uint32_t used_list, clean_list;
	size_t free;
	bool zeroed; /* fresh pages are zero */
	bool (*reclaim)(void);
} pmm;

int kl_pmm_init(void)
{
	uint64_t start = KL_ALIGN_UP(kl_boot.free_start_pa, KL_PAGE_BYTES);
	uint64_t end = KL_ALIGN_DOWN(kl_boot.ram_end_pa, KL_PAGE_BYTES);
	uint64_t pages, records;

	if (end <= start + KL_PAGE_BYTES)
		return -ENOMEM;
	pages = (end - start) / KL_PAGE_BYTES;
	if (pages > LINK - 1)
		pages = LINK - 1;
	records = KL_ALIGN_UP(pages * sizeof(struct page), KL_PAGE_BYTES) / KL_PAGE_BYTES;
	pmm.pages = kl_phys_to_virt(start);
	pmm.base = start + records * KL_PAGE_BYTES;
	pmm.count = (uint32_t)(pages - records);
	pmm.fresh = 0;
	pmm.used_list = pmm.clean_list = 0;
	pmm.free = pmm.count;
	pmm.zeroed = kl_boot.free_zeroed != 0;
	return 0;
}

static kl_phys address(uint32_t index)
{
	return pmm.base + (kl_phys)index * KL_PAGE_BYTES;
}

/* The record of a page, or NULL when it isn't one of ours. */
static struct page *record(kl_phys pa)
{
	uint64_t index = (pa - pmm.base) / KL_PAGE_BYTES;

	return pa >= pmm.base && index < pmm.fresh ? &pmm.pages[index] : NULL;
}

static void list_push(uint32_t *head, uint32_t index, uint32_t flags)
{
	if (*head != 0)
		pmm.pages[*head - 1].state = (pmm.pages[*head - 1].state & ~LINK) | (index + 1);
	pmm.pages[index].next = *head;
	pmm.pages[index].state = FREE | flags;
	*head = index + 1;
}

static void list_remove(uint32_t index)
{
	struct page *p = &pmm.pages[index];
	uint32_t prev = p->state & LINK;

	if (prev != 0)
		pmm.pages[prev - 1].next = p->next;
	else if (p->state & CLEAN)
		pmm.clean_list = p->next;
	else
		pmm.used_list = p->next;
	if (p->next != 0)
		pmm.pages[p->next - 1].state = (pmm.pages[p->next - 1].state & ~LINK) | prev;
}

static void hand_out(uint32_t index)
{
	pmm.pages[index].next = 0;
	pmm.pages[index].state = 1;
	pmm.free--;
}

void kl_pmm_set_reclaim(bool (*reclaim)(void))
{
	pmm.reclaim = reclaim;
}

static kl_phys take_used(void)
{
	uint32_t index = pmm.used_list - 1;

	if (pmm.free == 0 && pmm.reclaim != NULL && pmm.reclaim())
		index = pmm.used_list - 1;

	if (pmm.used_list == 0)
		return KL_PHYS_NONE;
	list_remove(index);
	hand_out(index);
	return address(index);
}

static kl_phys take_fresh(void)
{
	uint32_t index;

	if (pmm.clean_list != 0) {
		index = pmm.clean_list - 1;
		list_remove(index);
	} else if (pmm.fresh < pmm.count) {
		index = pmm.fresh++;
	} else {
		return KL_PHYS_NONE;
	}
	hand_out(index);
	return address(index);
}

/* Pages that were in use are preferred: they have memory of the host behind them already, fresh ones cost a fault there. */
kl_phys kl_page_alloc(void)
{
	kl_phys pa = take_used();

	return pa != KL_PHYS_NONE ? pa : take_fresh();
}

kl_phys kl_page_alloc_zeroed(void)
{
	kl_phys pa = take_used();

	if (pa == KL_PHYS_NONE) {
		pa = take_fresh();
		if (pmm.zeroed || pa == KL_PHYS_NONE)
			return pa;
	}
	memset(kl_phys_to_virt(pa), 0, KL_PAGE_BYTES);
	return pa;
}

kl_phys kl_page_alloc_fresh(void)
{
	return pmm.zeroed ? take_fresh() : KL_PHYS_NONE;
}

/* A run of free pages, some of which were handed out before. */
static kl_phys search_run(size_t pages, size_t align)
{
	size_t run = 0;

	for (uint32_t i = 0; i < pmm.count; i++) {
		if (i < pmm.fresh && !(pmm.pages[i].state & FREE)) {
			run = 0;
			continue;
		}
		if (run == 0 && (address(i) / KL_PAGE_BYTES & (align - 1)) != 0)
			continue;
		if (++run < pages)
			continue;
		for (uint32_t k = i + 1 - (uint32_t)pages; k <= i; k++) {
			if (k < pmm.fresh)
				list_remove(k);
			else
				pmm.fresh = k + 1;
			hand_out(k);
		}
		return address(i + 1 - (uint32_t)pages);
	}
	return KL_PHYS_NONE;
}

/* *fresh: none of them was handed out before. */
static kl_phys alloc_run(size_t pages, size_t align_pages, bool *fresh)
{
	uint64_t first = pmm.base / KL_PAGE_BYTES;
	uint64_t start = KL_ALIGN_UP(first + pmm.fresh, (uint64_t)align_pages) - first;

	*fresh = false;
	if (pages > pmm.free && pmm.reclaim != NULL)
		pmm.reclaim();
	if (pages == 0 || pages > pmm.free)
		return KL_PHYS_NONE;
	if (pages == 1 && align_pages == 1)
		return kl_page_alloc();
	if (start > pmm.count || pages > pmm.count - start)
		return search_run(pages, align_pages);
	*fresh = true;
	while (pmm.fresh < start) {
		pmm.fresh++;
		list_push(&pmm.clean_list, pmm.fresh - 1, CLEAN);
	}
	for (size_t i = 0; i < pages; i++)
		hand_out(pmm.fresh++);
	return address((uint32_t)start);
}

kl_phys kl_pages_alloc(size_t pages, size_t align_pages)
{
	bool fresh;

	return alloc_run(pages, align_pages, &fresh);
}

kl_phys kl_pages_alloc_zeroed(size_t pages, size_t align_pages)
{
	bool fresh;
	kl_phys pa = alloc_run(pages, align_pages, &fresh);

	if (pa != KL_PHYS_NONE && !(fresh && pmm.zeroed))
		memset(kl_phys_to_virt(pa), 0, pages * KL_PAGE_BYTES);
	return pa;
}

void kl_page_get(kl_phys pa)
{
	struct page *p = record(pa);

	if (p == NULL)
		return;
	KL_ASSERT(!(p->state & FREE) && p->state < LINK);
	p->state++;
}

void kl_page_put(kl_phys pa)
{
	struct page *p = record(pa);

	if (p == NULL)
		return;
	KL_ASSERT(!(p->state & FREE) && p->state != 0);
	if (--p->state != 0)
		return;
	list_push(&pmm.used_list, (uint32_t)(p - pmm.pages), 0);
	pmm.free++;
}

unsigned kl_page_refs(kl_phys pa)
{
	const struct page *p = record(pa);

	if (p == NULL)
		return UINT32_MAX;
	return p->state & FREE ? 0 : p->state;
}

uint32_t kl_page_tag(kl_phys pa)
{
	return record(pa)->next;
}

void kl_page_set_tag(kl_phys pa, uint32_t tag)
{
	record(pa)->next = tag;
}

size_t kl_pages_total(void)
{
	return pmm.count;
}

size_t kl_pages_free(void)
{
	return pmm.free;
}
