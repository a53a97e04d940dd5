/* SPDX-License-Identifier: Apache-2.0 */
/* mkdir(2), mknod(2), unlink(2), link(2), symlink(2), readlink(2). */
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

/* Whether a new name may be made where a walk with KL_WALK_PARENT led. */
static int check_new(struct kl_walk *w)
{
	struct kl_dentry *d;
	int rc;

	if (w->last_special)
		return -EEXIST;
	rc = kl_dentry_lookup(w->dir, w->last, w->last_bytes, &d);
	if (rc == 0) {
		kl_dentry_put(d);
		return -EEXIST;
	}
	if (rc != -ENOENT)
		return rc;
	if ((w->dir->flags & KL_DENTRY_UNLINKED) != 0)
		return -ENOENT;
	return kl_vnode_may(w->dir->vnode, 3, false);
}

static int make_walked(struct kl_walk *w, const struct kl_new *what, struct kl_dentry **out)
{
	int rc = check_new(w);

	if (rc == 0 && w->slash && !S_ISDIR(what->mode))
		rc = -ENOENT;
	if (rc == 0 && w->dir->vnode->ops->create == NULL)
		rc = -EPERM;
	if (rc == 0)
		rc = w->dir->vnode->ops->create(w->dir, w->last, w->last_bytes, what, out);
	if (rc == 0)
		kl_vfs_notify(*out, IN_CREATE | (S_ISDIR(what->mode) ? IN_ISDIR : 0));
	return rc;
}

static int make(int dfd, kl_uaddr path, const struct kl_new *what)
{
	struct kl_dentry *d;
	struct kl_walk w;
	int rc = kl_walk_user(&w, dfd, path, KL_WALK_PARENT);

	if (rc == 0)
		rc = make_walked(&w, what, &d);
	if (rc == 0)
		kl_dentry_put(d);
	kl_walk_end(&w);
	return rc;
}

