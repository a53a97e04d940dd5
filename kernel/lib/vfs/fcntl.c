/* SPDX-License-Identifier: Apache-2.0 */
/* fcntl(2), flock(2). */
#include <kl/heap.h>
#include <kl/process.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>

/* --- flock(2): a lock of an open file, in the node's list --- */

#define LOCK_SH 1
#define LOCK_EX 2
#define LOCK_NB 4
#define LOCK_UN 8

struct flock_entry {
	struct kl_list link;
	struct kl_file *file; /* not counted: goes with it */
	bool exclusive;
};

static struct kl_waitq flock_wait = {KL_LIST_INIT(flock_wait.waiters)};

static struct flock_entry *find_flock(struct kl_vnode *node, const struct kl_file *file)
{
	if (node->locks == NULL)
		return NULL;
	KL_LIST_FOR(link, node->locks)
	{
		struct flock_entry *e = KL_LIST_ENTRY(link, struct flock_entry, link);

		if (e->file == file)
			return e;
	}
	return NULL;
}

static bool conflicts(struct kl_vnode *node, const struct kl_file *file, bool exclusive)
{
	KL_LIST_FOR(link, node->locks)
	{
		struct flock_entry *e = KL_LIST_ENTRY(link, struct flock_entry, link);

		if (e->file != file && (exclusive || e->exclusive))
			return true;
	}
	return false;
}

void kl_flock_release(struct kl_file *file)
{
	struct kl_vnode *node = file->vnode;
	struct flock_entry *e = find_flock(node, file);

	if (e == NULL)
		return;
	kl_list_remove(&e->link);
	kl_free(e);
	if (kl_list_empty(node->locks)) {
		kl_free(node->locks);
		node->locks = NULL;
	}
	kl_waitq_wake(&flock_wait, ~0u);
}

static int add_flock(struct kl_file *file, bool exclusive)
{
	struct kl_vnode *node = file->vnode;
	struct flock_entry *e = kl_zalloc(sizeof(*e));

	if (e != NULL && node->locks == NULL) {
		node->locks = kl_malloc(sizeof(*node->locks));
		if (node->locks != NULL)
			kl_list_init(node->locks);
	}
	if (e == NULL || node->locks == NULL) {
		kl_free(e);
		return -ENOLCK;
	}
	e->file = file;
	e->exclusive = exclusive;
	kl_list_push_back(node->locks, &e->link);
	return 0;
}

static int lock_file(struct kl_file *file, int op)
{
	bool exclusive = (op & LOCK_EX) != 0;

	if (file->vnode == NULL || (op & ~LOCK_NB) == LOCK_UN) {
		if (file->vnode != NULL)
			kl_flock_release(file);
		return 0;
	}
	/* A change of the kind of lock is not atomic: the old one goes first. */
	kl_flock_release(file);
	while (file->vnode->locks != NULL && conflicts(file->vnode, file, exclusive)) {
		int rc = (op & LOCK_NB) != 0 ? -EWOULDBLOCK : kl_wait(&flock_wait, KL_FOREVER, true);

		if (rc < 0)
			return rc;
	}
	/* One entry a file: another thread may have locked it while this one waited. */
	kl_flock_release(file);
	return add_flock(file, exclusive);
}

long kl_sys_flock(int fd, int op)
{
	int kind = op & ~LOCK_NB;
	struct kl_file *file;
	int rc;

	if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN)
		return -EINVAL;
	file = kl_fd_get(fd);
	if (file == NULL)
		return -EBADF;
	rc = (file->flags & O_PATH) != 0 ? -EBADF : lock_file(file, op);
	kl_file_put(file);
	return rc;
}

/* --- fcntl(2) --- */

/* Record locks belong to a process; the locks of one process never conflict with each other. */
static long record_lock(struct kl_file *file, int cmd, kl_uaddr arg)
{
	struct flock lock;

	if (KL_GET_USER(lock, arg) < 0)
		return -EFAULT;
	if (lock.l_whence != 0 && lock.l_whence != 1 && lock.l_whence != 2)
		return -EINVAL;
	if ((cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW) && lock.l_pid != 0)
		return -EINVAL;
	if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
		if (lock.l_type != F_RDLCK && lock.l_type != F_WRLCK)
			return -EINVAL;
		lock.l_type = F_UNLCK;
		return KL_PUT_USER(arg, lock);
	}
	switch (lock.l_type) {
	case F_RDLCK: return kl_file_readable(file) ? 0 : -EBADF;
	case F_WRLCK: return kl_file_writable(file) ? 0 : -EBADF;
	case F_UNLCK: return 0;
	default: return -EINVAL;
	}
}

