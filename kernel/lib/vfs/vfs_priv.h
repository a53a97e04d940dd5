/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this module. */
#ifndef KL_VFS_PRIV_H
#define KL_VFS_PRIV_H

#include <kl/vfs.h>
#include <kl/vfs_sys.h>

#define KL_RW_MAX 0x7ffff000ul /* most bytes that one read(2) or write(2) transfers */

/* As kl_fd_get(), but NULL for files opened with O_PATH too. */
struct kl_file *kl_fd_get_io(int fd) KL_MUST_CHECK;
/* Lowest free descriptor from `from` on; otherwise as kl_fd_install(). */
int kl_fd_install_from(struct kl_file *file, int from, bool cloexec);
/* fd is open */
bool kl_fd_cloexec(int fd);
void kl_fd_set_cloexec(int fd, bool on);
/* Drops the flock(2) lock of a file that goes away. */
void kl_flock_release(struct kl_file *file);

/* An event of the name to which a walk with KL_WALK_PARENT led; nothing need be there any more. */
void kl_vfs_notify_name(const struct kl_walk *w, uint32_t mask, uint32_t cookie);
/* chmod(2) etc.: -EPERM unless the caller owns the node. */
int kl_vnode_owned(const struct kl_vnode *node);
/* truncate(2) of an open node: checks, then the file system. */
int kl_vnode_truncate(struct kl_vnode *node, int64_t size);

#endif
