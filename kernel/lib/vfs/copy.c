/* SPDX-License-Identifier: Apache-2.0 */
/* sendfile(2), copy_file_range(2): from one file to another without the program's memory. */
#include <kl/heap.h>
#include <kl/pmm.h>
#include <kl/process.h>
#include <kl/stat.h>

#include "vfs_priv.h"

#include <asm/errno.h>
#include <linux/fcntl.h>
#include <linux/inotify.h>

/* A piece of `in` at pos to `out`: straight from the file's memory when it can say where that is. 0: end of `in`. */
static kl_ssize copy_piece(
	struct kl_file *in, int64_t pos, struct kl_file *out, int64_t *out_pos, size_t n, bool first, void **buffer)
{
	const void *data;
	kl_phys hold = KL_PHYS_NONE;
	struct kl_iter it;
	kl_ssize got, rc;

	if (in->ops->span != NULL) {
		got = in->ops->span(in, (uint64_t)pos, n, &data, &hold);
		if (first && got > 0)
			kl_vfs_notify(in->dentry, IN_ACCESS);
	} else {
		if (*buffer == NULL)
			*buffer = kl_path_buffer_get();
		if (*buffer == NULL)
			return -ENOMEM;
		data = *buffer;
		kl_iter_kernel(&it, *buffer, KL_MIN(n, (size_t)KL_PATH_MAX));
		got = kl_file_read(in, &it, &pos);
	}
	if (got <= 0)
		return got;
	rc = -EOPNOTSUPP;
	if (in->ops->span != NULL && out->ops->write_span != NULL) {
		bool more = (size_t)got < n && (in->vnode == NULL || (uint64_t)(pos + got) < in->vnode->size);

		rc = out->ops->write_span(out, data, (size_t)got, hold, more);
	}
	if (rc == -EOPNOTSUPP) {
		kl_iter_kernel(&it, (void *)data, (size_t)got);
		rc = kl_file_write(out, &it, out_pos);
	}
	if (hold != KL_PHYS_NONE)
		kl_page_put(hold);
	return rc;
}

static kl_ssize copy(struct kl_file *in, int64_t *pos, struct kl_file *out, int64_t *out_pos, size_t n)
{
	void *buffer = NULL;
	kl_ssize done = 0, rc = 0;

	while ((size_t)done < n) {
		rc = copy_piece(in, *pos, out, out_pos, n - (size_t)done, done == 0, &buffer);
		if (rc <= 0)
			break;
		done += rc;
		*pos += rc;
	}
	kl_path_buffer_put(buffer);
	return done > 0 ? done : rc;
}

long kl_sys_sendfile(int out_fd, int in_fd, kl_uaddr offset, size_t n)
{
	struct kl_file *in = kl_fd_get(in_fd), *out = kl_fd_get(out_fd);
	int64_t pos = 0;
	kl_ssize rc = -EBADF;

	if (in == NULL || out == NULL || !kl_file_readable(in) || !kl_file_writable(out))
		goto out;
	if (offset != 0 && KL_GET_USER(pos, offset) < 0) {
		rc = -EFAULT;
		goto out;
	}
	if (in->ops->seek == NULL || in->ops->read == NULL || (out->flags & O_APPEND) != 0 || pos < 0) {
		rc = offset != 0 && in->ops->seek == NULL ? -ESPIPE : -EINVAL;
		goto out;
	}
	rc = copy(in, offset != 0 ? &pos : &in->pos, out, &out->pos, KL_MIN(n, KL_RW_MAX));
	if (offset != 0 && KL_PUT_USER(offset, pos) < 0)
		rc = -EFAULT;
out:
	if (in != NULL)
		kl_file_put(in);
	if (out != NULL)
		kl_file_put(out);
	return rc;
}

static int check_range(struct kl_file *in, int64_t in_pos, struct kl_file *out, int64_t out_pos, size_t *n)
{
	if (S_ISDIR(in->vnode->mode) || S_ISDIR(out->vnode->mode))
		return -EISDIR;
	if (!S_ISREG(in->vnode->mode) || !S_ISREG(out->vnode->mode))
		return -EINVAL;
	if (!kl_file_readable(in) || !kl_file_writable(out) || (out->flags & O_APPEND) != 0)
		return -EBADF;
	if (in_pos < 0 || out_pos < 0)
		return -EINVAL;
	if (*n > (uint64_t)(INT64_MAX - in_pos) || *n > (uint64_t)(INT64_MAX - out_pos))
		return -EOVERFLOW;
	if ((uint64_t)in_pos >= in->vnode->size)
		*n = 0;
	else
		*n = KL_MIN(*n, in->vnode->size - (uint64_t)in_pos);
	if (in->vnode == out->vnode && out_pos < in_pos + (int64_t)*n && in_pos < out_pos + (int64_t)*n)
		return -EINVAL;
	return 0;
}

long kl_sys_copy_file_range(int in_fd, kl_uaddr in_off, int out_fd, kl_uaddr out_off, size_t n, unsigned flags)
{
	struct kl_file *in = kl_fd_get_io(in_fd), *out = kl_fd_get_io(out_fd);
	int64_t in_pos = in != NULL ? in->pos : 0, out_pos = out != NULL ? out->pos : 0;
	kl_ssize rc = -EBADF;

	if (in == NULL || out == NULL)
		goto out;
	rc = flags != 0 || in->vnode == NULL || out->vnode == NULL ? -EINVAL : 0;
	if (rc == 0 &&
		((in_off != 0 && KL_GET_USER(in_pos, in_off) < 0) ||
			(out_off != 0 && KL_GET_USER(out_pos, out_off) < 0)))
		rc = -EFAULT;
	n = KL_MIN(n, KL_RW_MAX);
	if (rc == 0)
		rc = check_range(in, in_pos, out, out_pos, &n);
	if (rc == 0)
		rc = copy(in, &in_pos, out, &out_pos, n);
	if (rc <= 0)
		goto out;
	if (in_off == 0)
		in->pos = in_pos;
	if (out_off == 0)
		out->pos = out_pos;
	if ((in_off != 0 && KL_PUT_USER(in_off, in_pos) < 0) || (out_off != 0 && KL_PUT_USER(out_off, out_pos) < 0))
		rc = -EFAULT;
out:
	if (in != NULL)
		kl_file_put(in);
	if (out != NULL)
		kl_file_put(out);
	return rc;
}
