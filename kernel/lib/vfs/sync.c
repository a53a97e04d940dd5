/* SPDX-License-Identifier: Apache-2.0 */
/* fsync(2), fadvise64(2) and the like: all files are in memory, so that each write is at once as durable as it will be. */
#include <kl/process.h>
#include <kl/stat.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fadvise.h>
#include <linux/fcntl.h>

static long check_fd(int fd)
{
	struct kl_file *file = kl_fd_get_io(fd);

	if (file == NULL)
		return -EBADF;
	kl_file_put(file);
	return 0;
}

/* Of a pipe, a socket and so on: -EINVAL. */
static long check_syncable(int fd)
{
	struct kl_file *file = kl_fd_get_io(fd);
	long rc = 0;

	if (file == NULL)
		return -EBADF;
	if (file->vnode == NULL || S_ISFIFO(file->vnode->mode) || S_ISCHR(file->vnode->mode))
		rc = -EINVAL;
	kl_file_put(file);
	return rc;
}

long kl_sys_fsync(int fd)
{
	return check_syncable(fd);
}

long kl_sys_fdatasync(int fd)
{
	return check_syncable(fd);
}

long kl_sys_sync(void)
{
	return 0;
}

long kl_sys_syncfs(int fd)
{
	return check_fd(fd);
}

long kl_sys_sync_file_range(int fd, int64_t offset, int64_t bytes, unsigned flags)
{
	long rc = check_fd(fd);

	if (rc == 0 && (offset < 0 || bytes < 0 || offset > INT64_MAX - bytes || (flags & ~7u) != 0))
		rc = -EINVAL;
	return rc;
}

long kl_sys_fadvise64(int fd, int64_t offset, int64_t bytes, int advice)
{
	struct kl_file *file = kl_fd_get_io(fd);
	long rc = 0;

	(void)offset;
	if (file == NULL)
		return -EBADF;
	if (file->vnode != NULL && S_ISFIFO(file->vnode->mode))
		rc = -ESPIPE;
	else if (bytes < 0 || advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE)
		rc = -EINVAL;
	kl_file_put(file);
	return rc;
}

long kl_sys_readahead(int fd, int64_t offset, size_t n)
{
	struct kl_file *file = kl_fd_get_io(fd);
	long rc = 0;

	(void)offset, (void)n;
	if (file == NULL)
		return -EBADF;
	if (!kl_file_readable(file))
		rc = -EBADF;
	else if (file->vnode == NULL || !S_ISREG(file->vnode->mode))
		rc = -EINVAL;
	kl_file_put(file);
	return rc;
}
