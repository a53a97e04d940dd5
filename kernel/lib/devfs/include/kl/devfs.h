/* SPDX-License-Identifier: Apache-2.0 */
/* /dev: device nodes, and what opens them. */
#ifndef KL_DEVFS_H
#define KL_DEVFS_H

#include <kl/file.h>
#include <kl/types.h>

#define KL_DEV(major, minor) ((uint64_t)(major) << 8 | (uint64_t)(minor)) /* numbers below 256, as in st_rdev */

/*
 * At init, stage "fs", after this module: a character device /dev/<name>; name NULL: no node, but one made by mknod(2) works.
 * Opening a node of that number gives a file with these operations and priv. 0 or -errno.
 */
int kl_devfs_add(const char *name, unsigned mode, uint64_t rdev, const struct kl_file_ops *ops, void *priv);
/* A symbolic link /dev/<name>. */
int kl_devfs_link(const char *name, const char *target);
int kl_devfs_init(void);

#endif
