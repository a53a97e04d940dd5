/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes (xattr(7)): there are none and none can be set, as on a tmpfs built without them. */
#include <kl/process.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>

#define XATTR_NAME_MAX 255

/* path 0: the descriptor fd. name 0: none is needed. */
static long check(int fd, kl_uaddr path, unsigned walk, kl_uaddr name, long result)
{
	char buf[XATTR_NAME_MAX + 1];
	struct kl_walk w;
	kl_ssize n;
	int rc = 0;

	if (path != 0) {
		rc = kl_walk_user(&w, AT_FDCWD, path, walk);
		kl_walk_end(&w);
	} else {
		struct kl_file *file = kl_fd_get_io(fd);

		if (file == NULL)
			rc = -EBADF;
		else
			kl_file_put(file);
	}
	if (rc == 0 && name != 0) {
		n = kl_string_from_user(buf, name, sizeof(buf));
		if (n <= 0)
			rc = n == -EFAULT ? -EFAULT : -ERANGE;
	}
	return rc < 0 ? rc : result;
}

long kl_sys_getxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size)
{
	(void)value, (void)size;
	return check(-1, path, 0, name, -EOPNOTSUPP);
}

long kl_sys_lgetxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size)
{
	(void)value, (void)size;
	return check(-1, path, KL_WALK_NOFOLLOW, name, -EOPNOTSUPP);
}

long kl_sys_fgetxattr(int fd, kl_uaddr name, kl_uaddr value, size_t size)
{
	(void)value, (void)size;
	return check(fd, 0, 0, name, -EOPNOTSUPP);
}

long kl_sys_setxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size, int flags)
{
	(void)value, (void)size, (void)flags;
	return check(-1, path, 0, name, -EOPNOTSUPP);
}

long kl_sys_lsetxattr(kl_uaddr path, kl_uaddr name, kl_uaddr value, size_t size, int flags)
{
	(void)value, (void)size, (void)flags;
	return check(-1, path, KL_WALK_NOFOLLOW, name, -EOPNOTSUPP);
}

long kl_sys_fsetxattr(int fd, kl_uaddr name, kl_uaddr value, size_t size, int flags)
{
	(void)value, (void)size, (void)flags;
	return check(fd, 0, 0, name, -EOPNOTSUPP);
}

long kl_sys_listxattr(kl_uaddr path, kl_uaddr list, size_t size)
{
	(void)list, (void)size;
	return check(-1, path, 0, 0, 0);
}

long kl_sys_llistxattr(kl_uaddr path, kl_uaddr list, size_t size)
{
	(void)list, (void)size;
	return check(-1, path, KL_WALK_NOFOLLOW, 0, 0);
}

long kl_sys_flistxattr(int fd, kl_uaddr list, size_t size)
{
	(void)list, (void)size;
	return check(fd, 0, 0, 0, 0);
}

long kl_sys_removexattr(kl_uaddr path, kl_uaddr name)
{
	return check(-1, path, 0, name, -EOPNOTSUPP);
}

long kl_sys_lremovexattr(kl_uaddr path, kl_uaddr name)
{
	return check(-1, path, KL_WALK_NOFOLLOW, name, -EOPNOTSUPP);
}

long kl_sys_fremovexattr(int fd, kl_uaddr name)
{
	return check(fd, 0, 0, name, -EOPNOTSUPP);
}
