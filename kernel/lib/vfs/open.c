/* SPDX-License-Identifier: Apache-2.0 */
/* open(2), openat2(2). */
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/openat2.h>

#define O_LARGEFILE_KERNEL 0100000u /* shown by F_GETFL on 64-bit Linux */
#define O_TMPFILE_BIT 020000000u

static unsigned walk_flags(uint32_t flags)
{
	unsigned walk = 0;

	if ((flags & O_NOFOLLOW) != 0 || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		walk |= KL_WALK_NOFOLLOW;
	if ((flags & O_DIRECTORY) != 0)
		walk |= KL_WALK_DIR;
	if ((flags & O_CREAT) != 0)
		walk |= KL_WALK_CREATE;
	return walk;
}

/* mode: with type. dir: an open directory entry that the name is not in. */
static int create(struct kl_dentry *dir, const char *name, size_t n, unsigned mode, struct kl_dentry **out)
{
	struct kl_new what = {.mode = S_IFREG | (mode & 07777 & ~kl_proc()->fs->umask)};
	int rc = kl_vnode_may(dir->vnode, 3, false);

	if (rc < 0)
		return rc;
	if (dir->vnode->ops->create == NULL)
		return -ENOENT;
	return dir->vnode->ops->create(dir, name, n, &what, out);
}

static int check_existing(struct kl_walk *w, uint32_t flags)
{
	static const uint8_t access_mask[4] = {4, 2, 6, 6};
	struct kl_vnode *node = w->dentry->vnode;
	unsigned mask = access_mask[flags & O_ACCMODE] | ((flags & O_TRUNC) != 0 ? 2 : 0);

	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((flags & O_PATH) != 0)
		return 0;
	if (S_ISLNK(node->mode))
		return -ELOOP;
	if (S_ISDIR(node->mode) && ((flags & O_CREAT) != 0 || (mask & 2) != 0))
		return -EISDIR;
	return kl_vnode_may(node, mask, false);
}

static int open_temporary(struct kl_walk *w, uint32_t flags, unsigned mode, struct kl_file **out)
{
	struct kl_dentry *d;
	int rc;

	if ((flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (w->dentry->vnode->ops->create == NULL)
		return -EOPNOTSUPP;
	rc = create(w->dentry, "", 0, mode, &d);
	if (rc < 0)
		return rc;
	rc = kl_vfs_open_dentry(d, flags, out);
	kl_dentry_put(d);
	return rc;
}

/* After a successful walk. */
static int open_walked(struct kl_walk *w, uint32_t flags, unsigned mode, struct kl_file **out)
{
	uint32_t keep = flags & ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
	bool cut = w->dentry != NULL && S_ISREG(w->dentry->vnode->mode) && (flags & (O_TRUNC | O_PATH)) == O_TRUNC;
	int rc;

	if ((flags & O_PATH) == 0)
		keep |= O_LARGEFILE_KERNEL;
	if ((flags & O_TMPFILE_BIT) != 0)
		return open_temporary(w, keep & ~(uint32_t)O_DIRECTORY, mode, out);
	if (w->dentry == NULL) {
		if (w->slash)
			return -EISDIR;
		rc = create(w->dir, w->last, w->last_bytes, mode, &w->dentry);
		if (rc < 0)
			return rc;
		kl_vfs_notify(w->dentry, IN_CREATE);
	} else {
		rc = check_existing(w, flags);
		if (rc < 0)
			return rc;
	}
	rc = kl_vfs_open_dentry(w->dentry, keep, out);
	if (rc < 0 || (flags & O_PATH) != 0)
		return rc;
	kl_vfs_notify(w->dentry, IN_OPEN);
	if (!cut)
		return 0;
	rc = kl_vnode_truncate(w->dentry->vnode, 0);
	if (rc < 0)
		kl_file_put(*out);
	else
		kl_vfs_notify(w->dentry, IN_MODIFY);
	return rc;
}

static long open_user(int dfd, kl_uaddr path, uint32_t flags, unsigned mode, unsigned resolve)
{
	struct kl_file *file = NULL;
	struct kl_walk w;
	int rc;

	if ((flags & O_PATH) != 0)
		flags &= (uint32_t)(O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if ((flags & O_TMPFILE_BIT) != 0)
		flags &= ~(uint32_t)(O_CREAT | O_EXCL);
	rc = kl_walk_user(&w, dfd, path, walk_flags(flags) | resolve);
	if (rc == 0)
		rc = open_walked(&w, flags, mode, &file);
	kl_walk_end(&w);
	if (rc < 0)
		return rc;
	rc = kl_fd_install(file, (flags & O_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}

long kl_sys_open(kl_uaddr path, int flags, unsigned mode)
{
	return open_user(AT_FDCWD, path, (uint32_t)flags, mode, 0);
}

long kl_sys_openat(int dfd, kl_uaddr path, int flags, unsigned mode)
{
	return open_user(dfd, path, (uint32_t)flags, mode, 0);
}

long kl_sys_creat(kl_uaddr path, unsigned mode)
{
	return open_user(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode, 0);
}

long kl_sys_openat2(int dfd, kl_uaddr path, kl_uaddr how_addr, size_t bytes)
{
	static const struct {
		uint16_t resolve, walk;
	} map[] = {
		{RESOLVE_NO_XDEV, KL_WALK_NO_XDEV},
		{RESOLVE_NO_MAGICLINKS, KL_WALK_NO_MAGIC},
		{RESOLVE_NO_SYMLINKS, KL_WALK_NO_LINKS},
		{RESOLVE_BENEATH, KL_WALK_BENEATH},
		{RESOLVE_IN_ROOT, KL_WALK_IN_ROOT},
	};
	struct open_how how;
	unsigned walk = 0;

	if (bytes < sizeof(how))
		return -EINVAL;
	if (KL_GET_USER(how, how_addr) < 0)
		return -EFAULT;
	for (size_t at = sizeof(how); at < bytes; at++) {
		uint8_t byte;

		if (at >= KL_PAGE_BYTES)
			return -E2BIG;
		if (KL_GET_USER(byte, how_addr + at) < 0)
			return -EFAULT;
		if (byte != 0)
			return -E2BIG;
	}
	for (size_t i = 0; i < KL_ARRAY_LEN(map); i++) {
		if ((how.resolve & map[i].resolve) != 0)
			walk |= map[i].walk;
		how.resolve &= ~(uint64_t)map[i].resolve;
	}
	if (how.resolve != 0 || how.flags > UINT32_MAX || how.mode > 07777)
		return -EINVAL;
	if (how.mode != 0 && (how.flags & (O_CREAT | O_TMPFILE_BIT)) == 0)
		return -EINVAL;
	if ((walk & (KL_WALK_BENEATH | KL_WALK_IN_ROOT)) == (KL_WALK_BENEATH | KL_WALK_IN_ROOT))
		return -EINVAL;
	return open_user(dfd, path, (uint32_t)how.flags, (unsigned)how.mode, walk);
}

int kl_vfs_open(const char *path, int flags, unsigned mode, struct kl_file **out)
{
	struct kl_walk w;
	int rc = kl_walk_kernel(&w, path, walk_flags((uint32_t)flags));

	if (rc == 0)
		rc = open_walked(&w, (uint32_t)flags, mode, out);
	kl_walk_end(&w);
	return rc;
}
