/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page faults. One costs as much as hundreds of entries, so each maps more than the page asked for: of files in the image all that
 * lies around, of memory ever more pages as long as faults go on where the last one ended.
 */
#include <kl/file.h>
#include <kl/log.h>
#include <kl/string.h>

#include <asm/errno.h>
#include <asm/siginfo.h>

#include "aspace_priv.h"

#define AROUND_BYTES (128 * KL_PAGE_BYTES)
#define WINDOW_FIRST 16ul
#define WINDOW_MAX 64ul
#define FREE_PER_WINDOW 64 /* a window is at most this fraction of the free pages */
#define STACK_STEP_BYTES (16 * KL_PAGE_BYTES)
#define STACK_GAP_BYTES (256 * KL_PAGE_BYTES)

/* The page of a file's area, with a reference. */
static int file_page(const struct kl_area *area, uint64_t va, bool shared_write, kl_phys *page)
{
	uint64_t offset = area->offset + (va - area->start);

	if (area->flags & AREA_PHYS) {
		*page = offset;
		return 0;
	}
	return area->file->ops->page(area->file, offset >> KL_PAGE_SHIFT, shared_write, page);
}

/* A copy of a page for private use; consumes the reference of the original. */
static int copy_page(kl_phys *page)
{
	kl_phys copy = kl_page_alloc();

	if (copy != KL_PHYS_NONE)
		memcpy(kl_phys_to_virt(copy), kl_phys_to_virt(*page), KL_PAGE_BYTES);
	kl_page_put(*page);
	*page = copy;
	return copy != KL_PHYS_NONE ? 0 : -ENOMEM;
}

/* Why an entry is filled. */
enum reason {
	FAULTED, /* the program is at it */
	LIKELY,  /* it will be, as far as one can tell */
	MAYBE,   /* it may be: the page can be taken back as long as it is not */
};

/*
 * Fills an empty entry. 0, -ENOMEM, or what the file says. Ahead of a fault, only pages that never change are copied: of others, the
 * program is to see changes until it writes.
 */
static int fill(
	struct kl_aspace *as, const struct kl_area *area, uint64_t va, uint64_t *pte, bool write, enum reason reason)
{
	bool shared = area->flags & AREA_SHARED, writable = true;
	uint64_t seen = PTE_SEEN;
	kl_phys page;
	int err = 0;

	if (area->file == NULL && !(area->flags & AREA_PHYS)) {
		page = kl_page_alloc_zeroed();
		if (page == KL_PHYS_NONE)
			return -ENOMEM;
		if (reason == MAYBE) {
			seen = 0;
			as->unused++;
		}
	} else {
		writable = shared && (area->prot & PROT_WRITE);
		err = file_page(area, va, writable, &page);
		if (err == 0 && write && !shared && (reason == FAULTED || kl_page_refs(page) == UINT32_MAX)) {
			writable = true;
			err = copy_page(&page);
		}
	}
	if (err == 0)
		pte_install(as, pte, (pte_make(page, area->prot, writable) & ~PTE_SEEN) | seen);
	return err;
}

/* A write to a page that is mapped read-only, in an area that may be written to. */
static int make_writable(struct kl_aspace *as, const struct kl_area *area, uint64_t va, uint64_t *pte)
{
	kl_phys page = *pte & PTE_ADDRESS;
	int err;

	if (area->flags & AREA_SHARED) {
		err = file_page(area, va, true, &page);
		if (err < 0)
			return err;
		as->stale |= page != (*pte & PTE_ADDRESS);
	} else if (kl_page_refs(page) == 1) {
		*pte |= PTE_WRITE;
		return 0;
	} else {
		/* The old page has other users who keep it as it is, and the CPU forgot its address when it faulted: no flush. */
		kl_page_get(page);
		err = copy_page(&page);
		if (err < 0)
			return err;
	}
	pte_install(as, pte, pte_make(page, area->prot, true));
	return 0;
}

/* The page itself must work, its neighbours may. The range lies in one area. */
static int fill_one(struct kl_aspace *as, struct kl_area *area, uint64_t va, bool write)
{
	uint64_t *pte = pt_entry(as->tables, va, true);

	if (pte == NULL)
		return -ENOMEM;
	if (!pte_used(*pte))
		return fill(as, area, va, pte, write, FAULTED);
	return write && !(*pte & PTE_WRITE) ? make_writable(as, area, va, pte) : 0;
}

