/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables of four levels. A table that lies in memory of pmm's counts its entries in its page's tag. Setting an entry that was
 * not present needs no flush, whatever the machine; removing or tightening one does, once a batch (kl_aspace.stale).
 */
#include <kl/arch.h>
#include <kl/platform.h>

#include <asm/errno.h>

#include "aspace_priv.h"

#define ENTRIES 512u
#define LEVEL_SHIFT(level) (KL_PAGE_SHIFT + 9 * (level)) /* level 0: tables of pages */
#define PTE_LARGE 0x080ull

static uint64_t *table_at(kl_phys pa)
{
	return kl_phys_to_virt(pa & PTE_ADDRESS);
}

static unsigned index_of(uint64_t va, unsigned level)
{
	return va >> LEVEL_SHIFT(level) & (ENTRIES - 1);
}

/* Boot's own tables are no pages of pmm's. */
static bool counted(const uint64_t *entry)
{
	return kl_page_refs(kl_virt_to_phys((void *)KL_ALIGN_DOWN((uint64_t)entry, KL_PAGE_BYTES))) != UINT32_MAX;
}

static void count_entry(const uint64_t *entry, int change)
{
	kl_phys page = kl_virt_to_phys((void *)KL_ALIGN_DOWN((uint64_t)entry, KL_PAGE_BYTES));

	if (counted(entry))
		kl_page_set_tag(page, kl_page_tag(page) + (uint32_t)change);
}

static uint64_t *next_table(uint64_t *entry, bool create)
{
	kl_phys page;

	if (*entry & PTE_PRESENT)
		return *entry & PTE_LARGE ? NULL : table_at(*entry);
	if (!create)
		return NULL;
	page = kl_page_alloc_zeroed();
	if (page == KL_PHYS_NONE)
		return NULL;
	kl_page_set_tag(page, 0);
	*entry = page | PTE_PRESENT | PTE_WRITE | PTE_USER | PTE_SEEN;
	count_entry(entry, 1);
	return table_at(page);
}

uint64_t *pt_entry(kl_phys root, uint64_t va, bool create)
{
	uint64_t *table = table_at(root);

	for (unsigned level = 3; level > 0; level--) {
		table = next_table(&table[index_of(va, level)], create);
		if (table == NULL)
			return NULL;
	}
	return &table[index_of(va, 0)];
}

size_t pt_run(kl_phys root, uint64_t *va, uint64_t end, uint64_t **entries)
{
	while (*va < end) {
		uint64_t *table = table_at(root);
		unsigned level = 3;

		for (; level > 0; level--) {
			uint64_t *next = next_table(&table[index_of(*va, level)], false);

			if (next == NULL)
				break;
			table = next;
		}
		if (level == 0) {
			uint64_t stop = KL_ALIGN_DOWN(*va, 1ull << LEVEL_SHIFT(1)) + (1ull << LEVEL_SHIFT(1));

			*entries = &table[index_of(*va, 0)];
			return (KL_MIN(stop, end) - *va) >> KL_PAGE_SHIFT;
		}
		*va = KL_ALIGN_DOWN(*va, 1ull << LEVEL_SHIFT(level)) + (1ull << LEVEL_SHIFT(level));
	}
	return 0;
}

static size_t trim(uint64_t *table, unsigned level)
{
	size_t freed = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		kl_phys below = table[i] & PTE_ADDRESS;

		if (level == 3 && i >= KL_BASE_VA >> LEVEL_SHIFT(3) && i < KL_END_VA >> LEVEL_SHIFT(3))
			continue;
		if (!(table[i] & PTE_PRESENT) || (table[i] & PTE_LARGE) || kl_page_refs(below) == UINT32_MAX)
			continue;
		if (level > 1)
			freed += trim(table_at(below), level - 1);
		if (kl_page_tag(below) != 0)
			continue;
		table[i] = 0;
		count_entry(&table[i], -1);
		kl_page_put(below);
		freed++;
	}
	return freed;
}

size_t pt_trim(kl_phys root)
{
	return trim(table_at(root), 3);
}

/* --- entries of the program's pages --- */

uint64_t pte_make(kl_phys page, unsigned prot, bool writable)
{
	uint64_t pte = page | PTE_USER | PTE_SEEN;

	if (prot != PROT_NONE)
		pte |= PTE_PRESENT;
	if (writable && (prot & PROT_WRITE))
		pte |= PTE_WRITE;
	if (!(prot & PROT_EXEC))
		pte |= PTE_NX;
	return pte;
}

/* The CPU keeps nothing of an entry whose accessed bit it has not set (Intel SDM, volume 3, section 4.10.2.3). */
static bool may_be_cached(uint64_t pte)
{
	return (pte & (PTE_PRESENT | PTE_ACCESSED)) == (PTE_PRESENT | PTE_ACCESSED);
}

void pte_install(struct kl_aspace *as, uint64_t *pte, uint64_t value)
{
	uint64_t old = *pte;

	*pte = value;
	as->resident += kl_page_refs(value & PTE_ADDRESS) != UINT32_MAX;
	if (pte_used(old)) {
		as->resident -= kl_page_refs(old & PTE_ADDRESS) != UINT32_MAX;
		kl_page_put(old & PTE_ADDRESS);
	} else {
		count_entry(pte, 1);
	}
}

