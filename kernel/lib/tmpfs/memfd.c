/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create(2): files without a name, and seals on them (fcntl(2)). */
#include <kl/heap.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "tmpfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/memfd.h>

#define NAME_BYTES_MAX 249u
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

long kl_tmpfs_seals(struct kl_vnode *vn, int64_t add)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(vn);

	if (!node->sealable)
		return -EINVAL;
	if (add < 0)
		return node->seals;
	if ((add & ~(int64_t)SEALS) != 0)
		return -EINVAL;
	if ((node->seals & F_SEAL_SEAL) != 0)
		return -EPERM;
	node->seals |= (uint32_t)add;
	return 0;
}

/* The file system that all of them are on; it is mounted nowhere. */
static struct kl_tmpfs *hidden(void)
{
	static struct kl_super *super;

	if (super == NULL && kl_tmpfs_create("rw", 0700, NULL, &super) < 0)
		return NULL;
	return KL_CONTAINER(super, struct kl_tmpfs, super);
}

static int make_file(const char *name, size_t n, unsigned flags, struct kl_file **out)
{
	struct kl_tmpfs *fs = hidden();
	struct kl_tmpfs_node *node = fs != NULL ? kl_tmpfs_node_create(fs, S_IFREG | 0777, kl_vnode_new_ino()) : NULL;
	struct kl_dentry *d;
	int rc;

	if (node == NULL)
		return -ENOMEM;
	node->vn.nlink = 0;
	node->sealable = true;
	node->seals = (flags & MFD_ALLOW_SEALING) != 0 ? 0 : F_SEAL_SEAL;
	d = kl_dentry_create(NULL, name, n, &node->vn, false);
	if (d == NULL)
		return -ENOMEM;
	rc = kl_vfs_open_dentry(d, O_RDWR | 0100000 /* O_LARGEFILE, as Linux shows it */, out);
	kl_dentry_put(d);
	return rc;
}

long kl_sys_memfd_create(kl_uaddr name_addr, unsigned flags)
{
	char name[NAME_BYTES_MAX + 32] = "/memfd:";
	size_t prefix = strlen(name);
	struct kl_file *file;
	kl_ssize n;
	int rc;

	if ((flags & ~(unsigned)(MFD_CLOEXEC | MFD_ALLOW_SEALING)) != 0)
		return -EINVAL; /* no huge pages */
	n = kl_string_from_user(name + prefix, name_addr, NAME_BYTES_MAX + 1);
	if (n < 0)
		return n == -ENAMETOOLONG ? -EINVAL : n;
	n += (kl_ssize)prefix;
	n = KL_MIN(n, (kl_ssize)(KL_NAME_MAX - strlen(" (deleted)")));
	memcpy(name + n, " (deleted)", strlen(" (deleted)"));
	rc = make_file(name, (size_t)n + strlen(" (deleted)"), flags, &file);
	if (rc < 0)
		return rc;
	rc = kl_fd_install(file, (flags & MFD_CLOEXEC) != 0);
	if (rc < 0)
		kl_file_put(file);
	return rc;
}
