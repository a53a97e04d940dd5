/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of areas: a treap (a search tree by address, and a heap by random priorities, so balanced whatever comes), in which each
 * node knows the largest gap within its subtree.
 */
#include "aspace_priv.h"

static void pull(struct kl_area *t)
{
	uint64_t gap = 0;

	t->lo = t->start;
	t->hi = t->end;
	if (t->left != NULL) {
		t->lo = t->left->lo;
		gap = KL_MAX(t->left->gap, t->start - t->left->hi);
	}
	if (t->right != NULL) {
		t->hi = t->right->hi;
		gap = KL_MAX(gap, t->right->gap);
		gap = KL_MAX(gap, t->right->lo - t->end);
	}
	t->gap = gap;
}

/* Areas that start below addr, and the others. */
static void split(struct kl_area *t, uint64_t addr, struct kl_area **below, struct kl_area **rest)
{
	if (t == NULL) {
		*below = *rest = NULL;
	} else if (t->start < addr) {
		*below = t;
		split(t->right, addr, &t->right, rest);
		pull(t);
	} else {
		*rest = t;
		split(t->left, addr, below, &t->left);
		pull(t);
	}
}

static struct kl_area *join(struct kl_area *a, struct kl_area *b)
{
	if (a == NULL || b == NULL)
		return a == NULL ? b : a;
	if (a->priority > b->priority) {
		a->right = join(a->right, b);
		pull(a);
		return a;
	}
	b->left = join(a, b->left);
	pull(b);
	return b;
}

static struct kl_area *insert(struct kl_area *t, struct kl_area *area)
{
	if (t == NULL || area->priority > t->priority) {
		split(t, area->start, &area->left, &area->right);
		pull(area);
		return area;
	}
	if (area->start < t->start)
		t->left = insert(t->left, area);
	else
		t->right = insert(t->right, area);
	pull(t);
	return t;
}

static struct kl_area *without(struct kl_area *t, const struct kl_area *area)
{
	if (t == area)
		return join(t->left, t->right);
	if (area->start < t->start)
		t->left = without(t->left, area);
	else
		t->right = without(t->right, area);
	pull(t);
	return t;
}

void area_insert(struct area_tree *tree, struct kl_area *area)
{
	static uint32_t state = 2463534242u; /* xorshift32; only balance hangs on it */

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	area->priority = state;
	area->left = area->right = NULL;
	tree->root = insert(tree->root, area);
	tree->count++;
}

void area_remove(struct area_tree *tree, struct kl_area *area)
{
	tree->root = without(tree->root, area);
	tree->count--;
}

struct kl_area *area_at_or_above(const struct area_tree *tree, uint64_t addr)
{
	struct kl_area *t = tree->root, *best = NULL;

	while (t != NULL) {
		if (t->end > addr) {
			best = t;
			t = t->left;
		} else {
			t = t->right;
		}
	}
	return best;
}

struct kl_area *area_find(const struct area_tree *tree, uint64_t addr)
{
	struct kl_area *area = area_at_or_above(tree, addr);

	return area != NULL && area->start <= addr ? area : NULL;
}

struct kl_area *area_below(const struct area_tree *tree, uint64_t addr)
{
	struct kl_area *t = tree->root, *best = NULL;

	while (t != NULL) {
		if (t->end <= addr) {
			best = t;
			t = t->right;
		} else {
			t = t->left;
		}
	}
	return best;
}

/* The highest start of a free range of that size within [low, high), given that t's subtree is all that lies there. */
static uint64_t search(const struct kl_area *t, uint64_t bytes, uint64_t low, uint64_t high)
{
	uint64_t found;

	if (high <= low || high - low < bytes)
		return 0;
	if (t == NULL)
		return high - bytes;
	if (t->hi <= low || (t->lo >= low && t->hi <= high && t->gap < bytes)) {
		/* nothing inside: above the subtree, or below it */
		if (t->hi < high && high - KL_MAX(t->hi, low) >= bytes)
			return high - bytes;
		if (t->hi > low && t->lo > low && t->lo - low >= bytes)
			return t->lo - bytes;
		return 0;
	}
	if (t->end < high) {
		found = search(t->right, bytes, KL_MAX(t->end, low), high);
		if (found != 0)
			return found;
	}
	return t->start > low ? search(t->left, bytes, low, KL_MIN(t->start, high)) : 0;
}

uint64_t area_find_gap(const struct area_tree *tree, uint64_t bytes, uint64_t low, uint64_t high)
{
	return search(tree->root, bytes, low, high);
}
