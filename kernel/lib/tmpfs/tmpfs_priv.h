/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this module. */
#ifndef KL_TMPFS_PRIV_H
#define KL_TMPFS_PRIV_H

#include <kl/pmm.h>
#include <kl/tmpfs.h>

struct kl_tmpfs {
	struct kl_super super;
	const struct kl_lower *lower;
	struct kl_list shared; /* tmpfs_node.shared of the lower tree's files that have several names */
	size_t pages, pages_max;
	size_t nodes;
};

/* A sparse map from page index to page: height 0: root is the page 0; otherwise a tree of pages of 512 entries each. */
struct kl_pagemap {
	kl_phys root;
	uint32_t height;
};

kl_phys kl_pagemap_find(const struct kl_pagemap *map, uint64_t index);       /* KL_PHYS_NONE: none */
int kl_pagemap_insert(struct kl_pagemap *map, uint64_t index, kl_phys page); /* takes over the page, where none was */
/* Drops pages first to last (included); returns how many there were. */
size_t kl_pagemap_drop(struct kl_pagemap *map, uint64_t first, uint64_t last);

struct kl_tmpfs_node {
	struct kl_vnode vn; /* first */
	union {
		struct kl_pagemap pages; /* regular file */
		uint64_t next_cookie;    /* directory */
		const char *target;      /* symbolic link; vn.size long */
	};
	struct kl_lower_extent lower; /* size is cut when the file is */
	uint64_t lower_id;
	struct kl_list shared;
	bool has_lower, own_target;
	bool sealable;  /* made by memfd_create(2) */
	uint32_t seals; /* F_SEAL_* */
};

static inline struct kl_tmpfs *kl_tmpfs_of(const struct kl_vnode *vn)
{
	return KL_CONTAINER(vn->super, struct kl_tmpfs, super);
}

static inline struct kl_tmpfs_node *kl_tmpfs_node(struct kl_vnode *vn)
{
	return KL_CONTAINER(vn, struct kl_tmpfs_node, vn);
}

extern const struct kl_vnode_ops kl_tmpfs_dir_ops, kl_tmpfs_file_ops, kl_tmpfs_link_ops, kl_tmpfs_other_ops;
extern const struct kl_file_ops kl_tmpfs_dir_fops, kl_tmpfs_file_fops;

/* NULL: out of memory */
struct kl_tmpfs_node *kl_tmpfs_node_create(struct kl_tmpfs *fs, uint32_t mode, uint64_t ino);
/* The node of a file of the lower tree, with a reference. */
int kl_tmpfs_node_lower(struct kl_tmpfs *fs, uint64_t id, struct kl_tmpfs_node **out);
void kl_tmpfs_node_free(struct kl_vnode *vn);
int kl_tmpfs_set_size(struct kl_vnode *vn, uint64_t size);
int kl_tmpfs_allocate(struct kl_vnode *vn, int mode, uint64_t offset, uint64_t bytes);
long kl_tmpfs_seals(struct kl_vnode *vn, int64_t add);

long kl_sys_memfd_create(kl_uaddr name, unsigned flags);

#endif
