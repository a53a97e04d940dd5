/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of areas against a plain bitmap of pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aspace_priv.h"

#define BASE 0x400000000000ul
#define PAGES 512u

#define CHECK(cond)                                                                                                    \
	do {                                                                                                           \
		if (!(cond)) {                                                                                         \
			printf("FAIL %s:%d: %s\n", __FILE__, __LINE__, #cond);                                         \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

static struct area_tree tree;
static struct kl_area *owner[PAGES];

static uint64_t va(unsigned page)
{
	return BASE + page * KL_PAGE_BYTES;
}

static uint64_t brute_gap(unsigned pages, unsigned low, unsigned high)
{
	unsigned run = 0;

	for (unsigned i = high; i > low; i--) {
		run = owner[i - 1] == NULL ? run + 1 : 0;
		if (run == pages)
			return va(i - 1);
	}
	return 0;
}

static void check(void)
{
	unsigned page = (unsigned)rand() % PAGES, above = page, below = page;
	unsigned low = (unsigned)rand() % PAGES, high = low + (unsigned)rand() % (PAGES - low + 1),
		 want = 1 + (unsigned)rand() % 40;

	while (above < PAGES && owner[above] == NULL)
		above++;
	CHECK(area_find(&tree, va(page)) == owner[page]);
	CHECK(area_at_or_above(&tree, va(page)) == (above < PAGES ? owner[above] : NULL));
	while (below > 0 && (owner[below - 1] == NULL || owner[below - 1] == owner[page]))
		below--;
	CHECK(area_below(&tree, va(page)) == (below > 0 ? owner[below - 1] : NULL));
	CHECK(area_find_gap(&tree, want * KL_PAGE_BYTES, va(low), va(high)) == brute_gap(want, low, high));
}

static void test_small(void)
{
	for (unsigned round = 0; round < 200000; round++) {
		unsigned start = (unsigned)rand() % PAGES, n = 1 + (unsigned)rand() % 12, i = start;

		if (owner[start] != NULL) {
			struct kl_area *area = owner[start];

			area_remove(&tree, area);
			for (i = 0; i < PAGES; i++)
				owner[i] = owner[i] == area ? NULL : owner[i];
			free(area);
		} else {
			struct kl_area *area = calloc(1, sizeof(*area));

			while (i < PAGES && i < start + n && owner[i] == NULL)
				owner[i++] = area;
			area->start = va(start);
			area->end = va(i);
			area_insert(&tree, area);
		}
		check();
	}
	while (tree.root != NULL) {
		struct kl_area *area = tree.root;

		area_remove(&tree, area);
		free(area);
	}
	CHECK(tree.count == 0);
	printf("ok tree against bitmap\n");
}

static unsigned depth(const struct kl_area *t)
{
	return t == NULL ? 0 : 1 + KL_MAX(depth(t->left), depth(t->right));
}

/* As many as there may be, in order: the worst case of a tree that is not balanced. */
static void test_many(void)
{
	static struct kl_area areas[AREA_LIMIT];

	for (size_t i = 0; i < AREA_LIMIT; i++) {
		areas[i].start = BASE + 2 * i * KL_PAGE_BYTES;
		areas[i].end = areas[i].start + KL_PAGE_BYTES;
		area_insert(&tree, &areas[i]);
	}
	CHECK(depth(tree.root) < 64);
	CHECK(area_find_gap(&tree, KL_PAGE_BYTES, BASE, areas[AREA_LIMIT - 1].end) == areas[AREA_LIMIT - 2].end);
	CHECK(area_find_gap(&tree, 2 * KL_PAGE_BYTES, BASE, areas[AREA_LIMIT - 1].end) == 0);
	for (size_t i = 0; i < AREA_LIMIT; i++)
		area_remove(&tree, &areas[i]);
	CHECK(tree.root == NULL);
	printf("ok many areas\n");
}

int main(void)
{
	srand(1);
	test_small();
	test_many();
	return 0;
}
