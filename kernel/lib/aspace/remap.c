/* SPDX-License-Identifier: Apache-2.0 */
/* Areas that grow, shrink and move: mremap(2), brk(2). */
#include <asm/errno.h>

#include "aspace_priv.h"

static bool is_free(const struct kl_aspace *as, uint64_t start, uint64_t end)
{
	const struct kl_area *above = area_at_or_above(&as->areas, start);

	return above == NULL || above->start >= end;
}

/* Gives [old, old + old_bytes), part of one area, a new place and size. */
static int64_t move(struct kl_aspace *as, uint64_t old, uint64_t old_bytes, uint64_t to, uint64_t bytes)
{
	uint64_t keep = KL_MIN(old_bytes, bytes);
	struct kl_area *area, *moved, model;

	if (aspace_split(as, old) < 0 || aspace_split(as, old + old_bytes) < 0)
		return -ENOMEM;
	area = area_find(&as->areas, old);
	model = *area;
	model.start = to;
	model.next_up = model.next_down = 0;
	moved = aspace_add(as, &model, to, to + bytes);
	if (moved == NULL || aspace_move(as, old, to, keep) < 0) {
		if (moved != NULL)
			kl_aspace_unmap(as, to, bytes);
		return -ENOMEM;
	}
	kl_aspace_unmap(as, old, old_bytes); /* flushes */
	aspace_merge(as, to, to + bytes);
	return (int64_t)to;
}

/* The same pages of a shared file once more (old size 0). */
static int64_t duplicate(struct kl_aspace *as, const struct kl_area *area, uint64_t old, uint64_t to, uint64_t bytes)
{
	struct kl_area model = *area;

	if (!(area->flags & AREA_SHARED))
		return -EINVAL;
	model.offset += old - area->start;
	model.start = to;
	return aspace_add(as, &model, to, to + bytes) != NULL ? (int64_t)to : -ENOMEM;
}

static int check_remap(uint64_t old, uint64_t old_bytes, uint64_t bytes, int flags, uint64_t to)
{
	if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED)) != 0 || flags == MREMAP_FIXED)
		return -EINVAL;
	if ((old & (KL_PAGE_BYTES - 1)) != 0 || bytes == 0 || bytes > KL_USER_TOP_VA || old_bytes > KL_USER_TOP_VA)
		return -EINVAL;
	if (!(flags & MREMAP_FIXED))
		return 0;
	if ((to & (KL_PAGE_BYTES - 1)) != 0 || !aspace_range_ok(to, bytes) ||
		(to < old + old_bytes && old < to + bytes))
		return -EINVAL;
	return 0;
}

static int64_t remap(struct kl_aspace *as, uint64_t old, uint64_t old_bytes, uint64_t bytes, int flags, uint64_t to)
{
	struct kl_area *area = area_find(&as->areas, old);
	int err;

	if (area == NULL || old + old_bytes > area->end)
		return -EFAULT;
	if (old_bytes == 0 && !(area->flags & AREA_SHARED))
		return -EINVAL; /* a second mapping of the same pages: only of shared ones */
	if (flags & MREMAP_FIXED) {
		err = kl_aspace_unmap(as, to, bytes);
		if (err < 0)
			return err;
		area = area_find(
			&as->areas, old); /* removing may have split or merged nothing here, but costs little to look */
		return old_bytes == 0 ? duplicate(as, area, old, to, bytes) : move(as, old, old_bytes, to, bytes);
	}
	if (old_bytes == 0) {
		to = flags & MREMAP_MAYMOVE ? aspace_place(as, 0, bytes, 0) : 0;
		return to != 0 ? duplicate(as, area, old, to, bytes) : -ENOMEM;
	}
	if (bytes <= old_bytes) {
		err = bytes < old_bytes ? kl_aspace_unmap(as, old + bytes, old_bytes - bytes) : 0;
		return err < 0 ? err : (int64_t)old;
	}
	if (old + old_bytes == area->end && aspace_range_ok(old, bytes) && is_free(as, area->end, old + bytes)) {
		aspace_resize(as, area, area->start, old + bytes);
		aspace_merge(as, old, old + bytes);
		return (int64_t)old;
	}
	if (!(flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	to = aspace_place(as, 0, bytes, 0);
	return to != 0 ? move(as, old, old_bytes, to, bytes) : -ENOMEM;
}

int64_t kl_aspace_remap(struct kl_aspace *as, kl_uaddr old, uint64_t old_bytes, uint64_t bytes, int flags, kl_uaddr to)
{
	int err = check_remap(old, old_bytes, bytes, flags, to);

	if (err < 0)
		return err;
	return remap(as, old, KL_ALIGN_UP(old_bytes, KL_PAGE_BYTES), KL_ALIGN_UP(bytes, KL_PAGE_BYTES), flags, to);
}

void kl_aspace_set_brk(struct kl_aspace *as, kl_uaddr start)
{
	as->brk_start = as->brk = start;
}

static bool brk_grow(struct kl_aspace *as, uint64_t from, uint64_t to)
{
	struct kl_area model = {.prot = PROT_READ | PROT_WRITE, .name = "[heap]", .start = from};

	if (!aspace_range_ok(from, to - from + KL_PAGE_BYTES) || !is_free(as, from, to + KL_PAGE_BYTES))
		return false;
	if (aspace_add(as, &model, from, to) == NULL)
		return false;
	aspace_merge(as, from, to);
	return true;
}

kl_uaddr kl_aspace_brk(struct kl_aspace *as, kl_uaddr addr)
{
	uint64_t have = KL_ALIGN_UP(as->brk, KL_PAGE_BYTES), want;

	if (addr < as->brk_start || addr > KL_USER_TOP_VA)
		return as->brk;
	want = KL_ALIGN_UP(addr, KL_PAGE_BYTES);
	if (want < have && kl_aspace_unmap(as, want, have - want) < 0)
		return as->brk;
	if (want > have && !brk_grow(as, have, want))
		return as->brk;
	as->brk = addr;
	return addr;
}
