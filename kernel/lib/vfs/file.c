/* SPDX-License-Identifier: Apache-2.0 */
/* Open files. */
#include <kl/heap.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>
#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

struct kl_vfs_hooks kl_vfs_hooks;

struct kl_file *kl_file_create(const struct kl_file_ops *ops, uint32_t flags, void *priv)
{
	struct kl_file *file = kl_zalloc(sizeof(*file));

	if (file == NULL)
		return NULL;
	file->ops = ops;
	file->refs = 1;
	file->flags = flags;
	file->priv = priv;
	kl_list_init(&file->watches);
	return file;
}

void kl_file_get(struct kl_file *file)
{
	file->refs++;
}

void kl_file_put(struct kl_file *file)
{
	if (--file->refs != 0)
		return;
	if (!kl_list_empty(&file->watches))
		kl_vfs_hooks.file_closed(file);
	if ((file->flags & O_PATH) == 0)
		kl_vfs_notify(file->dentry, kl_file_writable(file) ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
	if (file->ops->release != NULL)
		file->ops->release(file);
	if (file->vnode != NULL) {
		kl_flock_release(file);
		kl_vnode_put(file->vnode);
	}
	kl_dentry_put(file->dentry);
	kl_free(file);
}

kl_ssize kl_file_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	kl_ssize n;

	if (!kl_file_readable(file))
		return -EBADF;
	if (file->ops->read == NULL)
		return file->vnode != NULL && S_ISDIR(file->vnode->mode) ? -EISDIR : -EINVAL;
	n = file->ops->read(file, it, pos);
	if (n > 0)
		kl_vfs_notify(file->dentry, IN_ACCESS);
	return n;
}

kl_ssize kl_file_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	kl_ssize n;

	if (!kl_file_writable(file))
		return -EBADF;
	if (file->ops->write == NULL)
		return -EINVAL;
	n = file->ops->write(file, it, pos);
	if (n > 0)
		kl_vfs_notify(file->dentry, IN_MODIFY);
	return n;
}

int kl_file_read_exact(struct kl_file *file, void *buf, size_t n, uint64_t offset)
{
	int64_t pos = (int64_t)offset;
	struct kl_iter it;

	kl_iter_kernel(&it, buf, n);
	while (it.left > 0) {
		kl_ssize rc = kl_file_read(file, &it, &pos);

		if (rc <= 0)
			return rc < 0 ? (int)rc : -EIO;
	}
	return 0;
}

int64_t kl_file_size(struct kl_file *file)
{
	if (file->vnode == NULL || !S_ISREG(file->vnode->mode))
		return -EINVAL;
	return (int64_t)file->vnode->size;
}

const char *kl_file_path(const struct kl_file *file)
{
	static char buf[KL_PATH_MAX];
	const char *path;

	if (file->dentry == NULL)
		return file->anonymous != NULL ? file->anonymous : "";
	if (file->dentry->parent == NULL && file->dentry->covers == NULL && file->dentry->name_bytes > 0) {
		kl_snprintf(buf, sizeof(buf), "%.*s", (int)file->dentry->name_bytes, file->dentry->name);
		return buf;
	}
	path = kl_dentry_path(file->dentry, NULL, buf, sizeof(buf) - sizeof(" (deleted)"));
	if (path == NULL)
		return "";
	if ((file->dentry->flags & KL_DENTRY_UNLINKED) != 0)
		memcpy(buf + sizeof(buf) - sizeof(" (deleted)") - 1, " (deleted)", sizeof(" (deleted)"));
	return path;
}

int kl_vfs_open_dentry(struct kl_dentry *d, uint32_t flags, struct kl_file **out)
{
	struct kl_vnode *node = d->vnode;
	struct kl_file *file = kl_file_create(node->ops->file_ops, flags & ~(uint32_t)O_CLOEXEC, NULL);
	int rc = 0;

	if (file == NULL)
		return -ENOMEM;
	file->dentry = kl_dentry_get(d);
	file->vnode = kl_vnode_get(node);
	if ((flags & O_PATH) != 0) {
		static const struct kl_file_ops path_ops;

		file->ops = &path_ops;
	} else if (S_ISFIFO(node->mode)) {
		rc = kl_vfs_hooks.fifo_open != NULL ? kl_vfs_hooks.fifo_open(file) : -ENXIO;
	} else if (S_ISSOCK(node->mode)) {
		rc = -ENXIO;
	} else if ((S_ISCHR(node->mode) || S_ISBLK(node->mode)) && node->ops->open == NULL) {
		rc = kl_vfs_hooks.device_open != NULL ? kl_vfs_hooks.device_open(file) : -ENXIO;
	} else if (node->ops->open != NULL) {
		rc = node->ops->open(file);
	}
	if (rc < 0) {
		kl_vnode_put(node);
		kl_dentry_put(d);
		kl_free(file);
		return rc;
	}
	*out = file;
	return 0;
}
