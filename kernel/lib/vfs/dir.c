/* SPDX-License-Identifier: Apache-2.0 */
/* getdents64(2), getcwd(2), chdir(2), chroot(2), umask(2). */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

int kl_dirent_emit(struct kl_iter *it, uint64_t ino, int64_t next, unsigned type, const char *name, size_t n)
{
	struct {
		uint64_t ino;
		int64_t next;
		uint16_t bytes;
		uint8_t type;
		char name[KL_NAME_MAX + 10]; /* with its zero, and zeros up to a multiple of 8 */
	} record;
	size_t bytes = KL_ALIGN_UP(offsetof(__typeof__(record), name) + n + 1, 8);
	int rc;

	if (it->left < bytes)
		return 0;
	record.ino = ino;
	record.next = next;
	record.bytes = (uint16_t)bytes;
	record.type = (uint8_t)type;
	memset(record.name + n, 0, bytes - offsetof(__typeof__(record), name) - n);
	memcpy(record.name, name, n);
	rc = kl_iter_write(it, &record, bytes);
	return rc < 0 ? rc : 1;
}

long kl_sys_getdents64(int fd, kl_uaddr buf, unsigned size)
{
	struct kl_file *file = kl_fd_get_io(fd);
	struct kl_iter it;
	long rc;

	if (file == NULL)
		return -EBADF;
	kl_iter_user(&it, buf, size);
	if (file->vnode != NULL && (file->dentry->flags & KL_DENTRY_UNLINKED) != 0)
		rc = -ENOENT;
	else
		rc = file->ops->getdents != NULL ? file->ops->getdents(file, &it) : -ENOTDIR;
	if (rc >= 0)
		kl_vfs_notify(file->dentry, IN_ACCESS);
	kl_file_put(file);
	return rc;
}

long kl_sys_getcwd(kl_uaddr buf, size_t size)
{
	struct kl_fsinfo *fs = kl_proc()->fs;
	char *path = kl_path_buffer_get(), *start;
	size_t n;
	long rc;

	if (path == NULL)
		return -ENOMEM;
	start = kl_dentry_path(fs->cwd, fs->root, path, KL_PATH_MAX);
	if ((fs->cwd->flags & KL_DENTRY_UNLINKED) != 0)
		rc = -ENOENT;
	else if (start == NULL)
		rc = -ENAMETOOLONG;
	else {
		n = (size_t)(path + KL_PATH_MAX - start);
		rc = n > size ? -ERANGE : kl_copy_to_user(buf, start, n);
		if (rc == 0)
			rc = (long)n;
	}
	kl_path_buffer_put(path);
	return rc;
}

static void replace(struct kl_dentry **at, struct kl_dentry *d)
{
	struct kl_dentry *old = *at;

	*at = kl_dentry_get(d);
	kl_dentry_put(old);
}

static int change(struct kl_dentry **at, kl_uaddr path)
{
	struct kl_walk w;
	int rc = kl_walk_user(&w, AT_FDCWD, path, KL_WALK_DIR);

	if (rc == 0)
		rc = kl_vnode_may(w.dentry->vnode, 1, false);
	if (rc == 0)
		replace(at, w.dentry);
	kl_walk_end(&w);
	return rc;
}

long kl_sys_chdir(kl_uaddr path)
{
	return change(&kl_proc()->fs->cwd, path);
}

long kl_sys_chroot(kl_uaddr path)
{
	return kl_proc()->euid != 0 ? -EPERM : change(&kl_proc()->fs->root, path);
}

long kl_sys_fchdir(int fd)
{
	struct kl_file *file = kl_fd_get(fd);
	int rc;

	if (file == NULL)
		return -EBADF;
	if (file->vnode == NULL || !S_ISDIR(file->vnode->mode))
		rc = -ENOTDIR;
	else
		rc = kl_vnode_may(file->vnode, 1, false);
	if (rc == 0)
		replace(&kl_proc()->fs->cwd, file->dentry);
	kl_file_put(file);
	return rc;
}

long kl_sys_umask(unsigned mask)
{
	struct kl_fsinfo *fs = kl_proc()->fs;
	uint32_t old = fs->umask;

	fs->umask = mask & 0777;
	return old;
}

struct kl_fsinfo *kl_fsinfo_clone(struct kl_fsinfo *from)
{
	struct kl_fsinfo *fs = kl_malloc(sizeof(*fs));

	if (fs == NULL)
		return NULL;
	*fs = *from;
	fs->refs = 1;
	kl_dentry_get(fs->root);
	kl_dentry_get(fs->cwd);
	return fs;
}

void kl_fsinfo_get(struct kl_fsinfo *fs)
{
	fs->refs++;
}

void kl_fsinfo_put(struct kl_fsinfo *fs)
{
	if (--fs->refs != 0)
		return;
	kl_dentry_put(fs->root);
	kl_dentry_put(fs->cwd);
	kl_free(fs);
}