static void fill_range(
	struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end, bool write, enum reason reason)
{
	while (start < end) {
		uint64_t *pte = pt_entry(as->tables, start, true);
		uint64_t stop = KL_MIN(end, (start | ((512 * KL_PAGE_BYTES) - 1)) + 1);

		if (pte == NULL)
			return;
		for (; start < stop; start += KL_PAGE_BYTES, pte++) {
			if (!pte_used(*pte) && fill(as, area, start, pte, write, reason) < 0)
				return;
		}
	}
}

/* Whether the page at va came straight out of the image: then its neighbours cost nothing to map. */
static bool of_image(const struct kl_aspace *as, uint64_t va)
{
	const uint64_t *pte = pt_entry(as->tables, va, false);

	return pte != NULL && kl_page_refs(*pte & PTE_ADDRESS) == UINT32_MAX;
}

/* Private pages of the image next to one that was just written to: copied too, also if they were mapped for reading. */
static void copy_range(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end)
{
	for (uint64_t va = start; va < end; va += KL_PAGE_BYTES) {
		uint64_t *pte = pt_entry(as->tables, va, true);

		if (pte == NULL)
			return;
		if (pte_used(*pte) && kl_page_refs(*pte & PTE_ADDRESS) != UINT32_MAX)
			continue;
		if (fill(as, area, va, pte, true, LIKELY) < 0)
			return;
	}
}

/* In pages, and less as memory gets scarce. */
static uint64_t window_limit(void)
{
	uint64_t limit = kl_pages_free() / FREE_PER_WINDOW;

	limit = KL_MIN(limit, WINDOW_MAX);
	return KL_MAX(limit, 1ul);
}

/* Where the last fault in the area ended: twice as many pages as then, upwards or downwards. */
static void fill_on(struct kl_aspace *as, struct kl_area *area, uint64_t page, bool write)
{
	uint64_t window = KL_MIN(2ul * area->window, window_limit()), start = page, end = page + KL_PAGE_BYTES;

	if (page == area->next_down)
		start -= KL_MIN((window - 1) << KL_PAGE_SHIFT, page - area->start);
	else
		end += KL_MIN((window - 1) << KL_PAGE_SHIFT, area->end - end);
	area->window = (uint8_t)window;
	area->next_down = start - KL_PAGE_BYTES;
	area->next_up = end;
	if (write && area->file != NULL && !(area->flags & AREA_SHARED))
		copy_range(as, area, start, end);
	else
		fill_range(as, area, start, end, write, LIKELY);
}

/* Anywhere else: of memory, the block around. */
static void fill_block(struct kl_aspace *as, struct kl_area *area, uint64_t page, bool write)
{
	uint64_t block = 1, start = page, end = page + KL_PAGE_BYTES;

	if (area->file == NULL && !(area->flags & AREA_PHYS)) {
		block = KL_MIN(window_limit(), WINDOW_FIRST);
		block = 1ul << (63 - __builtin_clzl(block));
		start = KL_ALIGN_DOWN(page, block << KL_PAGE_SHIFT);
		if (area->end - area->start <= block << KL_PAGE_SHIFT)
			start = area->start;
		end = KL_MIN(start + (block << KL_PAGE_SHIFT), area->end);
		start = KL_MAX(start, area->start);
		fill_range(as, area, start, end, write, MAYBE);
	}
	area->window = (uint8_t)block;
	area->next_down = start - KL_PAGE_BYTES;
	area->next_up = end;
}

static void fill_around(struct kl_aspace *as, struct kl_area *area, uint64_t page)
{
	uint64_t start = KL_ALIGN_DOWN(page, AROUND_BYTES);

	fill_range(as, area, KL_MAX(start, area->start), KL_MIN(start + AROUND_BYTES, area->end), false, LIKELY);
}

/* A stack grows down to a touched address below it, if that leaves a gap to what lies below. */
static struct kl_area *grow_stack(struct kl_aspace *as, uint64_t page)
{
	struct kl_area *stack = area_at_or_above(&as->areas, page);
	const struct kl_area *below = area_below(&as->areas, page);
	uint64_t more;

