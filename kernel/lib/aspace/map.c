/* SPDX-License-Identifier: Apache-2.0 */
/* Areas come, go and change: mmap(2), munmap(2), mprotect(2). */
#include <kl/file.h>
#include <kl/heap.h>
#include <kl/string.h>

#include <asm/errno.h>
#include <linux/fcntl.h>

#include "aspace_priv.h"

#define LOWEST 0x10000ull /* as vm.mmap_min_addr */
#define LOW_32BIT 0x40000000ull
#define HIGH_32BIT 0x80000000ull
#define PROT_ALL (PROT_READ | PROT_WRITE | PROT_EXEC)
#define FIXED_PREFAULT_BYTES (1024 * KL_PAGE_BYTES)
#define SMALL_BYTES (4 * KL_PAGE_BYTES)
#define FIXED_COPY_BYTES (128 * KL_PAGE_BYTES)

bool aspace_range_ok(uint64_t addr, uint64_t bytes)
{
	uint64_t end;

	if (__builtin_add_overflow(addr, bytes, &end) || addr < LOWEST)
		return false;
	return addr >= KL_END_VA ? end <= KL_USER_TOP_VA : end <= KL_BASE_VA;
}

struct kl_area *aspace_add(struct kl_aspace *as, const struct kl_area *model, uint64_t start, uint64_t end)
{
	struct kl_area *area;

	if (as->areas.count >= AREA_LIMIT)
		return NULL;
	area = kl_malloc(sizeof(*area));
	if (area == NULL)
		return NULL;
	*area = *model;
	if (area->file != NULL || (area->flags & AREA_PHYS))
		area->offset += start - model->start;
	area->start = start;
	area->end = end;
	if (area->file != NULL)
		kl_file_get(area->file);
	area_insert(&as->areas, area);
	return area;
}

static void drop(struct kl_aspace *as, struct kl_area *area)
{
	area_remove(&as->areas, area);
	if (as->last == area)
		as->last = NULL;
	if (area->file != NULL)
		kl_file_put(area->file);
	kl_free(area);
}

void aspace_resize(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end)
{
	area_remove(&as->areas, area);
	if (area->file != NULL || (area->flags & AREA_PHYS))
		area->offset += start - area->start;
	area->start = start;
	area->end = end;
	area_insert(&as->areas, area);
}

int aspace_split(struct kl_aspace *as, uint64_t addr)
{
	struct kl_area *area = area_find(&as->areas, addr);
	uint64_t end;

	if (area == NULL || area->start == addr)
		return 0;
	end = area->end;
	aspace_resize(as, area, area->start, addr);
	if (aspace_add(as, area, addr, end) != NULL)
		return 0;
	aspace_resize(as, area, area->start, end);
	return -ENOMEM;
}

static bool alike(const struct kl_area *a, const struct kl_area *b)
{
	if (a->end != b->start || a->file != b->file || a->prot != b->prot || a->flags != b->flags ||
		a->name != b->name)
		return false;
	return (a->file == NULL && !(a->flags & AREA_PHYS)) || a->offset + (a->end - a->start) == b->offset;
}

void aspace_merge(struct kl_aspace *as, uint64_t start, uint64_t end)
{
	struct kl_area *area = area_at_or_above(&as->areas, start - 1);

	while (area != NULL && area->start < end) {
		struct kl_area *next = area_at_or_above(&as->areas, area->end);
		uint64_t next_end;

		if (next == NULL || !alike(area, next)) {
			area = next;
			continue;
		}
		next_end = next->end;
		drop(as, next);
		aspace_resize(as, area, area->start, next_end);
	}
}

bool aspace_covered(const struct kl_aspace *as, uint64_t start, uint64_t end)
{
	while (start < end) {
		const struct kl_area *area = area_find(&as->areas, start);

		if (area == NULL)
			return false;
		start = area->end;
	}
	return true;
}

uint64_t aspace_place(const struct kl_aspace *as, uint64_t hint, uint64_t bytes, int flags)
{
	uint64_t addr;

	hint = KL_ALIGN_DOWN(hint, KL_PAGE_BYTES);
	if (hint != 0 && aspace_range_ok(hint, bytes)) {
		const struct kl_area *above = area_at_or_above(&as->areas, hint);

		if (above == NULL || above->start >= hint + bytes)
			return hint;
	}
	if (flags & MAP_32BIT)
		return area_find_gap(&as->areas, bytes, LOW_32BIT, HIGH_32BIT);
	addr = area_find_gap(&as->areas, bytes, KL_END_VA, as->mmap_top);
	if (addr == 0)
		addr = area_find_gap(&as->areas, bytes, as->mmap_top, KL_USER_TOP_VA);
	return addr != 0 ? addr : area_find_gap(&as->areas, bytes, LOWEST, KL_BASE_VA);
}