static long owner(struct kl_file *file, int cmd, uint64_t arg)
{
	struct f_owner_ex ex;

	switch (cmd) {
	case F_SETOWN: file->owner_pid = (int)arg; return 0;
	case F_GETOWN: return file->owner_pid;
	case F_SETSIG:
		if (arg > 64)
			return -EINVAL;
		file->owner_signal = (int)arg;
		return 0;
	case F_GETSIG: return file->owner_signal;
	case F_SETOWN_EX:
		if (KL_GET_USER(ex, arg) < 0)
			return -EFAULT;
		if (ex.type != F_OWNER_TID && ex.type != F_OWNER_PID && ex.type != F_OWNER_PGRP)
			return -EINVAL;
		file->owner_pid = ex.type == F_OWNER_PGRP ? -ex.pid : ex.pid;
		return 0;
	default:
		ex.type = file->owner_pid < 0 ? F_OWNER_PGRP : F_OWNER_PID;
		ex.pid = file->owner_pid < 0 ? -file->owner_pid : file->owner_pid;
		return KL_PUT_USER(arg, ex);
	}
}

static long duplicate(struct kl_file *file, uint64_t from, bool cloexec)
{
	long fd;

	if (from >= KL_MIN(kl_proc()->rlimits[7 /* RLIMIT_NOFILE */].soft, (uint64_t)INT32_MAX))
		return -EINVAL;
	kl_file_get(file);
	fd = kl_fd_install_from(file, (int)from, cloexec);
	if (fd < 0)
		kl_file_put(file);
	return fd;
}

#define SETTABLE (O_APPEND | O_NONBLOCK | FASYNC | O_DIRECT | O_NOATIME)

static long control(struct kl_file *file, int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case F_DUPFD: return duplicate(file, arg, false);
	case F_DUPFD_CLOEXEC: return duplicate(file, arg, true);
	case F_GETFD: return kl_fd_cloexec(fd) ? FD_CLOEXEC : 0;
	case F_SETFD: kl_fd_set_cloexec(fd, (arg & FD_CLOEXEC) != 0); return 0;
	case F_GETFL: return (long)file->flags;
	default: break;
	}
	if ((file->flags & O_PATH) != 0)
		return -EBADF;
	switch (cmd) {
	case F_SETFL: file->flags = (file->flags & ~(uint32_t)SETTABLE) | ((uint32_t)arg & SETTABLE); return 0;
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW: return record_lock(file, cmd, arg);
	case F_SETOWN:
	case F_GETOWN:
	case F_SETSIG:
	case F_GETSIG:
	case F_SETOWN_EX:
	case F_GETOWN_EX: return owner(file, cmd, arg);
	case F_GETPIPE_SZ:
	case F_SETPIPE_SZ:
		return kl_vfs_hooks.pipe_size != NULL
			? kl_vfs_hooks.pipe_size(file, cmd == F_SETPIPE_SZ ? (int64_t)arg : -1)
			: -EBADF;
	case F_ADD_SEALS:
	case F_GET_SEALS:
		if (file->vnode == NULL || file->vnode->ops->seals == NULL)
			return -EINVAL;
		if (cmd == F_ADD_SEALS && !kl_file_writable(file))
			return -EPERM;
		return file->vnode->ops->seals(file->vnode, cmd == F_ADD_SEALS ? (int64_t)(uint32_t)arg : -1);
	case F_GETLEASE: return F_UNLCK;
	default: return -EINVAL;
	}
}

long kl_sys_fcntl(int fd, int cmd, uint64_t arg)
{
	struct kl_file *file = kl_fd_get(fd);
	long rc;

	if (file == NULL)
		return -EBADF;
	rc = control(file, fd, cmd, arg);
	kl_file_put(file);
	return rc;
}
