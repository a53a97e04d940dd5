/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories. The names are in the cache of entries: those made here also in the directory's list of children; those of the
 * read-only tree are looked up there when they are first asked for, and a removed one leaves an entry without a node behind.
 */
#include <kl/heap.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "tmpfs_priv.h"

#include <asm/errno.h>
#include <linux/fs.h>

#define COOKIE_UPPER                                                                                                   \
	(1ull << 32) /* positions of names made here start there; those of the lower tree at COOKIE_LOWER */
#define COOKIE_LOWER 2

static int dir_lookup(struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry **out)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(dir->vnode), *child;
	struct kl_tmpfs *fs = kl_tmpfs_of(dir->vnode);
	struct kl_lower_entry entry;
	struct kl_dentry *d;
	int rc;

	if (!node->has_lower || (dir->flags & KL_DENTRY_UNLINKED) != 0)
		return -ENOENT;
	rc = fs->lower->lookup(fs->lower, &node->lower, name, n, &entry);
	if (rc == 0)
		rc = kl_tmpfs_node_lower(fs, entry.id, &child);
	if (rc < 0)
		return rc;
	d = kl_dentry_create(dir, entry.name, n, &child->vn, true);
	if (d == NULL)
		return -ENOMEM;
	d->flags |= KL_DENTRY_LOWER;
	kl_dentry_hash(d);
	*out = d;
	return 0;
}

static void touch(struct kl_vnode *dir)
{
	dir->mtime_ns = dir->ctime_ns = kl_vfs_now_ns();
}

/* Puts an entry into its directory; a whiteout of the same name goes, its mark stays. */
static void enter(struct kl_dentry *d)
{
	struct kl_vnode *dir = d->parent->vnode;
	struct kl_dentry *whiteout = kl_dentry_cached(d->parent, d->name, d->name_bytes);

	if (whiteout != NULL) {
		d->flags |= KL_DENTRY_LOWER;
		kl_dentry_unhash(whiteout);
	}
	kl_dentry_hash(d);
	d->cookie = COOKIE_UPPER + kl_tmpfs_node(dir)->next_cookie++;
	kl_list_push_back(&d->parent->children, &d->siblings);
	if (S_ISDIR(d->vnode->mode))
		dir->nlink++;
	touch(dir);
}

/* Before leave(): what must be left behind, or NULL when nothing need be. */
static int make_whiteout(struct kl_dentry *d, struct kl_dentry **out)
{
	*out = NULL;
	if ((d->flags & KL_DENTRY_LOWER) == 0)
		return 0;
	*out = kl_dentry_create(d->parent, d->name, d->name_bytes, NULL, false);
	if (*out == NULL)
		return -ENOMEM;
	(*out)->flags |= KL_DENTRY_LOWER;
	return 0;
}

/* Takes an entry out of its directory. */
static void leave(struct kl_dentry *d, struct kl_dentry *whiteout)
{
	struct kl_vnode *dir = d->parent->vnode;

	kl_list_remove(&d->siblings);
	d->flags &= (uint8_t)~KL_DENTRY_LOWER;
	if (S_ISDIR(d->vnode->mode))
		dir->nlink--;
	touch(dir);
	kl_dentry_get(d);
	kl_dentry_unhash(d);
	if (whiteout != NULL) {
		kl_dentry_hash(whiteout);
		kl_dentry_put(whiteout);
	}
	kl_dentry_put(d);
}

static int dir_create(
	struct kl_dentry *dir, const char *name, size_t n, const struct kl_new *what, struct kl_dentry **out)
{
	struct kl_tmpfs *fs = kl_tmpfs_of(dir->vnode);
	struct kl_tmpfs_node *node = kl_tmpfs_node_create(fs, what->mode, kl_vnode_new_ino());
	struct kl_dentry *d;

	if (node == NULL)
		return -ENOSPC;
	node->vn.rdev = what->rdev;
	if ((dir->vnode->mode & S_ISGID) != 0) {
		node->vn.gid = dir->vnode->gid;
		if (S_ISDIR(what->mode))
			node->vn.mode |= S_ISGID;
	}
	if (S_ISLNK(what->mode)) {
		char *target = kl_malloc(what->target_bytes);

		if (target == NULL) {
			kl_vnode_put(&node->vn);
			return -ENOSPC;
		}
		memcpy(target, what->target, what->target_bytes);
		node->target = target;
		node->own_target = true;
		node->vn.size = what->target_bytes;
	}
	d = kl_dentry_create(dir, name, n, &node->vn, false);
	if (d == NULL)
		return -ENOSPC;
	if (n == 0) { /* O_TMPFILE */
		node->vn.nlink = 0;
		d->flags |= KL_DENTRY_UNLINKED;
	} else {
		enter(d);
	}
	*out = d;
	return 0;
}

