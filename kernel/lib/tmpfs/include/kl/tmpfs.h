/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File systems in memory. One may lie over a read-only tree (the image's root file system): everything can then be changed, and
 * what was changed lives in memory, page by page; the rest is the image's own memory.
 */
#ifndef KL_TMPFS_H
#define KL_TMPFS_H

#include <kl/types.h>
#include <kl/vfs.h>

/* Content of a file or directory of the read-only tree, in the direct map: data_bytes at data, then up to size at tail. */
struct kl_lower_extent {
	const uint8_t *data; /* page-aligned; its last page may be mapped as a whole */
	const uint8_t *tail;
	uint64_t data_bytes, size;
};

struct kl_lower_node {
	uint32_t mode, uid, gid, nlink;
	uint64_t rdev;
	int64_t mtime_ns;
	struct kl_lower_extent extent;
};

struct kl_lower_entry {
	uint64_t id;
	const char *name;         /* constant memory, name_bytes long, no zero */
	uint8_t name_bytes, type; /* DT_* */
};

/* The read-only tree. id: of a file, its inode number. All return -errno on failure; a damaged tree gives -EIO, nothing worse. */
struct kl_lower {
	uint64_t root_id;
	int (*node)(const struct kl_lower *lower, uint64_t id, struct kl_lower_node *out);
	int (*lookup)(const struct kl_lower *lower, const struct kl_lower_extent *dir, const char *name, size_t n,
		struct kl_lower_entry *out);
	/* The entry at *at (at first 0), without "." and ".."; advances *at. 1, or 0 at the end. *at stays below 2^32. */
	int (*next)(const struct kl_lower *lower, const struct kl_lower_extent *dir, uint64_t *at,
		struct kl_lower_entry *out);
	uint64_t pages; /* size of the tree, for statfs(2) */
};

/* A new file system, not yet mounted; lower may be NULL. mode: of its root directory, without the type. 0 or -errno. */
int kl_tmpfs_create(const char *options, uint32_t mode, const struct kl_lower *lower, struct kl_super **out);

#endif
