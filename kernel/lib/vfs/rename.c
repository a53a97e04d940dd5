/* SPDX-License-Identifier: Apache-2.0 */
/* rename(2), renameat2(2). */
#include <kl/process.h>
#include <kl/stat.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/inotify.h>

static bool is_below(const struct kl_dentry *d, const struct kl_dentry *above)
{
	for (; d != NULL; d = d->parent)
		if (d == above)
			return true;
	return false;
}

static int may_write(struct kl_dentry *dir, struct kl_dentry *entry)
{
	uint32_t uid = kl_proc()->euid;
	int rc = kl_vnode_may(dir->vnode, 3, false);

	if (rc == 0 && entry != NULL && (dir->vnode->mode & S_ISVTX) != 0 && uid != 0 && uid != entry->vnode->uid &&
		uid != dir->vnode->uid)
		rc = -EPERM;
	return rc;
}

/* over: what has the new name, or NULL */
static int check(struct kl_walk *from, struct kl_dentry *d, struct kl_walk *to, struct kl_dentry *over, unsigned flags)
{
	bool directory = S_ISDIR(d->vnode->mode);
	int rc;

	if (over != NULL && (flags & RENAME_NOREPLACE) != 0)
		return -EEXIST;
	if (over == NULL && (flags & RENAME_EXCHANGE) != 0)
		return -ENOENT;
	if ((flags & RENAME_EXCHANGE) != 0 && to->slash && !S_ISDIR(over->vnode->mode))
		return -ENOTDIR;
	if (!directory && (from->slash || (to->slash && (flags & RENAME_EXCHANGE) == 0)))
		return -ENOTDIR;
	if (is_below(to->dir, d))
		return -EINVAL;
	if (over != NULL && is_below(from->dir, over))
		return (flags & RENAME_EXCHANGE) != 0 ? -EINVAL : -ENOTEMPTY;
	rc = may_write(from->dir, d);
	if (rc == 0)
		rc = may_write(to->dir, over);
	if (rc < 0)
		return rc;
	if (d->mounted != NULL || (over != NULL && over->mounted != NULL))
		return -EBUSY;
	if (over != NULL && (flags & RENAME_EXCHANGE) == 0) {
		if (directory && !S_ISDIR(over->vnode->mode))
			return -ENOTDIR;
		if (!directory && S_ISDIR(over->vnode->mode))
			return -EISDIR;
	}
	return from->dir->vnode->ops->rename != NULL ? 0 : -EPERM;
}

static void notify_moved(struct kl_walk *from, struct kl_walk *to, struct kl_vnode *moved, struct kl_vnode *replaced)
{
	static uint32_t cookie;
	uint32_t directory = S_ISDIR(moved->mode) ? IN_ISDIR : 0;

	cookie++;
	kl_vfs_notify_name(from, IN_MOVED_FROM | directory, cookie);
	kl_vfs_notify_name(to, IN_MOVED_TO | directory, cookie);
	if (replaced != NULL)
		kl_vfs_hooks.notify(replaced, NULL, IN_ATTRIB, 0);
	kl_vfs_hooks.notify(moved, NULL, IN_MOVE_SELF, 0);
}

static int rename_walked(struct kl_walk *from, struct kl_walk *to, unsigned flags)
{
	struct kl_dentry *d, *over = NULL;
	int rc;

	if (from->dir->vnode->super != to->dir->vnode->super)
		return -EXDEV;
	if (from->last_special)
		return -EBUSY;
	if (to->last_special)
		return (flags & RENAME_NOREPLACE) != 0 ? -EEXIST : -EBUSY;
	rc = kl_dentry_lookup(from->dir, from->last, from->last_bytes, &d);
	if (rc < 0)
		return rc;
	rc = kl_dentry_lookup(to->dir, to->last, to->last_bytes, &over);
	if (rc == -ENOENT)
		rc = (to->dir->flags & KL_DENTRY_UNLINKED) != 0 ? -ENOENT : 0;
	if (rc == 0)
		rc = check(from, d, to, over, flags);
	if (rc == 0 && over != NULL && over->vnode == d->vnode)
		goto out; /* two names of one file: nothing to do */
	if (rc == 0)
		rc = from->dir->vnode->ops->rename(
			d, to->dir, to->last, to->last_bytes, over, (flags & RENAME_EXCHANGE) != 0);
	if (rc == 0 && kl_vfs_hooks.notify != NULL) {
		bool swap = (flags & RENAME_EXCHANGE) != 0;

		notify_moved(from, to, d->vnode, over != NULL && !swap ? over->vnode : NULL);
		if (swap)
			notify_moved(to, from, over->vnode, NULL);
	}
out:
	kl_dentry_put(d);
	kl_dentry_put(over);
	return rc;
}

long kl_sys_renameat2(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to, unsigned flags)
{
	struct kl_walk a, b;
	int rc;

	if ((flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0 ||
		flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	rc = kl_walk_user(&a, from_dfd, from, KL_WALK_PARENT);
	if (rc == 0) {
		rc = kl_walk_user(&b, to_dfd, to, KL_WALK_PARENT);
		if (rc == 0)
			rc = rename_walked(&a, &b, flags);
		kl_walk_end(&b);
	}
	kl_walk_end(&a);
	return rc;
}

long kl_sys_renameat(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to)
{
	return kl_sys_renameat2(from_dfd, from, to_dfd, to, 0);
}

long kl_sys_rename(kl_uaddr from, kl_uaddr to)
{
	return kl_sys_renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}
