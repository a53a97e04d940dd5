/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader for EROFS images without compression, as mkfs.erofs makes them, straight from memory (Linux, fs/erofs/erofs_fs.h and
 * Documentation/filesystems/erofs.rst describe the format). The image may be damaged or hostile: nothing outside it is read, and
 * all loops are bounded by its size.
 */
#ifndef KL_EROFS_H
#define KL_EROFS_H

#include <kl/tmpfs.h>
#include <kl/types.h>

struct kl_erofs {
	struct kl_lower lower;
	const uint8_t *base; /* page-aligned; kept, never written */
	uint64_t bytes;
	uint64_t meta; /* offset of inode 0 */
	int64_t build_ns;
};

/* Checks the super block. 0; -EINVAL: no EROFS image, or one with features that this reader does not have. */
int kl_erofs_open(struct kl_erofs *fs, const void *base, uint64_t bytes);
/* At init: mounts the image's root file system, or an empty one. */
int kl_erofs_init(void);

#endif
