/* SPDX-License-Identifier: Apache-2.0 */
/* chmod(2), chown(2), utimensat(2), truncate(2), fallocate(2). */
#include <kl/process.h>
#include <kl/stat.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/falloc.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>
#include <linux/resource.h>
#include <linux/time.h>
#include <linux/time_types.h>

int kl_vnode_owned(const struct kl_vnode *node)
{
	uint32_t uid = kl_proc()->euid;

	return uid == 0 || uid == node->uid ? 0 : -EPERM;
}

/* One change of attributes; value is its own. */
struct change {
	int (*apply)(struct kl_dentry *d, const struct change *c);
	uint32_t mode, uid, gid;
	int64_t atime_ns, mtime_ns;
	bool times_now; /* both: who may write may do so */
};

#define TIME_OMIT INT64_MIN
/* of utimensat(2); the kernel's own, in no header of its */
#define UTIME_NOW 0x3fffffff
#define UTIME_OMIT 0x3ffffffe

static int apply(struct kl_dentry *d, const struct change *c)
{
	int rc = d->vnode == NULL ? -EBADF : c->apply(d, c);

	if (rc == 0) {
		d->vnode->ctime_ns = kl_vfs_now_ns();
		kl_vfs_notify(d, IN_ATTRIB | (S_ISDIR(d->vnode->mode) ? IN_ISDIR : 0));
	}
	return rc;
}

/* path 0: dfd itself */
static int change_path(int dfd, kl_uaddr path, int flags, const struct change *c)
{
	struct kl_file *file = NULL;
	struct kl_walk w;
	int rc;

	if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return -EINVAL;
	rc = kl_walk_user_or_file(&w, dfd, path,
		((flags & AT_SYMLINK_NOFOLLOW) != 0 ? KL_WALK_NOFOLLOW : 0) |
			((flags & AT_EMPTY_PATH) != 0 ? KL_WALK_EMPTY : 0),
		&file);
	if (rc == 0 && w.dentry != NULL)
		rc = apply(w.dentry, c);
	if (file != NULL)
		kl_file_put(file);
	kl_walk_end(&w);
	return rc;
}

static int change_fd(int fd, const struct change *c)
{
	struct kl_file *file = kl_fd_get_io(fd);
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = file->dentry != NULL ? apply(file->dentry, c) : 0;
	kl_file_put(file);
	return rc;
}

static int apply_mode(struct kl_dentry *d, const struct change *c)
{
	int rc = kl_vnode_owned(d->vnode);

	if (rc == 0)
		d->vnode->mode = (d->vnode->mode & S_IFMT) | c->mode;
	return rc;
}

long kl_sys_fchmodat(int dfd, kl_uaddr path, unsigned mode)
{
	return change_path(dfd, path, 0, &(struct change){.apply = apply_mode, .mode = mode & 07777});
}

long kl_sys_chmod(kl_uaddr path, unsigned mode)
{
	return kl_sys_fchmodat(AT_FDCWD, path, mode);
}

long kl_sys_fchmod(int fd, unsigned mode)
{
	return change_fd(fd, &(struct change){.apply = apply_mode, .mode = mode & 07777});
}

static int apply_owner(struct kl_dentry *d, const struct change *c)
{
	struct kl_vnode *node = d->vnode;
	const struct kl_process *proc = kl_proc();

	if (proc->euid != 0) {
		if (c->uid != UINT32_MAX && (c->uid != node->uid || proc->euid != node->uid))
			return -EPERM;
		if (c->gid != UINT32_MAX && (proc->euid != node->uid || (c->gid != node->gid && c->gid != proc->egid)))
			return -EPERM;
	}
	if (c->uid != UINT32_MAX)
		node->uid = c->uid;
	if (c->gid != UINT32_MAX)
		node->gid = c->gid;
	if (S_ISREG(node->mode))
		node->mode &= ~(uint32_t)(S_ISUID | ((node->mode & S_IXGRP) != 0 ? S_ISGID : 0));
	return 0;
}

long kl_sys_fchownat(int dfd, kl_uaddr path, uint32_t uid, uint32_t gid, int flags)
{
	return change_path(dfd, path, flags, &(struct change){.apply = apply_owner, .uid = uid, .gid = gid});
}

long kl_sys_chown(kl_uaddr path, uint32_t uid, uint32_t gid)
{
	return kl_sys_fchownat(AT_FDCWD, path, uid, gid, 0);
}