int kl_vfs_make(const char *path, uint32_t mode, struct kl_dentry **out)
{
	struct kl_new what = {.mode = mode & ~kl_proc()->fs->umask};
	struct kl_walk w;
	int rc = kl_walk_kernel(&w, path, KL_WALK_PARENT | KL_WALK_CWD);

	if (rc == 0)
		rc = make_walked(&w, &what, out);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_mkdirat(int dfd, kl_uaddr path, unsigned mode)
{
	struct kl_new what = {.mode = S_IFDIR | (mode & 01777 & ~kl_proc()->fs->umask)};

	return make(dfd, path, &what);
}

long kl_sys_mkdir(kl_uaddr path, unsigned mode)
{
	return kl_sys_mkdirat(AT_FDCWD, path, mode);
}

long kl_sys_mknodat(int dfd, kl_uaddr path, unsigned mode, unsigned dev)
{
	struct kl_new what = {.mode = (mode & S_IFMT) | (mode & 07777 & ~kl_proc()->fs->umask), .rdev = dev};

	switch (mode & S_IFMT) {
	case 0: what.mode |= S_IFREG; break;
	case S_IFREG:
	case S_IFIFO:
	case S_IFSOCK: break;
	case S_IFCHR:
	case S_IFBLK:
		if (kl_proc()->euid != 0)
			return -EPERM;
		break;
	case S_IFDIR: return -EPERM;
	default: return -EINVAL;
	}
	return make(dfd, path, &what);
}

long kl_sys_mknod(kl_uaddr path, unsigned mode, unsigned dev)
{
	return kl_sys_mknodat(AT_FDCWD, path, mode, dev);
}

long kl_sys_symlinkat(kl_uaddr target, int dfd, kl_uaddr path)
{
	char *text = kl_path_buffer_get();
	kl_ssize n;

	if (text == NULL)
		return -ENOMEM;
	n = kl_string_from_user(text, target, KL_PATH_MAX);
	if (n == 0)
		n = -ENOENT;
	if (n > 0) {
		struct kl_new what = {.mode = S_IFLNK | 0777, .target = text, .target_bytes = (size_t)n};

		n = make(dfd, path, &what);
	}
	kl_path_buffer_put(text);
	return n;
}

long kl_sys_symlink(kl_uaddr target, kl_uaddr path)
{
	return kl_sys_symlinkat(target, AT_FDCWD, path);
}

void kl_vfs_notify_name(const struct kl_walk *w, uint32_t mask, uint32_t cookie)
{
	struct kl_dentry name = {.parent = w->dir, .name = w->last, .name_bytes = (uint8_t)w->last_bytes};

	if (kl_vfs_hooks.notify != NULL)
		kl_vfs_hooks.notify(NULL, &name, mask, cookie);
}

/* Removal of victim from its directory: write permission, and in a sticky one ownership. */
static int may_remove(struct kl_dentry *dir, struct kl_dentry *victim)
{
	int rc = kl_vnode_may(dir->vnode, 3, false);
	uint32_t uid = kl_proc()->euid;

	if (rc < 0)
		return rc;
	if ((dir->vnode->mode & S_ISVTX) != 0 && uid != 0 && uid != victim->vnode->uid && uid != dir->vnode->uid)
		return -EPERM;
	return victim->mounted != NULL ? -EBUSY : 0;
}

static int remove_name(struct kl_walk *w, bool directory)
{
	struct kl_dentry *d;
	int rc;

	if (w->last_special) {
		if (!directory)
			return -EISDIR;
		return w->last == NULL ? -EBUSY : w->last_bytes == 2 ? -ENOTEMPTY : -EINVAL;
	}
	rc = kl_dentry_lookup(w->dir, w->last, w->last_bytes, &d);
	if (rc < 0)
		return rc;
	rc = may_remove(w->dir, d);
	if (rc == 0 && S_ISDIR(d->vnode->mode) != directory)
		rc = directory ? -ENOTDIR : -EISDIR;
	if (rc == 0 && w->slash && !directory)
		rc = -ENOTDIR;
	if (rc == 0)
		rc = w->dir->vnode->ops->unlink != NULL ? w->dir->vnode->ops->unlink(d) : -EPERM;
	if (rc == 0 && !directory && kl_vfs_hooks.notify != NULL)
		kl_vfs_hooks.notify(d->vnode, NULL, IN_ATTRIB, 0);
	kl_dentry_put(d);
	if (rc == 0)
		kl_vfs_notify_name(w, IN_DELETE | (directory ? IN_ISDIR : 0), 0);
	return rc;
}

long kl_sys_unlinkat(int dfd, kl_uaddr path, int flags)
{
	struct kl_walk w;
	int rc;

	if ((flags & ~AT_REMOVEDIR) != 0)
		return -EINVAL;
	rc = kl_walk_user(&w, dfd, path, KL_WALK_PARENT);
	if (rc == 0)
		rc = remove_name(&w, flags != 0);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_unlink(kl_uaddr path)
{
	return kl_sys_unlinkat(AT_FDCWD, path, 0);
}

long kl_sys_rmdir(kl_uaddr path)
{
	return kl_sys_unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

static int link_to(struct kl_dentry *from, struct kl_walk *to)
{
	struct kl_vnode *node = from->vnode;
	int rc = check_new(to);

	if (rc == 0 && to->slash)
		rc = -ENOENT;
	if (rc == 0 && to->dir->vnode->super != node->super)
		rc = -EXDEV;
	if (rc == 0 && (S_ISDIR(node->mode) || to->dir->vnode->ops->link == NULL))
		rc = -EPERM;
	if (rc == 0)
		rc = to->dir->vnode->ops->link(to->dir, to->last, to->last_bytes, node);
	if (rc == 0 && kl_vfs_hooks.notify != NULL) {
		kl_vfs_hooks.notify(node, NULL, IN_ATTRIB, 0);
		kl_vfs_notify_name(to, IN_CREATE, 0);
	}
	return rc;
}

long kl_sys_linkat(int from_dfd, kl_uaddr from, int to_dfd, kl_uaddr to, int flags)
{
	unsigned walk = (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : KL_WALK_NOFOLLOW;
	struct kl_walk a, b;
	int rc;

	if ((flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	rc = kl_walk_user(&a, from_dfd, from, walk | ((flags & AT_EMPTY_PATH) != 0 ? KL_WALK_EMPTY : 0));
	if (rc == 0) {
		rc = kl_walk_user(&b, to_dfd, to, KL_WALK_PARENT);
		if (rc == 0)
			rc = link_to(a.dentry, &b);
		kl_walk_end(&b);
	}
	kl_walk_end(&a);
	return rc;
}

long kl_sys_link(kl_uaddr from, kl_uaddr to)
{
	return kl_sys_linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

static kl_ssize read_link(struct kl_vnode *node, kl_uaddr buf, size_t size)
{
	const char *text = NULL;
	char *own = NULL;
	size_t n = 0;
	kl_ssize rc;

	if (node->ops->readlink != NULL) {
		own = kl_path_buffer_get();
		if (own == NULL)
			return -ENOMEM;
		rc = node->ops->readlink(node, own, KL_PATH_MAX);
		text = own;
		n = (size_t)rc;
	} else {
		rc = node->ops->target(node, &text, &n);
	}
	if (rc >= 0) {
		n = KL_MIN(n, size);
		rc = kl_copy_to_user(buf, text, n);
	}
	kl_path_buffer_put(own);
	return rc < 0 ? rc : (kl_ssize)n;
}

long kl_sys_readlinkat(int dfd, kl_uaddr path, kl_uaddr buf, int size)
{
	struct kl_walk w;
	long rc;

	if (size <= 0)
		return -EINVAL;
	rc = kl_walk_user(&w, dfd, path, KL_WALK_NOFOLLOW | KL_WALK_EMPTY);
	if (rc == 0 && !S_ISLNK(w.dentry->vnode->mode))
		rc = w.path[0] == '\0' ? -ENOENT : -EINVAL;
	if (rc == 0)
		rc = read_link(w.dentry->vnode, buf, (size_t)size);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_readlink(kl_uaddr path, kl_uaddr buf, int size)
{
	return kl_sys_readlinkat(AT_FDCWD, path, buf, size);
}
