/* SPDX-License-Identifier: Apache-2.0 */
/* stat(2), statx(2), statfs(2), access(2). */
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/magic.h>

#define R_W_X_OK 7

static int stat_file(struct kl_file *file, struct stat *st)
{
	if (file->vnode != NULL) {
		kl_vnode_stat(file->vnode, st);
		return 0;
	}
	memset(st, 0, sizeof(*st));
	st->st_dev = 1;
	st->st_ino = 1;
	st->st_nlink = 1;
	st->st_mode = 0600; /* as Linux's anonymous nodes: no type */
	st->st_blksize = KL_PAGE_BYTES;
	return file->ops->stat != NULL ? file->ops->stat(file, st) : 0;
}

static unsigned at_walk_flags(int flags)
{
	unsigned walk = 0;

	if ((flags & AT_SYMLINK_NOFOLLOW) != 0)
		walk |= KL_WALK_NOFOLLOW;
	if ((flags & AT_EMPTY_PATH) != 0)
		walk |= KL_WALK_EMPTY;
	return walk;
}

static int stat_path(int dfd, kl_uaddr path, int flags, struct stat *st, struct kl_vnode **node)
{
	struct kl_file *file = NULL;
	struct kl_walk w;
	int rc = kl_walk_user_or_file(&w, dfd, path, at_walk_flags(flags), &file);

	*node = NULL;
	if (rc == 0 && w.dentry != NULL) {
		kl_vnode_stat(w.dentry->vnode, st);
		*node = kl_vnode_get(w.dentry->vnode);
	} else if (rc == 0) {
		rc = stat_file(file, st);
	}
	if (file != NULL)
		kl_file_put(file);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_newfstatat(int dfd, kl_uaddr path, kl_uaddr buf, int flags)
{
	struct kl_vnode *node;
	struct stat st;
	int rc;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	rc = stat_path(dfd, path, flags, &st, &node);
	if (node != NULL)
		kl_vnode_put(node);
	return rc < 0 ? rc : kl_copy_to_user(buf, &st, sizeof(st));
}

long kl_sys_stat(kl_uaddr path, kl_uaddr st)
{
	return kl_sys_newfstatat(AT_FDCWD, path, st, 0);
}

long kl_sys_lstat(kl_uaddr path, kl_uaddr st)
{
	return kl_sys_newfstatat(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}

long kl_sys_fstat(int fd, kl_uaddr buf)
{
	struct kl_file *file = kl_fd_get(fd);
	struct stat st;
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = stat_file(file, &st);
	kl_file_put(file);
	return rc < 0 ? rc : kl_copy_to_user(buf, &st, sizeof(st));
}

static uint32_t dev_major(uint64_t dev)
{
	return (uint32_t)(dev >> 8 & 0xfff);
}

static uint32_t dev_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | (dev >> 12 & 0xfff00));
}

long kl_sys_statx(int dfd, kl_uaddr path, unsigned flags, unsigned mask, kl_uaddr buf)
{
	unsigned known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE;
	struct kl_vnode *node;
	struct statx out = {0};
	struct stat st;
	int rc;

	if ((mask & STATX__RESERVED) != 0 || (flags & ~known) != 0 ||
		(flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE)
		return -EINVAL;
	rc = stat_path(dfd, path, (int)flags, &st, &node);
	if (rc < 0)
		return rc;
	out.stx_mask = STATX_BASIC_STATS;
	out.stx_blksize = (uint32_t)st.st_blksize;
	out.stx_nlink = (uint32_t)st.st_nlink;
	out.stx_uid = st.st_uid;
	out.stx_gid = st.st_gid;
	out.stx_mode = (uint16_t)st.st_mode;
	out.stx_ino = st.st_ino;
	out.stx_size = (uint64_t)st.st_size;
	out.stx_blocks = (uint64_t)st.st_blocks;
	out.stx_atime = (struct statx_timestamp){.tv_sec = (int64_t)st.st_atime, .tv_nsec = (uint32_t)st.st_atime_nsec};
	out.stx_mtime = (struct statx_timestamp){.tv_sec = (int64_t)st.st_mtime, .tv_nsec = (uint32_t)st.st_mtime_nsec};
	out.stx_ctime = (struct statx_timestamp){.tv_sec = (int64_t)st.st_ctime, .tv_nsec = (uint32_t)st.st_ctime_nsec};
	out.stx_rdev_major = dev_major(st.st_rdev);
	out.stx_rdev_minor = dev_minor(st.st_rdev);
	out.stx_dev_major = dev_major(st.st_dev);
	out.stx_dev_minor = dev_minor(st.st_dev);
	if (node != NULL) {
		int64_t s = node->btime_ns / (int64_t)KL_NS_PER_S;

		out.stx_mask |= STATX_BTIME;
		out.stx_btime = (struct statx_timestamp){
			.tv_sec = s, .tv_nsec = (uint32_t)(node->btime_ns - s * (int64_t)KL_NS_PER_S)};
		kl_vnode_put(node);
	}
	return kl_copy_to_user(buf, &out, sizeof(out));
}

static long statfs_super(struct kl_super *super, kl_uaddr buf)
{
	struct statfs out;
	int rc = 0;

	memset(&out, 0, sizeof(out));
	out.f_type = ANON_INODE_FS_MAGIC;
	out.f_bsize = KL_PAGE_BYTES;
	out.f_namelen = KL_NAME_MAX;
	out.f_frsize = KL_PAGE_BYTES;
	if (super != NULL && super->ops->statfs != NULL)
		rc = super->ops->statfs(super, &out);
	return rc < 0 ? rc : kl_copy_to_user(buf, &out, sizeof(out));
}

long kl_sys_statfs(kl_uaddr path, kl_uaddr buf)
{
	struct kl_walk w;
	long rc = kl_walk_user(&w, AT_FDCWD, path, 0);

	if (rc == 0)
		rc = statfs_super(w.dentry->vnode->super, buf);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_fstatfs(int fd, kl_uaddr buf)
{
	struct kl_file *file = kl_fd_get(fd);
	long rc;

	if (file == NULL)
		return -EBADF;
	rc = statfs_super(file->vnode != NULL ? file->vnode->super : NULL, buf);
	kl_file_put(file);
	return rc;
}

long kl_sys_faccessat2(int dfd, kl_uaddr path, int mode, int flags)
{
	struct kl_file *file = NULL;
	struct kl_walk w;
	long rc;

	if ((mode & ~R_W_X_OK) != 0 || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	rc = kl_walk_user_or_file(&w, dfd, path, at_walk_flags(flags), &file);
	if (rc == 0 && mode != 0 && w.dentry != NULL)
		rc = kl_vnode_may(w.dentry->vnode, (unsigned)mode, (flags & AT_EACCESS) == 0);
	if (file != NULL)
		kl_file_put(file);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_faccessat(int dfd, kl_uaddr path, int mode)
{
	return kl_sys_faccessat2(dfd, path, mode, 0);
}

long kl_sys_access(kl_uaddr path, int mode)
{
	return kl_sys_faccessat2(AT_FDCWD, path, mode, 0);
}