long kl_sys_lchown(kl_uaddr path, uint32_t uid, uint32_t gid)
{
	return kl_sys_fchownat(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

long kl_sys_fchown(int fd, uint32_t uid, uint32_t gid)
{
	return change_fd(fd, &(struct change){.apply = apply_owner, .uid = uid, .gid = gid});
}

static int apply_times(struct kl_dentry *d, const struct change *c)
{
	struct kl_vnode *node = d->vnode;
	int rc = kl_vnode_owned(node);

	if (rc < 0 && c->times_now)
		rc = kl_vnode_may(node, 2, false);
	if (rc < 0)
		return rc;
	if (c->atime_ns != TIME_OMIT)
		node->atime_ns = c->atime_ns;
	if (c->mtime_ns != TIME_OMIT)
		node->mtime_ns = c->mtime_ns;
	return 0;
}

/* Clamped to what 64 bits of ns can say: the years 1678 to 2261. */
static int64_t to_ns(int64_t s, int64_t ns)
{
	const int64_t limit = INT64_MAX / (int64_t)KL_NS_PER_S - 1;

	s = s > limit ? limit : s < -limit ? -limit : s;
	return s * (int64_t)KL_NS_PER_S + ns;
}

static int change_times(int dfd, kl_uaddr path, int flags, const struct __kernel_timespec *ts)
{
	struct change c = {.apply = apply_times};
	int64_t *out[2] = {&c.atime_ns, &c.mtime_ns}, now = kl_vfs_now_ns();

	c.times_now = ts == NULL || (ts[0].tv_nsec == UTIME_NOW && ts[1].tv_nsec == UTIME_NOW);
	for (unsigned i = 0; i < 2; i++) {
		if (ts == NULL || ts[i].tv_nsec == UTIME_NOW)
			*out[i] = now;
		else if (ts[i].tv_nsec == UTIME_OMIT)
			*out[i] = TIME_OMIT;
		else if (ts[i].tv_nsec < 0 || ts[i].tv_nsec >= (int64_t)KL_NS_PER_S)
			return -EINVAL;
		else
			*out[i] = to_ns(ts[i].tv_sec, ts[i].tv_nsec);
	}
	if (c.atime_ns == TIME_OMIT && c.mtime_ns == TIME_OMIT)
		return 0;
	return path != 0 ? change_path(dfd, path, flags, &c) : change_fd(dfd, &c);
}

long kl_sys_utimensat(int dfd, kl_uaddr path, kl_uaddr times, int flags)
{
	struct __kernel_timespec ts[2];

	if (times != 0 && KL_GET_USER(ts, times) < 0)
		return -EFAULT;
	if (path == 0 && (dfd == AT_FDCWD || flags != 0))
		return dfd == AT_FDCWD ? -EFAULT : -EINVAL;
	return change_times(dfd, path, flags, times != 0 ? ts : NULL);
}

long kl_sys_futimesat(int dfd, kl_uaddr path, kl_uaddr times)
{
	struct __kernel_old_timeval tv[2];
	struct __kernel_timespec ts[2];

	if (times == 0)
		return change_times(dfd, path, 0, NULL);
	if (KL_GET_USER(tv, times) < 0)
		return -EFAULT;
	for (unsigned i = 0; i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
			return -EINVAL;
		ts[i].tv_sec = tv[i].tv_sec;
		ts[i].tv_nsec = tv[i].tv_usec * (long)KL_NS_PER_US;
	}
	return change_times(dfd, path, 0, ts);
}

long kl_sys_utimes(kl_uaddr path, kl_uaddr times)
{
	return kl_sys_futimesat(AT_FDCWD, path, times);
}

long kl_sys_utime(kl_uaddr path, kl_uaddr times)
{
	struct __kernel_timespec ts[2] = {{0}};
	int64_t s[2];

	if (times == 0)
		return change_times(AT_FDCWD, path, 0, NULL);
	if (KL_GET_USER(s, times) < 0)
		return -EFAULT;
	ts[0].tv_sec = s[0];
	ts[1].tv_sec = s[1];
	return change_times(AT_FDCWD, path, 0, ts);
}

int kl_vnode_truncate(struct kl_vnode *node, int64_t size)
{
	int rc;

	if (size < 0)
		return -EINVAL;
	if (S_ISDIR(node->mode))
		return -EISDIR;
	if (!S_ISREG(node->mode) || node->ops->set_size == NULL)
		return -EINVAL;
	if ((uint64_t)size > node->size && (uint64_t)size > kl_proc()->rlimits[RLIMIT_FSIZE].soft)
		return -EFBIG;
	rc = node->ops->set_size(node, (uint64_t)size);
	if (rc == 0)
		node->mtime_ns = node->ctime_ns = kl_vfs_now_ns();
	return rc;
}

long kl_sys_truncate(kl_uaddr path, int64_t size)
{
	struct kl_walk w;
	int rc = size < 0 ? -EINVAL : 0;

	if (rc < 0)
		return rc;
	rc = kl_walk_user(&w, AT_FDCWD, path, 0);
	if (rc == 0 && !S_ISDIR(w.dentry->vnode->mode))
		rc = kl_vnode_may(w.dentry->vnode, 2, false);
	if (rc == 0)
		rc = kl_vnode_truncate(w.dentry->vnode, size);
	if (rc == 0)
		kl_vfs_notify(w.dentry, IN_MODIFY);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_ftruncate(int fd, int64_t size)
{
	struct kl_file *file = kl_fd_get_io(fd);
	int rc = -EINVAL;

	if (file == NULL)
		return -EBADF;
	if (file->vnode != NULL && kl_file_writable(file))
		rc = kl_vnode_truncate(file->vnode, size);
	if (rc == 0)
		kl_vfs_notify(file->dentry, IN_MODIFY);
	kl_file_put(file);
	return rc;
}

/* The order of the checks is Linux's. */
static int allocate(struct kl_file *file, int mode, int64_t offset, int64_t bytes)
{
	struct kl_vnode *node = file->vnode;

	if (offset < 0 || bytes <= 0)
		return -EINVAL;
	if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) != 0 || mode == FALLOC_FL_PUNCH_HOLE)
		return -EOPNOTSUPP;
	if (!kl_file_writable(file))
		return -EBADF;
	if (node == NULL || S_ISFIFO(node->mode))
		return -ESPIPE;
	if (!S_ISREG(node->mode))
		return S_ISDIR(node->mode) ? -EISDIR : -ENODEV;
	if (offset > INT64_MAX - bytes)
		return -EFBIG;
	return node->ops->allocate != NULL ? node->ops->allocate(node, mode, (uint64_t)offset, (uint64_t)bytes)
					   : -EOPNOTSUPP;
}

long kl_sys_fallocate(int fd, int mode, int64_t offset, int64_t bytes)
{
	struct kl_file *file = kl_fd_get_io(fd);
	int rc;

	if (file == NULL)
		return -EBADF;
	rc = allocate(file, mode, offset, bytes);
	if (rc == 0)
		kl_vfs_notify(file->dentry, IN_MODIFY);
	kl_file_put(file);
	return rc;
}