void aspace_clear(struct kl_aspace *as, uint64_t start, uint64_t end)
{
	uint64_t *pte;
	size_t run;

	for (uint64_t va = start; (run = pt_run(as->tables, &va, end, &pte)) != 0; va += run << KL_PAGE_SHIFT) {
		uint64_t *first = pte;
		int cleared = 0;

		for (size_t i = 0; i < run; i++, pte++) {
			if (!pte_used(*pte))
				continue;
			as->stale |= may_be_cached(*pte);
			as->resident -= kl_page_refs(*pte & PTE_ADDRESS) != UINT32_MAX;
			kl_page_put(*pte & PTE_ADDRESS);
			*pte = 0;
			cleared++;
		}
		count_entry(first, -cleared);
	}
}

/* A private page that nobody else refers to becomes writable at once; others at the fault that copies them. */
void aspace_tighten(struct kl_aspace *as, uint64_t start, uint64_t end, unsigned prot, bool shared)
{
	uint64_t *pte;
	size_t run;

	for (uint64_t va = start; (run = pt_run(as->tables, &va, end, &pte)) != 0; va += run << KL_PAGE_SHIFT) {
		for (size_t i = 0; i < run; i++, pte++) {
			kl_phys page = *pte & PTE_ADDRESS;
			uint64_t value;

			if (!pte_used(*pte))
				continue;
			value = pte_make(page, prot, (*pte & PTE_WRITE) || (!shared && kl_page_refs(page) == 1));
			value = (value & ~PTE_SEEN) | (*pte & PTE_SEEN);
			if ((*pte & ~value & (PTE_PRESENT | PTE_WRITE)) || (value & ~*pte & PTE_NX))
				as->stale |= may_be_cached(*pte);
			*pte = value;
		}
	}
}

/* Such an entry was never used, so the TLB has nothing of it. */
bool aspace_reclaim(void)
{
	struct kl_aspace *as = kl_aspace_current;
	size_t freed = 0;
	uint64_t *pte;
	size_t run;

	if (as->unused == 0)
		return false;
	as->unused = 0;
	for (uint64_t va = 0; (run = pt_run(as->tables, &va, KL_USER_TOP_VA, &pte)) != 0; va += run << KL_PAGE_SHIFT) {
		if (va >= KL_BASE_VA && va < KL_END_VA) {
			va = KL_END_VA;
			run = 0;
			continue;
		}
		for (size_t i = 0; i < run; i++, pte++) {
			kl_phys page = *pte & PTE_ADDRESS;

			if (!(*pte & PTE_PRESENT) || (*pte & PTE_SEEN) != 0 || kl_page_refs(page) != 1)
				continue;
			*pte = 0;
			count_entry(pte, -1);
			as->resident--;
			kl_page_put(page);
			freed++;
		}
	}
	return freed != 0;
}

static int make_tables(struct kl_aspace *as, uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t *pte;
	size_t run;

	for (uint64_t va = from; (run = pt_run(as->tables, &va, from + bytes, &pte)) != 0; va += run << KL_PAGE_SHIFT) {
		for (size_t i = 0; i < run; i++) {
			if (pte_used(pte[i]) &&
				pt_entry(as->tables, va + (i << KL_PAGE_SHIFT) - from + to, true) == NULL)
				return -ENOMEM;
		}
	}
	return 0;
}

int aspace_move(struct kl_aspace *as, uint64_t from, uint64_t to, uint64_t bytes)
{
	uint64_t *pte, *target;
	size_t run;

	if (make_tables(as, from, to, bytes) < 0)
		return -ENOMEM;
	for (uint64_t va = from; (run = pt_run(as->tables, &va, from + bytes, &pte)) != 0; va += run << KL_PAGE_SHIFT) {
		for (size_t i = 0; i < run; i++) {
			if (!pte_used(pte[i]))
				continue;
			target = pt_entry(as->tables, va + (i << KL_PAGE_SHIFT) - from + to, false);
			as->stale |= may_be_cached(pte[i]);
			*target = pte[i];
			pte[i] = 0;
			count_entry(target, 1);
			count_entry(pte, -1);
		}
	}
	return 0;
}

void aspace_flush(struct kl_aspace *as)
{
	if (!as->stale)
		return;
	as->stale = false;
	kl_arch_tlb_flush_all();
}

/* --- the library OS's own mappings, the same in every address space --- */

int kl_kernel_map(uint64_t va, kl_phys pa, unsigned flags)
{
	uint64_t *pte = pt_entry(kl_boot.tables_pa, va, true);

	if (pte == NULL)
		return -ENOMEM;
	*pte = pa | PTE_PRESENT | PTE_USER | PTE_SEEN | (flags & KL_MAP_WRITE ? PTE_WRITE : 0) |
		(flags & KL_MAP_EXEC ? 0 : PTE_NX) | (flags & KL_MAP_UNCACHED ? PTE_UNCACHED : 0);
	return 0;
}

void kl_kernel_unmap(uint64_t va)
{
	uint64_t *pte = pt_entry(kl_boot.tables_pa, va, false);

	if (pte == NULL || *pte == 0)
		return;
	*pte = 0;
	kl_arch_tlb_flush_page(va);
}

volatile void *kl_mmio_map(kl_phys pa, size_t bytes)
{
	kl_phys end = KL_ALIGN_UP(pa + bytes, KL_PAGE_BYTES);

	for (kl_phys page = KL_ALIGN_DOWN(pa, KL_PAGE_BYTES); page < end; page += KL_PAGE_BYTES) {
		if (kl_kernel_map(KL_MMIO_VA + page, page, KL_MAP_WRITE | KL_MAP_UNCACHED) < 0)
			return NULL;
	}
	return (volatile void *)(KL_MMIO_VA + pa);
}