	if (stack == NULL || !(stack->flags & AREA_GROWSDOWN) || stack->end - page > as->stack_limit)
		return NULL;
	if (!aspace_range_ok(page, stack->end - page))
		return NULL;
	if (below != NULL && below->prot != PROT_NONE && page - below->end < STACK_GAP_BYTES)
		return NULL;
	area_remove(&as->areas, stack);
	stack->start = page;
	/* some more at once, if there is room */
	more = page - STACK_STEP_BYTES;
	if (stack->end - more <= as->stack_limit && aspace_range_ok(more, stack->end - more) &&
		(below == NULL || more >= below->end + STACK_GAP_BYTES))
		stack->start = more;
	area_insert(&as->areas, stack);
	return stack;
}

static struct kl_area *lookup(struct kl_aspace *as, uint64_t page)
{
	struct kl_area *area = as->last;

	if (area == NULL || page < area->start || page >= area->end)
		area = area_find(&as->areas, page);
	if (area == NULL)
		area = grow_stack(as, page);
	as->last = area;
	return area;
}

static bool allowed(const struct kl_area *area, unsigned error)
{
	if (error & KL_FAULT_WRITE)
		return area->prot & PROT_WRITE;
	if (error & KL_FAULT_EXEC)
		return area->prot & PROT_EXEC;
	return area->prot != PROT_NONE;
}

static int resolve(struct kl_aspace *as, struct kl_area *area, uint64_t page, bool write)
{
	int err = fill_one(as, area, page, write);

	if (err < 0)
		return err;
	if (!write && of_image(as, page))
		fill_around(as, area, page);
	else if (page == area->next_up || page == area->next_down)
		fill_on(as, area, page, write);
	else
		fill_block(as, area, page, write);
	return 0;
}

/* Once: who asks again and again would flood the log. */
static void report_no_memory(const struct kl_aspace *as)
{
	static bool reported;

	if (!reported)
		kl_error("out of memory: the program has %zu KiB of %zu KiB; start it with more (-m, --memory)",
			as->resident * KL_PAGE_BYTES / 1024, kl_pages_total() * KL_PAGE_BYTES / 1024);
	reported = true;
}

int kl_aspace_fault(struct kl_aspace *as, kl_uaddr addr, unsigned error, int *code)
{
	uint64_t page = KL_ALIGN_DOWN(addr, KL_PAGE_BYTES);
	bool write = error & KL_FAULT_WRITE;
	struct kl_area *area;
	int err;

	*code = SEGV_MAPERR;
	if (!aspace_range_ok(page, KL_PAGE_BYTES))
		return -EFAULT;
	area = lookup(as, page);
	if (area == NULL)
		return -EFAULT;
	if (!allowed(area, error)) {
		*code = SEGV_ACCERR;
		return -EFAULT;
	}
	err = resolve(as, area, page, write);
	if (err == -ENOMEM && pt_trim(as->tables) != 0) {
		as->stale = true;
		aspace_flush(as);
		err = resolve(as, area, page, write);
	}
	aspace_flush(as);
	if (err == -ENOMEM)
		report_no_memory(as);
	if (err == 0 || err == -ENOMEM)
		return err;
	*code = BUS_ADRERR;
	return -EIO;
}

void aspace_prefault(struct kl_aspace *as, struct kl_area *area, uint64_t start, uint64_t end, bool write, bool surely)
{
	if (surely || window_limit() > 1)
		fill_range(as, area, start, KL_MIN(end, area->end), write && !(area->flags & AREA_SHARED),
			surely ? LIKELY : MAYBE);
}

void kl_aspace_populate(struct kl_aspace *as, kl_uaddr addr, uint64_t bytes, bool write)
{
	uint64_t start = KL_ALIGN_DOWN(addr, KL_PAGE_BYTES), end = KL_ALIGN_UP(addr + bytes, KL_PAGE_BYTES);

	while (start < end && aspace_range_ok(start, KL_PAGE_BYTES)) {
		struct kl_area *area = lookup(as, start);
		uint64_t stop;

		if (area == NULL || !allowed(area, write ? KL_FAULT_WRITE : 0))
			break;
		stop = KL_MIN(end, area->end);
		/* Nobody has faulted: where a page is replaced by a copy, the TLB may still have the old one. */
		as->stale |= write;
		for (; start < stop; start += KL_PAGE_BYTES) {
			if (fill_one(as, area, start, write) < 0) {
				aspace_flush(as);
				return;
			}
		}
	}
	aspace_flush(as);
}