static int dir_link(struct kl_dentry *dir, const char *name, size_t n, struct kl_vnode *vn)
{
	struct kl_dentry *d = kl_dentry_create(dir, name, n, kl_vnode_get(vn), false);

	if (d == NULL)
		return -ENOSPC;
	vn->nlink++;
	vn->ctime_ns = kl_vfs_now_ns();
	enter(d);
	kl_dentry_put(d);
	return 0;
}

/* Whether nothing is in a directory. */
static int check_empty(struct kl_dentry *d)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(d->vnode);
	const struct kl_lower *lower = kl_tmpfs_of(d->vnode)->lower;
	struct kl_lower_entry entry;
	uint64_t at = 0;
	int rc;

	if (!kl_list_empty(&d->children))
		return -ENOTEMPTY;
	while (node->has_lower && (rc = lower->next(lower, &node->lower, &at, &entry)) != 0) {
		struct kl_dentry *child = rc < 0 ? NULL : kl_dentry_cached(d, entry.name, entry.name_bytes);

		if (rc < 0 || child == NULL || child->vnode != NULL)
			return rc < 0 ? rc : -ENOTEMPTY;
	}
	return 0;
}

/* The whiteouts of a removed directory are of no more use. */
static void drop_whiteouts(struct kl_dentry *d)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(d->vnode);
	const struct kl_lower *lower = kl_tmpfs_of(d->vnode)->lower;
	struct kl_lower_entry entry;
	uint64_t at = 0;

	while (node->has_lower && lower->next(lower, &node->lower, &at, &entry) == 1) {
		struct kl_dentry *child = kl_dentry_cached(d, entry.name, entry.name_bytes);

		if (child != NULL)
			kl_dentry_unhash(child);
	}
}

/* After leave(): the node lost a name. */
static void lose_name(struct kl_dentry *d)
{
	struct kl_vnode *vn = d->vnode;

	d->flags |= KL_DENTRY_UNLINKED;
	vn->ctime_ns = kl_vfs_now_ns();
	vn->nlink -= S_ISDIR(vn->mode) ? KL_MIN(vn->nlink, 2u) : KL_MIN(vn->nlink, 1u);
	if (S_ISDIR(vn->mode))
		drop_whiteouts(d);
}

static int dir_unlink(struct kl_dentry *d)
{
	struct kl_dentry *whiteout;
	int rc = S_ISDIR(d->vnode->mode) ? check_empty(d) : 0;

	if (rc == 0)
		rc = make_whiteout(d, &whiteout);
	if (rc < 0)
		return rc;
	kl_dentry_get(d);
	leave(d, whiteout);
	lose_name(d);
	kl_dentry_put(d);
	return 0;
}

static void fix_dir_links(struct kl_vnode *from, struct kl_vnode *to, bool directory)
{
	if (directory) {
		from->nlink--;
		to->nlink++;
	}
}

/* After kl_dentry_swap() both must be in the lists of their new directories, and know what lies below the names. */
static int exchange(struct kl_dentry *a, struct kl_dentry *b)
{
	uint8_t a_lower = a->flags & KL_DENTRY_LOWER, b_lower = b->flags & KL_DENTRY_LOWER;
	struct kl_dentry *both[2] = {a, b};

	fix_dir_links(a->parent->vnode, b->parent->vnode, S_ISDIR(a->vnode->mode));
	fix_dir_links(b->parent->vnode, a->parent->vnode, S_ISDIR(b->vnode->mode));
	kl_dentry_swap(a, b);
	a->flags = (a->flags & (uint8_t)~KL_DENTRY_LOWER) | b_lower;
	b->flags = (b->flags & (uint8_t)~KL_DENTRY_LOWER) | a_lower;
	for (unsigned i = 0; i < 2; i++) {
		struct kl_dentry *d = both[i];

		kl_list_remove(&d->siblings);
		d->cookie = COOKIE_UPPER + kl_tmpfs_node(d->parent->vnode)->next_cookie++;
		kl_list_push_back(&d->parent->children, &d->siblings);
		touch(d->parent->vnode);
		d->vnode->ctime_ns = kl_vfs_now_ns();
	}
	return 0;
}

static int dir_rename(
	struct kl_dentry *from, struct kl_dentry *dir, const char *name, size_t n, struct kl_dentry *over, bool swap)
{
	struct kl_dentry *whiteout, *under, *left = from->parent;
	bool lower;
	int rc = 0;

