/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library OS's own memory. Up to SLAB_MAX bytes: objects of one size class in a page, found by a bitmap in the page's head, so
 * that freed memory isn't touched and a wrong free is noticed. Larger ones: whole pages; only those are aligned to a page, and
 * the page's tag says how many there are.
 */
#include <kl/heap.h>
#include <kl/list.h>
#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/string.h>

#define MAP_WORDS 4

/* At the start of a page. */
struct slab {
	struct kl_list link;          /* in classes[].partial while an object is free */
	uint64_t free_map[MAP_WORDS]; /* bit set: object free */
	uint16_t free_count;
	uint16_t object_bytes;
	uint8_t class;
	uint8_t pad[11];
};

#define SLAB_SPACE (KL_PAGE_BYTES - sizeof(struct slab))
#define SLAB_MAX 2016

_Static_assert(sizeof(struct slab) == 64, "objects are aligned to 16 bytes");

static const uint16_t class_bytes[] = {
	16, 32, 48, 64, 80, 96, 112, 144, 192, 256, 336, 448, 576, 672, 800, 1008, 1344, SLAB_MAX};

#define CLASSES KL_ARRAY_LEN(class_bytes)

static struct {
	struct kl_list partial[CLASSES];
	struct slab *spare; /* one empty page, so that a class on the edge doesn't go back and forth */
} heap;

static unsigned class_of(size_t bytes)
{
	unsigned lo = 0, hi = CLASSES - 1;

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (class_bytes[mid] >= bytes)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static struct slab *slab_new(unsigned class)
{
	struct slab *slab = heap.spare;
	unsigned objects = SLAB_SPACE / class_bytes[class];

	heap.spare = NULL;
	if (slab == NULL) {
		kl_phys page = kl_page_alloc();

		if (page == KL_PHYS_NONE)
			return NULL;
		slab = kl_phys_to_virt(page);
	}
	slab->free_count = (uint16_t)objects;
	slab->object_bytes = class_bytes[class];
	slab->class = (uint8_t) class;
	for (unsigned w = 0; w < MAP_WORDS; w++) {
		unsigned left = objects > w * 64 ? objects - w * 64 : 0;

		slab->free_map[w] = left >= 64 ? ~0ull : (1ull << left) - 1;
	}
	kl_list_push_front(&heap.partial[class], &slab->link);
	return slab;
}

static void *slab_take(struct slab *slab)
{
	unsigned w = 0, bit;

	while (slab->free_map[w] == 0)
		w++;
	bit = (unsigned)__builtin_ctzll(slab->free_map[w]);
	slab->free_map[w] &= slab->free_map[w] - 1;
	if (--slab->free_count == 0)
		kl_list_remove(&slab->link);
	return (char *)(slab + 1) + (w * 64 + bit) * slab->object_bytes;
}

static void *large_alloc(size_t bytes, bool zeroed)
{
	size_t pages = (bytes - 1) / KL_PAGE_BYTES + 1;
	kl_phys pa = KL_PHYS_NONE;

	if (pages < UINT32_MAX)
		pa = zeroed ? kl_pages_alloc_zeroed(pages, 1) : kl_pages_alloc(pages, 1);
	if (pa == KL_PHYS_NONE)
		return NULL;
	kl_page_set_tag(pa, (uint32_t)pages);
	return kl_phys_to_virt(pa);
}

void *kl_malloc(size_t bytes)
{
	struct kl_list *partial;
	struct slab *slab;
	unsigned class;

	if (bytes > SLAB_MAX)
		return large_alloc(bytes, false);
	class = class_of(bytes);
	partial = &heap.partial[class];
	if (partial->next == NULL)
		kl_list_init(partial);
	if (kl_list_empty(partial)) {
		slab = slab_new(class);
		if (slab == NULL)
			return NULL;
	} else {
		slab = KL_LIST_FIRST(partial, struct slab, link);
	}
	return slab_take(slab);
}

void *kl_zalloc(size_t bytes)
{
	void *p;

	if (bytes > SLAB_MAX)
		return large_alloc(bytes, true); /* fresh pages need not even be touched */
	p = kl_malloc(bytes);
	return p != NULL ? memset(p, 0, bytes) : NULL;
}

static struct slab *slab_of(void *p)
{
	return (struct slab *)KL_ALIGN_DOWN((uint64_t)p, KL_PAGE_BYTES);
}

static bool is_large(const void *p)
{
	return ((uint64_t)p & (KL_PAGE_BYTES - 1)) == 0;
}

static void slab_give_back(struct slab *slab)
{
	kl_list_remove(&slab->link);
	if (heap.spare == NULL)
		heap.spare = slab;
	else
		kl_page_put(kl_virt_to_phys(slab));
}

void kl_free(void *p)
{
	struct slab *slab = slab_of(p);
	unsigned offset, index;
	uint64_t bit;

	if (p == NULL)
		return;
	if (is_large(p)) {
		kl_phys pa = kl_virt_to_phys(p);

		for (uint32_t n = kl_page_tag(pa); n-- > 0;)
			kl_page_put(pa + n * KL_PAGE_BYTES);
		return;
	}
	offset = (unsigned)((char *)p - (char *)(slab + 1));
	index = offset / slab->object_bytes;
	bit = 1ull << (index % 64);
	if (index >= MAP_WORDS * 64 || index * slab->object_bytes != offset || (slab->free_map[index / 64] & bit))
		kl_panic("heap: %p is freed, but not in use", p);
	slab->free_map[index / 64] |= bit;
	if (slab->free_count++ == 0)
		kl_list_push_front(&heap.partial[slab->class], &slab->link);
	if (slab->free_count == SLAB_SPACE / slab->object_bytes)
		slab_give_back(slab);
}

void *kl_realloc(void *old, size_t bytes)
{
	size_t have;
	void *p;

	if (old == NULL)
		return kl_malloc(bytes);
	have = is_large(old) ? kl_page_tag(kl_virt_to_phys(old)) * KL_PAGE_BYTES : slab_of(old)->object_bytes;
	if (bytes <= have && bytes > have / 2)
		return old;
	p = kl_malloc(bytes);
	if (p == NULL)
		return bytes <= have ? old : NULL;
	memcpy(p, old, KL_MIN(have, bytes));
	kl_free(old);
	return p;
}
