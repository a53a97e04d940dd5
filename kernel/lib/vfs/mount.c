/* SPDX-License-Identifier: Apache-2.0 */
/* Mounting at start-up. A program can't mount: -EPERM, as without CAP_SYS_ADMIN. */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "vfs_priv.h"

#include <asm/errno.h>

struct kl_list kl_supers = KL_LIST_INIT(kl_supers);

/* The first file system mounted is the root, and the first process starts there. */
static int mount_root(struct kl_super *super)
{
	struct kl_process *proc = &kl_process_init_data;

	proc->fs = kl_zalloc(sizeof(*proc->fs));
	if (proc->fs == NULL)
		return -ENOMEM;
	proc->fs->refs = 1;
	proc->fs->umask = 022;
	proc->fs->root = kl_dentry_get(super->root);
	proc->fs->cwd = kl_dentry_get(super->root);
	return 0;
}

int kl_vfs_mount(struct kl_super *super, const char *path)
{
	static uint64_t dev = 20; /* major 0 */
	struct kl_dentry *at;
	struct kl_walk w;
	int rc;

	if (kl_list_empty(&kl_supers)) {
		rc = mount_root(super);
	} else {
		rc = kl_walk_kernel(&w, path, KL_WALK_DIR);
		if (rc == 0) {
			at = kl_dentry_get(w.dentry);
			at->mounted = kl_dentry_get(super->root);
			super->root->covers = at;
		}
		kl_walk_end(&w);
	}
	if (rc < 0)
		return rc;
	super->dev = dev++;
	kl_list_push_back(&kl_supers, &super->link);
	return 0;
}

int kl_vfs_mkdirs(const char *path, uint32_t mode)
{
	struct kl_dentry *at = kl_dentry_get(kl_vfs_proc()->fs->root), *next;
	int rc = 0;

	while (rc == 0) {
		size_t n = 0;

		while (*path == '/')
			path++;
		while (path[n] != '\0' && path[n] != '/')
			n++;
		if (n == 0)
			break;
		struct kl_new what = {.mode = S_IFDIR | (path[n] == '\0' ? mode : 0755)};

		rc = kl_dentry_lookup(at, path, n, &next);
		if (rc == -ENOENT && at->vnode->ops->create != NULL)
			rc = at->vnode->ops->create(at, path, n, &what, &next);
		if (rc < 0)
			break;
		if (next->mounted != NULL) {
			struct kl_dentry *root = kl_dentry_get(next->mounted);

			kl_dentry_put(next);
			next = root;
		}
		kl_dentry_put(at);
		at = next;
		path += n;
		if (!S_ISDIR(at->vnode->mode))
			rc = -ENOTDIR;
	}
	kl_dentry_put(at);
	return rc;
}

long kl_sys_mount(kl_uaddr source, kl_uaddr target, kl_uaddr type, uint64_t flags, kl_uaddr data)
{
	(void)source, (void)target, (void)type, (void)flags, (void)data;
	return -EPERM;
}

long kl_sys_umount2(kl_uaddr target, int flags)
{
	(void)target, (void)flags;
	return -EPERM;
}
