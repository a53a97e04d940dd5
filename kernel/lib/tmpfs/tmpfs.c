/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/heap.h>
#include <kl/stat.h>
#include <kl/string.h>

#include "tmpfs_priv.h"

#include <asm/errno.h>
#include <asm/statfs.h>
#include <linux/magic.h>

struct kl_tmpfs_node *kl_tmpfs_node_create(struct kl_tmpfs *fs, uint32_t mode, uint64_t ino)
{
	struct kl_tmpfs_node *node = kl_zalloc(sizeof(*node));
	const struct kl_vnode_ops *ops = &kl_tmpfs_other_ops;

	if (node == NULL)
		return NULL;
	if (S_ISDIR(mode))
		ops = &kl_tmpfs_dir_ops;
	else if (S_ISREG(mode))
		ops = &kl_tmpfs_file_ops;
	else if (S_ISLNK(mode))
		ops = &kl_tmpfs_link_ops;
	kl_vnode_init(&node->vn, &fs->super, ops, mode, ino);
	if (S_ISDIR(mode))
		node->vn.nlink = 2;
	fs->nodes++;
	return node;
}

/* Files with several names in the lower tree are one node; they are few. */
static struct kl_tmpfs_node *find_shared(struct kl_tmpfs *fs, uint64_t id)
{
	KL_LIST_FOR(link, &fs->shared)
	{
		struct kl_tmpfs_node *node = KL_LIST_ENTRY(link, struct kl_tmpfs_node, shared);

		if (node->lower_id == id)
			return node;
	}
	return NULL;
}

static int set_target(struct kl_tmpfs_node *node)
{
	const struct kl_lower_extent *lower = &node->lower;
	char *copy;

	if (lower->size >= KL_PATH_MAX)
		return -EIO;
	if (lower->data_bytes == 0 || lower->data_bytes == lower->size) { /* it lies in one piece */
		node->target = (const char *)(lower->data_bytes == 0 ? lower->tail : lower->data);
		return 0;
	}
	copy = kl_malloc(lower->size);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, lower->data, lower->data_bytes);
	memcpy(copy + lower->data_bytes, lower->tail, lower->size - lower->data_bytes);
	node->target = copy;
	node->own_target = true;
	return 0;
}

int kl_tmpfs_node_lower(struct kl_tmpfs *fs, uint64_t id, struct kl_tmpfs_node **out)
{
	struct kl_lower_node info;
	struct kl_tmpfs_node *node = find_shared(fs, id);
	int rc;

	if (node != NULL) {
		kl_vnode_get(&node->vn);
		*out = node;
		return 0;
	}
	rc = fs->lower->node(fs->lower, id, &info);
	if (rc < 0)
		return rc;
	node = kl_tmpfs_node_create(fs, info.mode, id);
	if (node == NULL)
		return -ENOMEM;
	node->lower = info.extent;
	node->lower_id = id;
	node->has_lower = true;
	node->vn.uid = info.uid;
	node->vn.gid = info.gid;
	node->vn.nlink = info.nlink;
	node->vn.rdev = info.rdev;
	node->vn.size = info.extent.size;
	node->vn.blocks = KL_ALIGN_UP(info.extent.size, 512) / 512;
	node->vn.atime_ns = node->vn.mtime_ns = node->vn.ctime_ns = node->vn.btime_ns = info.mtime_ns;
	if (S_ISLNK(info.mode)) {
		rc = set_target(node);
		if (rc < 0) {
			kl_vnode_put(&node->vn);
			return rc;
		}
	}
	if (info.nlink > 1 && !S_ISDIR(info.mode))
		kl_list_push_back(&fs->shared, &node->shared);
	*out = node;
	return 0;
}

void kl_tmpfs_node_free(struct kl_vnode *vn)
{
	struct kl_tmpfs_node *node = kl_tmpfs_node(vn);
	struct kl_tmpfs *fs = kl_tmpfs_of(vn);

	if (S_ISREG(vn->mode))
		fs->pages -= kl_pagemap_drop(&node->pages, 0, UINT64_MAX);
	else if (node->own_target)
		kl_free((char *)node->target);
	kl_list_remove(&node->shared);
	fs->nodes--;
	kl_free(node);
}

static int link_target(struct kl_vnode *vn, const char **text, size_t *n)
{
	*text = kl_tmpfs_node(vn)->target;
	*n = vn->size;
	return 0;
}

static int get_statfs(struct kl_super *super, struct statfs *out)
{
	struct kl_tmpfs *fs = KL_CONTAINER(super, struct kl_tmpfs, super);
	size_t below = fs->lower != NULL ? fs->lower->pages : 0;

	out->f_type = TMPFS_MAGIC;
	out->f_blocks = (__kernel_long_t)(fs->pages_max + below);
	out->f_bfree = out->f_bavail = (__kernel_long_t)(fs->pages_max - KL_MIN(fs->pages, fs->pages_max));
	out->f_files = (__kernel_long_t)kl_pages_total();
	out->f_ffree = out->f_files - (__kernel_long_t)fs->nodes;
	return 0;
}

static const struct kl_super_ops super_ops = {.statfs = get_statfs};

int kl_tmpfs_create(const char *options, uint32_t mode, const struct kl_lower *lower, struct kl_super **out)
{
	struct kl_tmpfs *fs = kl_zalloc(sizeof(*fs));
	struct kl_tmpfs_node *node;
	int rc = 0;

	if (fs == NULL)
		return -ENOMEM;
	fs->super.type = "tmpfs";
	fs->super.options = options;
	fs->super.ops = &super_ops;
	fs->lower = lower;
	fs->pages_max = kl_pages_total() / 2;
	kl_list_init(&fs->shared);
	if (lower != NULL) {
		rc = kl_tmpfs_node_lower(fs, lower->root_id, &node);
	} else {
		node = kl_tmpfs_node_create(fs, S_IFDIR | mode, kl_vnode_new_ino());
		rc = node != NULL ? 0 : -ENOMEM;
	}
	if (rc == 0 && !S_ISDIR(node->vn.mode)) {
		kl_vnode_put(&node->vn);
		rc = -EIO;
	}
	if (rc == 0) {
		fs->super.root = kl_dentry_create(NULL, "", 0, &node->vn, true);
		rc = fs->super.root != NULL ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		kl_free(fs);
		return rc;
	}
	*out = &fs->super;
	return 0;
}

const struct kl_vnode_ops kl_tmpfs_file_ops = {
	.set_size = kl_tmpfs_set_size,
	.allocate = kl_tmpfs_allocate,
	.seals = kl_tmpfs_seals,
	.free = kl_tmpfs_node_free,
	.file_ops = &kl_tmpfs_file_fops,
};

const struct kl_vnode_ops kl_tmpfs_link_ops = {.target = link_target, .free = kl_tmpfs_node_free};

static const struct kl_file_ops no_fops;
const struct kl_vnode_ops kl_tmpfs_other_ops = {.free = kl_tmpfs_node_free, .file_ops = &no_fops};