/* Leaves the TLB stale. */
static int unmap(struct kl_aspace *as, uint64_t start, uint64_t end)
{
	struct kl_area *area = area_at_or_above(&as->areas, start);

	if (area == NULL || area->start >= end)
		return 0;
	if (aspace_split(as, start) < 0 || aspace_split(as, end) < 0)
		return -ENOMEM;
	aspace_clear(as, start, end);
	while ((area = area_at_or_above(&as->areas, start)) != NULL && area->start < end)
		drop(as, area);
	return 0;
}

int kl_aspace_unmap(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes)
{
	int err;

	if (bytes == 0 || bytes > KL_USER_TOP_VA || (addr & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	bytes = KL_ALIGN_UP(bytes, KL_PAGE_BYTES);
	if (addr < LOWEST && addr + bytes <= KL_BASE_VA) { /* nothing can be there */
		bytes -= KL_MIN(bytes, LOWEST - addr);
		addr = LOWEST;
	}
	if (!aspace_range_ok(addr, bytes))
		return -EINVAL;
	err = unmap(as, addr, addr + bytes);
	aspace_flush(as);
	return err;
}

static int check_file(const struct kl_file *file, int prot, int type, struct kl_area *model)
{
	int mode = (int)(file->flags & O_ACCMODE);

	if (mode == O_WRONLY)
		return -EACCES;
	if (type != MAP_PRIVATE && mode == O_RDONLY) {
		if (prot & PROT_WRITE)
			return -EACCES;
		model->flags |= AREA_NOWRITE;
	}
	return file->ops->page == NULL ? -ENODEV : 0;
}

/* Fills in what the flags of mmap(2) say. */
static int describe(struct kl_area *model, uint64_t bytes, int prot, int flags, struct kl_file *file, uint64_t offset)
{
	int type = flags & MAP_TYPE;

	memset(model, 0, sizeof(*model));
	model->prot = prot & PROT_ALL;
	model->name = "";
	if (type != MAP_PRIVATE)
		model->flags |= AREA_SHARED;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (flags & MAP_GROWSDOWN) {
		if (type != MAP_PRIVATE || !(flags & MAP_ANONYMOUS))
			return -EINVAL;
		model->flags |= AREA_GROWSDOWN;
	}
	if (flags & MAP_HUGETLB)
		return -ENOMEM;
	if (flags & MAP_ANONYMOUS)
		return 0;
	if (file == NULL)
		return -EBADF;
	if ((offset & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	if (offset + bytes < offset)
		return -EOVERFLOW;
	model->file = file;
	model->offset = offset;
	return check_file(file, prot, type, model);
}

/* Where it goes, with what is in the way removed. Address or -errno. */
static int64_t make_room(struct kl_aspace *as, uint64_t hint, uint64_t bytes, int flags)
{
	const struct kl_area *above;
	uint64_t addr;
	int err;

	if (!(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
		addr = aspace_place(as, hint, bytes, flags);
		return addr != 0 ? (int64_t)addr : -ENOMEM;
	}
	if ((hint & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	if (!aspace_range_ok(hint, bytes))
		return hint < LOWEST ? -EPERM : -ENOMEM;
	above = area_at_or_above(&as->areas, hint);
	if (above == NULL || above->start >= hint + bytes)
		return (int64_t)hint;
	if (flags & MAP_FIXED_NOREPLACE)
		return -EEXIST;
	err = unmap(as, hint, hint + bytes);
	aspace_flush(as);
	return err < 0 ? err : (int64_t)hint;
}

/*
 * A fault costs far more than an entry. Files mapped at a fixed place are what program loaders do with segments: their pages are
 * mapped now, and those of data segments, which relocation is about to write to, are copied now. Little memory is mapped at once.
 */
static void map_ahead(struct kl_aspace *as, uint64_t addr, uint64_t bytes, int flags)
{
	struct kl_area *area = area_find(&as->areas, addr);
	bool write = area->prot & PROT_WRITE;

	if (area->prot == PROT_NONE)
		return;
	if (flags & (MAP_POPULATE | MAP_LOCKED))
		aspace_prefault(as, area, addr, addr + bytes, write, true);
	else if (area->file == NULL && write && bytes <= SMALL_BYTES)
		aspace_prefault(as, area, addr, addr + bytes, write, false);
	else if (area->file == NULL || !(flags & MAP_FIXED) || (area->flags & AREA_SHARED))
		return;
	else
		aspace_prefault(as, area, addr, addr + KL_MIN(bytes, write ? FIXED_COPY_BYTES : FIXED_PREFAULT_BYTES),
			write, true);
}

int64_t kl_aspace_map(
	struct kl_aspace *as, kl_uaddr hint, uint64_t bytes, int prot, int flags, struct kl_file *file, uint64_t offset)
{
	struct kl_area model, *area;
	struct kl_file *shared = NULL;
	int64_t addr;
	int err;

	if (bytes == 0)
		return -EINVAL;
	if (bytes > KL_USER_TOP_VA)
		return -ENOMEM;
	bytes = KL_ALIGN_UP(bytes, KL_PAGE_BYTES);
	err = describe(&model, bytes, prot, flags, file, offset);
	if (err < 0)
		return err;
	addr = make_room(as, hint, bytes, flags);
	if (addr < 0)
		return addr;
	if ((model.flags & AREA_SHARED) && model.file == NULL) {
		model.file = shared = aspace_shared_file(bytes);
		if (shared == NULL)
			return -ENOMEM;
	}
	model.start = (uint64_t)addr;
	area = aspace_add(as, &model, model.start, model.start + bytes);
	if (shared != NULL)
		kl_file_put(shared);
	if (area == NULL)
		return -ENOMEM;
	aspace_merge(as, model.start, model.start + bytes);
	map_ahead(as, model.start, bytes, flags);
	return addr;
}

int64_t kl_aspace_map_image(struct kl_aspace *as, kl_uaddr hint, kl_phys pa, uint64_t bytes, int prot, const char *name)
{
	struct kl_area model = {.flags = AREA_PHYS, .prot = prot & PROT_ALL, .offset = pa, .name = name};
	uint64_t addr = aspace_place(as, hint, bytes, 0);

	if (addr == 0)
		return -ENOMEM;
	model.start = addr;
	return aspace_add(as, &model, addr, addr + bytes) != NULL ? (int64_t)addr : -ENOMEM;
}

int64_t kl_aspace_map_stack(struct kl_aspace *as, kl_uaddr top, uint64_t bytes, int prot)
{
	struct kl_area model = {
		.flags = AREA_GROWSDOWN, .prot = prot & PROT_ALL, .name = "[stack]", .start = top - bytes};

	if (!aspace_range_ok(model.start, bytes))
		return -ENOMEM;
	return aspace_add(as, &model, model.start, top) != NULL ? (int64_t)model.start : -ENOMEM;
}

static int protect_area(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end, int prot)
{
	if (area->prot == prot)
		return 0;
	if ((area->flags & AREA_NOWRITE) && (prot & PROT_WRITE))
		return -EACCES;
	if (aspace_split(as, start) < 0 || aspace_split(as, end) < 0)
		return -ENOMEM;
	area = area_find(&as->areas, start);
	area->prot = (uint8_t)prot;
	aspace_tighten(as, start, end, (unsigned)prot, area->flags & AREA_SHARED);
	return 0;
}

int kl_aspace_protect(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, int prot)
{
	struct kl_area *area;
	uint64_t start = addr, end;
	int err = 0;

	if ((addr & (KL_PAGE_BYTES - 1)) != 0 || (prot & ~(PROT_ALL | PROT_SEM | PROT_GROWSDOWN)) != 0)
		return -EINVAL;
	if (bytes == 0)
		return 0;
	if (bytes > KL_USER_TOP_VA || !aspace_range_ok(addr, KL_ALIGN_UP(bytes, KL_PAGE_BYTES)))
		return -ENOMEM;
	end = addr + KL_ALIGN_UP(bytes, KL_PAGE_BYTES);
	if (prot & PROT_GROWSDOWN) {
		area = area_at_or_above(&as->areas, addr);
		if (area == NULL || area->start >= end)
			return -ENOMEM;
		if (!(area->flags & AREA_GROWSDOWN))
			return -EINVAL;
		addr = start = area->start;
	}
	for (prot &= PROT_ALL; start < end && err == 0;) {
		uint64_t stop;

		area = area_find(&as->areas, start);
		if (area == NULL) {
			err = -ENOMEM;
			break;
		}
		stop = KL_MIN(area->end, end);
		err = protect_area(as, area, start, stop, prot);
		start = stop;
	}
	aspace_merge(as, addr, end);
	aspace_flush(as);
	return err;
}
