/* SPDX-License-Identifier: Apache-2.0 */
/* read(2), write(2), readv(2), pread(2), lseek(2) and their relatives. */
#include <kl/heap.h>
#include <kl/process.h>
#include <kl/stat.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/uio.h>

_Static_assert(sizeof(struct kl_iovec) == sizeof(struct iovec), "copied as it is");

typedef kl_ssize (*transfer_fn)(struct kl_file *file, struct kl_iter *it, int64_t *pos);

static long transfer(int fd, kl_uaddr buf, size_t n, transfer_fn fn)
{
	struct kl_file *file = kl_fd_get(fd);
	struct kl_iter it;
	kl_ssize rc;

	if (KL_UNLIKELY(file == NULL))
		return -EBADF;
	kl_iter_user(&it, buf, KL_MIN(n, KL_RW_MAX));
	rc = fn(file, &it, &file->pos);
	kl_file_put(file);
	return rc;
}

long kl_sys_read(int fd, kl_uaddr buf, size_t n)
{
	return transfer(fd, buf, n, kl_file_read);
}

long kl_sys_write(int fd, kl_uaddr buf, size_t n)
{
	return transfer(fd, buf, n, kl_file_write);
}

int kl_iov_from_user(struct kl_iter *it, struct kl_iovec **out, struct kl_iovec *fast, kl_uaddr iov, size_t count)
{
	struct kl_iovec *v = fast;
	uint64_t sum = 0;
	int rc;

	if (count > UIO_MAXIOV)
		return -EINVAL;
	if (count > KL_IOV_FAST)
		v = kl_malloc(count * sizeof(*v));
	if (v == NULL)
		return -ENOMEM;
	rc = kl_copy_from_user(v, iov, count * sizeof(*v));
	for (size_t i = 0; rc == 0 && i < count; i++) {
		if (v[i].bytes > INT64_MAX || v[i].bytes + sum > INT64_MAX)
			rc = -EINVAL;
		else if (sum + v[i].bytes > KL_RW_MAX)
			v[i].bytes = KL_RW_MAX - sum;
		sum += v[i].bytes;
	}
	if (rc == 0)
		rc = kl_iter_iov(it, v, count);
	if (rc < 0 && v != fast)
		kl_free(v);
	*out = v;
	return rc;
}

/* pos NULL: the file's own. */
static long transfer_v(int fd, kl_uaddr iov, size_t count, int64_t *pos, transfer_fn fn)
{
	struct kl_file *file = kl_fd_get_io(fd);
	struct kl_iovec fast[KL_IOV_FAST], *v;
	struct kl_iter it;
	kl_ssize rc;

	if (file == NULL)
		return -EBADF;
	if (pos != NULL && file->ops->seek == NULL) {
		rc = -ESPIPE;
		goto out;
	}
	rc = kl_iov_from_user(&it, &v, fast, iov, count);
	if (rc < 0)
		goto out;
	rc = fn(file, &it, pos != NULL ? pos : &file->pos);
	if (v != fast)
		kl_free(v);
out:
	kl_file_put(file);
	return rc;
}

long kl_sys_readv(int fd, kl_uaddr iov, size_t count)
{
	return transfer_v(fd, iov, count, NULL, kl_file_read);
}

long kl_sys_writev(int fd, kl_uaddr iov, size_t count)
{
	return transfer_v(fd, iov, count, NULL, kl_file_write);
}

static long transfer_at(int fd, kl_uaddr buf, size_t n, int64_t pos, transfer_fn fn)
{
	struct kl_file *file;
	struct kl_iter it;
	kl_ssize rc;

	if (pos < 0)
		return -EINVAL;
	file = kl_fd_get_io(fd);
	if (file == NULL)
		return -EBADF;
	kl_iter_user(&it, buf, KL_MIN(n, KL_RW_MAX));
	rc = file->ops->seek != NULL ? fn(file, &it, &pos) : -ESPIPE;
	kl_file_put(file);
	return rc;
}

