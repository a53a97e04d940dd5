/* SPDX-License-Identifier: Apache-2.0 */
/* Entries and their cache: the file systems that live in memory keep their names here and nowhere else. */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/string.h>
#include <kl/vfs.h>

#include <asm/errno.h>
#include <linux/inotify.h>

#define BUCKETS_FIRST 256u

static struct {
	struct kl_dentry **buckets;
	size_t mask, used;
} cache;

static uint32_t name_hash(const struct kl_dentry *parent, const char *name, size_t n)
{
	uint64_t h = (uint64_t)(uintptr_t)parent * 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

static bool grow(void)
{
	size_t count = cache.buckets == NULL ? BUCKETS_FIRST : 2 * (cache.mask + 1);
	struct kl_dentry **fresh = kl_zalloc(count * sizeof(struct kl_dentry *));

	if (fresh == NULL)
		return cache.buckets != NULL;
	for (size_t i = 0; cache.buckets != NULL && i <= cache.mask; i++) {
		struct kl_dentry *next;

		for (struct kl_dentry *d = cache.buckets[i]; d != NULL; d = next) {
			next = d->hash_next;
			d->hash_next = fresh[d->hash & (count - 1)];
			fresh[d->hash & (count - 1)] = d;
		}
	}
	kl_free(cache.buckets);
	cache.buckets = fresh;
	cache.mask = count - 1;
	return true;
}

static int set_name(struct kl_dentry *d, const char *name, size_t n, bool keep)
{
	char *copy = (char *)name;

	if (!keep) {
		copy = n <= sizeof(d->short_name) ? d->short_name : kl_malloc(n);
		if (copy == NULL)
			return -ENOMEM;
		memcpy(copy, name, n);
	}
	if (d->own_name)
		kl_free((char *)d->name);
	d->name = copy;
	d->name_bytes = (uint8_t)n;
	d->own_name = !keep && copy != d->short_name;
	return 0;
}

struct kl_dentry *kl_dentry_create(
	struct kl_dentry *parent, const char *name, size_t n, struct kl_vnode *node, bool keep_name)
{
	struct kl_dentry *d = kl_zalloc(sizeof(*d));

	/* The cache's table is made here, so that hashing can't fail. */
	if (d == NULL || (cache.used >= cache.mask && !grow()) || set_name(d, name, n, keep_name) < 0) {
		kl_free(d);
		if (node != NULL)
			kl_vnode_put(node);
		return NULL;
	}
	d->refs = 1;
	d->vnode = node;
	d->parent = parent != NULL ? kl_dentry_get(parent) : NULL;
	d->hash = name_hash(parent, name, n);
	kl_list_init(&d->children);
	return d;
}

struct kl_dentry *kl_dentry_anonymous(const char *name, struct kl_vnode *node)
{
	return kl_dentry_create(NULL, name, strlen(name), node, true);
}

void kl_dentry_put(struct kl_dentry *d)
{
	while (d != NULL && --d->refs == 0) {
		struct kl_dentry *parent = d->parent;

		kl_list_remove(&d->siblings);
		if (d->vnode != NULL) {
			if (KL_UNLIKELY(d->vnode->marks != NULL) && d->vnode->nlink == 0)
				kl_vfs_hooks.notify(d->vnode, NULL, IN_DELETE_SELF, 0);
			kl_vnode_put(d->vnode);
		}
		if (d->own_name)
			kl_free((char *)d->name);
		kl_free(d);
		d = parent;
	}
}

void kl_dentry_hash(struct kl_dentry *d)
{
	struct kl_dentry **bucket = &cache.buckets[d->hash & cache.mask];

	d->hash_next = *bucket;
	*bucket = kl_dentry_get(d);
	d->flags |= KL_DENTRY_HASHED;
	cache.used++;
}

void kl_dentry_unhash(struct kl_dentry *d)
{
	struct kl_dentry **at = &cache.buckets[d->hash & cache.mask];

	if ((d->flags & KL_DENTRY_HASHED) == 0)
		return;
	while (*at != d)
		at = &(*at)->hash_next;
	*at = d->hash_next;
	d->flags &= (uint8_t)~KL_DENTRY_HASHED;
	cache.used--;
	kl_dentry_put(d);
}

struct kl_dentry *kl_dentry_cached(struct kl_dentry *parent, const char *name, size_t n)
{
	uint32_t hash = name_hash(parent, name, n);

	if (cache.buckets == NULL)
		return NULL;
	for (struct kl_dentry *d = cache.buckets[hash & cache.mask]; d != NULL; d = d->hash_next)
		if (d->hash == hash && d->parent == parent && d->name_bytes == n && memcmp(d->name, name, n) == 0)
			return d;
	return NULL;
}

int kl_dentry_lookup(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out)
{
	struct kl_dentry *d;

	if (n > KL_NAME_MAX)
		return -ENAMETOOLONG;
	d = kl_dentry_cached(dir, name, n);
	if (d != NULL) {
		if (d->vnode == NULL)
			return -ENOENT;
		*out = kl_dentry_get(d);
		return 0;
	}
	if (dir->vnode->ops->lookup == NULL)
		return -ENOENT;
	return dir->vnode->ops->lookup(dir, name, n, out);
}

int kl_dentry_move(struct kl_dentry *d, struct kl_dentry *parent, const char *name, size_t n)
{
	struct kl_dentry *old = d->parent;
	bool hashed = (d->flags & KL_DENTRY_HASHED) != 0;
	int rc = set_name(d, name, n, false);

	if (rc < 0)
		return rc;
	kl_dentry_get(d);
	if (hashed)
		kl_dentry_unhash(d);
	d->parent = kl_dentry_get(parent);
	d->hash = name_hash(parent, d->name, n);
	if (hashed)
		kl_dentry_hash(d);
	kl_dentry_put(d);
	kl_dentry_put(old);
	return 0;
}

void kl_dentry_swap(struct kl_dentry *a, struct kl_dentry *b)
{
	struct kl_dentry copy = *a;

	kl_dentry_get(a);
	kl_dentry_get(b);
	kl_dentry_unhash(a);
	kl_dentry_unhash(b);
#define SWAP(field) (a->field = b->field, b->field = copy.field)
	SWAP(parent);
	SWAP(name);
	SWAP(name_bytes);
	SWAP(own_name);
	SWAP(hash);
#undef SWAP
	memcpy(a->short_name, b->short_name, sizeof(a->short_name));
	memcpy(b->short_name, copy.short_name, sizeof(b->short_name));
	if (a->name == b->short_name)
		a->name = a->short_name;
	if (b->name == a->short_name)
		b->name = b->short_name;
	kl_dentry_hash(a);
	kl_dentry_hash(b);
	kl_dentry_put(a);
	kl_dentry_put(b);
}

char *kl_dentry_path(const struct kl_dentry *d, const struct kl_dentry *root, char *buf, size_t size)
{
	char *p = buf + size;

	*--p = '\0';
	while (d != root) {
		while (d != root && d->parent == NULL && d->covers != NULL)
			d = d->covers;
		if (d == root || d->parent == NULL)
			break;
		if ((size_t)(p - buf) < d->name_bytes + 1u)
			return NULL;
		p -= d->name_bytes;
		memcpy(p, d->name, d->name_bytes);
		*--p = '/';
		d = d->parent;
	}
	if (*p == '\0' && p > buf)
		*--p = '/';
	return p;
}

void kl_vnode_put(struct kl_vnode *node)
{
	if (--node->refs == 0)
		node->ops->free(node);
}

uint64_t kl_vnode_new_ino(void)
{
	static uint64_t last = 0x40000000; /* above the numbers of files in an image */

	return ++last;
}

int64_t kl_vfs_now_ns(void)
{
	return (int64_t)kl_clock_wall_ns();
}
