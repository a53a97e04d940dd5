/* SPDX-License-Identifier: Apache-2.0 */
/* The address space as a whole: its layout, and what there is to tell about it. */
#include <kl/arch.h>
#include <kl/file.h>
#include <kl/platform.h>
#include <kl/random.h>

#include "aspace_priv.h"

#define SLOT_BYTES (1ull << 39) /* of one entry of the top-level table */
#define STACK_BYTES (8ull << 20)
#define PROGRAM_OFFSET (64ull << 30)
#define MAP_DISTANCE (16ull << 20) /* from the lowest the stack may reach, at least */

static struct kl_aspace first = {.stack_limit = STACK_BYTES};

struct kl_aspace *kl_aspace_current = &first;

/*
 * Program, mappings and stack lie in one slot, chosen at random, so that they share tables; within it the program's place, the
 * mappings' and the stack's are random to 24, 18 and 22 bits.
 */
static void choose_layout(struct kl_aspace *as)
{
	uint64_t slots = (KL_USER_TOP_VA + KL_PAGE_BYTES - KL_END_VA) / SLOT_BYTES;
	uint64_t slot = KL_END_VA + kl_random_u32() % slots * SLOT_BYTES;
	uint64_t pages[3];

	kl_random_bytes(pages, sizeof(pages));
	as->stack_top = slot + SLOT_BYTES - KL_PAGE_BYTES * (1 + (pages[0] & 0x3fffff));
	as->mmap_top = as->stack_top - STACK_BYTES - MAP_DISTANCE - KL_PAGE_BYTES * (pages[1] & 0x3ffff);
	as->program_base = slot + PROGRAM_OFFSET + KL_PAGE_BYTES * (pages[2] & 0xffffff);
}

/* Entries of the program's half that boot left behind. */
static void clear_leftovers(kl_phys tables)
{
	uint64_t *top = kl_phys_to_virt(tables);

	for (unsigned i = 0; i < 256; i++) {
		if (top[i] != 0 && (i < KL_BASE_VA / SLOT_BYTES || i >= KL_END_VA / SLOT_BYTES))
			top[i] = 0;
	}
}

int kl_aspace_init(void)
{
	first.tables = kl_boot.tables_pa;
	clear_leftovers(first.tables);
	choose_layout(&first);
	kl_pmm_set_reclaim(aspace_reclaim);
	return 0;
}

void kl_aspace_reset(struct kl_aspace *as)
{
	struct kl_area *area;

	while ((area = as->areas.root) != NULL)
		kl_aspace_unmap(as, area->start, area->end - area->start);
	as->stale |= pt_trim(as->tables) != 0;
	aspace_flush(as);
	as->brk_start = as->brk = 0;
	as->stack_limit = STACK_BYTES;
	choose_layout(as);
}

void kl_aspace_layout(const struct kl_aspace *as, struct kl_aspace_layout *out)
{
	out->stack_top = as->stack_top;
	out->program_base = as->program_base;
}

void kl_aspace_set_stack_limit(struct kl_aspace *as, uint64_t bytes)
{
	as->stack_limit = bytes;
}

bool kl_aspace_next_area(struct kl_aspace *as, kl_uaddr *at, struct kl_area_info *out)
{
	const struct kl_area *area = area_at_or_above(&as->areas, *at);

	if (area == NULL)
		return false;
	out->start = area->start;
	out->end = area->end;
	out->prot = area->prot;
	out->flags = area->flags & AREA_SHARED ? MAP_SHARED : MAP_PRIVATE;
	out->offset = area->file != NULL ? area->offset : 0;
	out->name = area->file != NULL ? kl_file_path(area->file) : area->name;
	*at = area->end;
	return true;
}

size_t kl_aspace_resident_pages(struct kl_aspace *as)
{
	return as->resident;
}