	if (swap)
		return exchange(from, over);
	if (over != NULL && S_ISDIR(over->vnode->mode))
		rc = check_empty(over);
	if (rc == 0)
		rc = make_whiteout(from, &whiteout);
	if (rc < 0)
		return rc;
	kl_dentry_get(left);
	kl_dentry_get(from);
	/* under: what the cache has for the new name: an entry to replace, a whiteout, or nothing */
	under = over != NULL ? over : kl_dentry_cached(dir, name, n);
	lower = under != NULL && (under->flags & KL_DENTRY_LOWER) != 0;
	rc = kl_dentry_move(from, dir, name, n);
	if (rc < 0) {
		kl_dentry_put(whiteout);
		goto out;
	}
	if (over != NULL) {
		kl_dentry_get(over);
		leave(over, NULL);
		lose_name(over);
		kl_dentry_put(over);
	} else if (under != NULL) {
		kl_dentry_unhash(under);
	}
	kl_list_remove(&from->siblings);
	if (whiteout != NULL) {
		kl_dentry_hash(whiteout);
		kl_dentry_put(whiteout);
	}
	from->flags = (from->flags & (uint8_t)~KL_DENTRY_LOWER) | (lower ? KL_DENTRY_LOWER : 0);
	from->cookie = COOKIE_UPPER + kl_tmpfs_node(dir->vnode)->next_cookie++;
	kl_list_push_back(&dir->children, &from->siblings);
	fix_dir_links(left->vnode, dir->vnode, S_ISDIR(from->vnode->mode));
	touch(left->vnode);
	touch(dir->vnode);
	from->vnode->ctime_ns = dir->vnode->ctime_ns;
out:
	kl_dentry_put(from);
	kl_dentry_put(left);
	return rc;
}

/* Names of the lower tree, each replaced by what has its name now. 1: done; 0: no more room. */
static int emit_lower(struct kl_file *file, struct kl_iter *it)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(file->vnode);
	const struct kl_lower *lower = kl_tmpfs_of(file->vnode)->lower;
	uint64_t at = (uint64_t)file->pos - COOKIE_LOWER;
	struct kl_lower_entry entry;
	int rc;

	while (node->has_lower && (rc = lower->next(lower, &node->lower, &at, &entry)) != 0) {
		struct kl_dentry *d;
		int64_t next = (int64_t)at + COOKIE_LOWER;

		if (rc < 0)
			return rc;
		d = kl_dentry_cached(file->dentry, entry.name, entry.name_bytes);
		if (d == NULL)
			rc = kl_dirent_emit(it, entry.id, next, entry.type, entry.name, entry.name_bytes);
		else if (d->vnode != NULL && !kl_list_linked(&d->siblings))
			rc = kl_dirent_emit(it, d->vnode->ino, next, d->vnode->mode >> 12 & 15, d->name, d->name_bytes);
		else
			rc = 1; /* removed, or made anew and so in the other list */
		if (rc <= 0)
			return rc;
		file->pos = next;
	}
	file->pos = COOKIE_UPPER;
	return 1;
}

static int emit_upper(struct kl_file *file, struct kl_iter *it)
{
	KL_LIST_FOR(link, &file->dentry->children)
	{
		struct kl_dentry *d = KL_LIST_ENTRY(link, struct kl_dentry, siblings);
		int rc;

		if (d->cookie < (uint64_t)file->pos)
			continue;
		rc = kl_dirent_emit(
			it, d->vnode->ino, (int64_t)d->cookie + 1, d->vnode->mode >> 12 & 15, d->name, d->name_bytes);
		if (rc <= 0)
			return rc;
		file->pos = (int64_t)d->cookie + 1;
	}
	return 1;
}

static kl_ssize dir_getdents(struct kl_file *file, struct kl_iter *it)
{
	const struct kl_dentry *d = file->dentry,
			       *up = d->parent != NULL ? d->parent
		: d->covers != NULL                    ? d->covers
						       : d;
	size_t room = it->left;
	int rc = 1;

	if (file->pos == 0) {
		rc = kl_dirent_emit(it, file->vnode->ino, 1, 4, ".", 1);
		file->pos = rc > 0;
	}
	if (rc > 0 && file->pos == 1) {
		rc = kl_dirent_emit(it, up->vnode->ino, COOKIE_LOWER, 4, "..", 2);
		file->pos = rc > 0 ? COOKIE_LOWER : 1;
	}
	if (rc > 0 && (uint64_t)file->pos < COOKIE_UPPER)
		rc = emit_lower(file, it);
	if (rc > 0)
		rc = emit_upper(file, it);
	if (it->left < room)
		return (kl_ssize)(room - it->left);
	return rc == 0 ? -EINVAL : rc < 0 ? rc : 0;
}

static int64_t dir_seek(struct kl_file *file, int64_t offset, int whence)
{
	if (whence == SEEK_CUR)
		offset += file->pos;
	else if (whence != SEEK_SET)
		return -EINVAL;
	if (offset < 0)
		return -EINVAL;
	return file->pos = offset;
}

const struct kl_file_ops kl_tmpfs_dir_fops = {.seek = dir_seek, .getdents = dir_getdents};

const struct kl_vnode_ops kl_tmpfs_dir_ops = {
	.lookup = dir_lookup,
	.create = dir_create,
	.link = dir_link,
	.unlink = dir_unlink,
	.rename = dir_rename,
	.free = kl_tmpfs_node_free,
	.file_ops = &kl_tmpfs_dir_fops,
};
