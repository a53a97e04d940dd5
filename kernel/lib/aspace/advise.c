/* SPDX-License-Identifier: Apache-2.0 */
/* What a program may say, or ask, about areas: madvise(2), mincore(2), msync(2), mlock(2). */
#include <asm/errno.h>

#include "aspace_priv.h"

/* Memory that the program is done with is kept as long as this fraction of all pages is free. */
#define LAZY_FRACTION 4

static int populate(struct kl_aspace *as, const struct kl_area *area, uint64_t start, uint64_t end, bool write)
{
	if (area->prot == PROT_NONE || (write && !(area->prot & PROT_WRITE)))
		return -EFAULT;
	kl_aspace_populate(as, start, end - start, write);
	return 0;
}

static int advise_area(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end, int advice)
{
	switch (advice) {
	case MADV_FREE:
		if (area->file != NULL || (area->flags & (AREA_SHARED | AREA_PHYS)))
			return -EINVAL;
		if (kl_pages_free() > kl_pages_total() / LAZY_FRACTION)
			return 0;
		__attribute__((fallthrough));
	case MADV_DONTNEED: aspace_clear(as, start, end); return 0;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE: return populate(as, area, start, end, advice == MADV_POPULATE_WRITE);
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK: {
		uint16_t flag = advice == MADV_DONTFORK || advice == MADV_DOFORK ? AREA_NOFORK : AREA_WIPEFORK;

		if (advice == MADV_WIPEONFORK && (area->file != NULL || (area->flags & AREA_SHARED)))
			return -EINVAL;
		if (aspace_split(as, start) < 0 || aspace_split(as, end) < 0)
			return -ENOMEM;
		area = area_find(&as->areas, start);
		if (advice == MADV_DONTFORK || advice == MADV_WIPEONFORK)
			area->flags |= flag;
		else
			area->flags &= (uint16_t)~flag;
		return 0;
	}
	default: return 0;
	}
}

static bool is_known(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE: return true;
	default: return false;
	}
}

/* Holes are passed over, but reported, as Linux does. */
int kl_aspace_advise(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, int advice)
{
	uint64_t start = addr, end;
	int err = 0;

	if (!is_known(advice) || (addr & (KL_PAGE_BYTES - 1)) != 0 || bytes > KL_USER_TOP_VA)
		return -EINVAL;
	end = addr + KL_ALIGN_UP(bytes, KL_PAGE_BYTES);
	if (end < addr)
		return -EINVAL;
	while (start < end) {
		struct kl_area *area = area_at_or_above(&as->areas, start);
		uint64_t stop;
		int one;

		if (area == NULL || area->start >= end) {
			err = -ENOMEM;
			break;
		}
		if (area->start > start)
			err = -ENOMEM;
		start = KL_MAX(start, area->start);
		stop = KL_MIN(end, area->end);
		one = advise_area(as, area, start, stop, advice);
		if (one < 0) {
			err = one;
			break;
		}
		start = stop;
	}
	aspace_merge(as, addr, end);
	aspace_flush(as);
	return err;
}

bool kl_aspace_is_resident(struct kl_aspace *as, kl_uaddr addr)
{
	const struct kl_area *area = area_find(&as->areas, addr);
	const uint64_t *pte = pt_entry(as->tables, addr, false);

	return (pte != NULL && pte_used(*pte)) || (area != NULL && area->file != NULL);
}