long kl_sys_pread64(int fd, kl_uaddr buf, size_t n, int64_t pos)
{
	return transfer_at(fd, buf, n, pos, kl_file_read);
}

long kl_sys_pwrite64(int fd, kl_uaddr buf, size_t n, int64_t pos)
{
	return transfer_at(fd, buf, n, pos, kl_file_write);
}

long kl_sys_preadv(int fd, kl_uaddr iov, size_t count, int64_t pos)
{
	return pos < 0 ? -EINVAL : transfer_v(fd, iov, count, &pos, kl_file_read);
}

long kl_sys_pwritev(int fd, kl_uaddr iov, size_t count, int64_t pos)
{
	return pos < 0 ? -EINVAL : transfer_v(fd, iov, count, &pos, kl_file_write);
}

/* Nothing is ever written back, so RWF_DSYNC and RWF_SYNC hold by themselves. */
#define RWF_KNOWN (RWF_HIPRI | RWF_DSYNC | RWF_SYNC)

long kl_sys_preadv2(int fd, kl_uaddr iov, size_t count, int64_t pos, long pos_high, int flags)
{
	(void)pos_high; /* pos holds all 64 bits */
	if ((flags & ~RWF_KNOWN) != 0)
		return -EOPNOTSUPP;
	if (pos < -1)
		return -EINVAL;
	return transfer_v(fd, iov, count, pos == -1 ? NULL : &pos, kl_file_read);
}

static kl_ssize append(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	uint32_t flags = file->flags;
	kl_ssize rc;

	file->flags |= O_APPEND;
	rc = kl_file_write(file, it, pos);
	file->flags = flags;
	return rc;
}

long kl_sys_pwritev2(int fd, kl_uaddr iov, size_t count, int64_t pos, long pos_high, int flags)
{
	(void)pos_high;
	if ((flags & ~(RWF_KNOWN | RWF_APPEND)) != 0)
		return -EOPNOTSUPP;
	if (pos < -1)
		return -EINVAL;
	return transfer_v(fd, iov, count, pos == -1 ? NULL : &pos, (flags & RWF_APPEND) != 0 ? append : kl_file_write);
}

long kl_sys_lseek(int fd, int64_t offset, int whence)
{
	struct kl_file *file = kl_fd_get_io(fd);
	int64_t rc;

	if (file == NULL)
		return -EBADF;
	rc = file->ops->seek != NULL ? file->ops->seek(file, offset, whence) : -ESPIPE;
	kl_file_put(file);
	return rc;
}

long kl_sys_ioctl(int fd, unsigned cmd, uint64_t arg)
{
	struct kl_file *file = kl_fd_get_io(fd);
	int on = 0;
	long rc;

	if (file == NULL)
		return -EBADF;
	switch (cmd) {
	case 0x5450: /* FIONCLEX */
	case 0x5451: /* FIOCLEX */
		kl_fd_set_cloexec(fd, cmd == 0x5451);
		rc = 0;
		break;
	case 0x5421: /* FIONBIO */
	case 0x5452: /* FIOASYNC */
		rc = KL_GET_USER(on, arg);
		if (rc == 0 && cmd == 0x5421)
			file->flags = (file->flags & ~(uint32_t)O_NONBLOCK) | (on != 0 ? O_NONBLOCK : 0);
		else if (rc == 0 && on != 0)
			rc = -ENOTTY; /* no SIGIO */
		break;
	case 0x541b: /* FIONREAD */
		if (file->ops->ioctl == NULL && file->vnode != NULL && S_ISREG(file->vnode->mode)) {
			rc = KL_PUT_USER(arg, (int)((int64_t)file->vnode->size - file->pos));
			break;
		}
		/* fall through */
	default: rc = file->ops->ioctl != NULL ? file->ops->ioctl(file, cmd, arg) : -ENOTTY;
	}
	kl_file_put(file);
	return rc;
}
