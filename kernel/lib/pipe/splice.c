/* SPDX-License-Identifier: Apache-2.0 */
/* splice(2), tee(2), vmsplice(2): copies, but none through the program's memory. */
#include <kl/heap.h>
#include <kl/process.h>

#include "pipe_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#define SPLICE_F_NONBLOCK 2u
#define SPLICE_F_KNOWN 15u

static bool is_pipe(const struct kl_file *file)
{
	return file->ops == &kl_pipe_file_ops;
}

static bool nonblocking(const struct kl_file *file, unsigned flags)
{
	return (file->flags & O_NONBLOCK) != 0 || (flags & SPLICE_F_NONBLOCK) != 0;
}

static kl_ssize from_pipe(struct kl_file *in, struct kl_file *out, int64_t *pos, size_t n, unsigned flags)
{
	struct kl_pipe *p = kl_pipe_of(in);
	kl_ssize done = 0, rc = kl_pipe_wait_data(p, nonblocking(in, flags));

	if (rc <= 0)
		return rc;
	/* Writing may wait, with the pipe's own bytes in hand. */
	p->taken = true;
	while (rc > 0 && (size_t)done < n && kl_pipe_used(p) > 0) {
		struct kl_iter it;
		const void *data;
		size_t piece = kl_pipe_peek(p, &data);

		kl_iter_kernel(&it, (void *)data, KL_MIN(piece, n - (size_t)done));
		if (is_pipe(out) && nonblocking(out, flags))
			rc = kl_pipe_room(kl_pipe_of(out)) == 0 ? -EAGAIN : kl_pipe_put(kl_pipe_of(out), &it, it.left);
		else
			rc = kl_file_write(out, &it, pos);
		if (rc > 0) {
			kl_pipe_consume(p, (size_t)rc);
			done += rc;
		}
	}
	p->taken = false;
	kl_waitq_wake(&p->readers_wait, EPOLLIN | EPOLLRDNORM);
	return done > 0 ? done : rc;
}

static kl_ssize to_pipe(struct kl_file *in, int64_t *pos, struct kl_file *out, size_t n, unsigned flags)
{
	struct kl_pipe *p = kl_pipe_of(out);
	kl_phys hold = KL_PHYS_NONE;
	struct kl_iter it;
	const void *data;
	char *buffer = NULL;
	kl_ssize rc = kl_pipe_wait_room(p, 1, nonblocking(out, flags));

	if (rc < 0)
		return rc;
	n = KL_MIN(n, kl_pipe_room(p));
	if (in->ops->span != NULL) {
		rc = in->ops->span(in, (uint64_t)*pos, n, &data, &hold);
	} else {
		buffer = kl_path_buffer_get();
		if (buffer == NULL)
			return -ENOMEM;
		data = buffer;
		kl_iter_kernel(&it, buffer, KL_MIN(n, (size_t)KL_PATH_MAX));
		rc = kl_file_read(in, &it, pos);
	}
	if (rc > 0) {
		kl_iter_kernel(&it, (void *)data, (size_t)rc);
		rc = kl_pipe_put(p, &it, (size_t)rc);
		if (rc > 0 && in->ops->span != NULL)
			*pos += rc;
	}
	if (hold != KL_PHYS_NONE)
		kl_page_put(hold);
	kl_path_buffer_put(buffer);
	return rc;
}

static kl_ssize splice(
	struct kl_file *in, kl_uaddr in_off, struct kl_file *out, kl_uaddr out_off, size_t n, unsigned flags)
{
	struct kl_file *file = is_pipe(in) ? out : in; /* the one that may have an offset */
	kl_uaddr off = is_pipe(in) ? out_off : in_off;
	int64_t pos = file->pos;
	kl_ssize rc;

	if (!kl_file_readable(in) || !kl_file_writable(out))
		return -EBADF;
	if ((is_pipe(in) && in_off != 0) || (is_pipe(out) && out_off != 0))
		return -ESPIPE;
	if ((!is_pipe(in) && !is_pipe(out)) || (is_pipe(in) && is_pipe(out) && in->priv == out->priv))
		return -EINVAL;
	if (off != 0 && file->ops->seek == NULL)
		return -ESPIPE;
	if (off != 0 && KL_GET_USER(pos, off) < 0)
		return -EFAULT;
	if ((out->flags & O_APPEND) != 0)
		return -EINVAL;
	rc = is_pipe(in) ? from_pipe(in, out, &pos, n, flags) : to_pipe(in, &pos, out, n, flags);
	if (rc > 0 && off == 0)
		file->pos = pos;
	if (rc > 0 && off != 0 && KL_PUT_USER(off, pos) < 0)
		return -EFAULT;
	return rc;
}

static kl_ssize tee(struct kl_file *in, struct kl_file *out, size_t n, unsigned flags)
{
	struct kl_pipe *from = kl_pipe_of(in), *to = kl_pipe_of(out);
	kl_ssize done = 0, rc;

	if (!is_pipe(in) || !is_pipe(out) || from == to)
		return -EINVAL;
	if (!kl_file_readable(in) || !kl_file_writable(out))
		return -EBADF;
	do {
		rc = kl_pipe_wait_data(from, nonblocking(in, flags));
		if (rc <= 0)
			return rc;
		rc = kl_pipe_wait_room(to, 1, nonblocking(out, flags));
		if (rc < 0)
			return rc;
	} while (kl_pipe_used(from) == 0); /* read by another thread while this one waited */
	n = KL_MIN(n, kl_pipe_used(from));
	for (rc = 1; rc > 0 && (size_t)done < n;) {
		uint64_t head = from->head;
		struct kl_iter it;
		const void *data;

		from->head += (uint64_t)done;
		kl_iter_kernel(&it, NULL, kl_pipe_peek(from, &data));
		from->head = head;
		it.kernel = (void *)data;
		it.left = KL_MIN(it.left, n - (size_t)done);
		rc = kl_pipe_put(to, &it, it.left);
		done += rc > 0 ? rc : 0;
	}
	return done > 0 ? done : rc;
}

static long with_both(int in_fd, kl_uaddr in_off, int out_fd, kl_uaddr out_off, size_t n, unsigned flags, bool copy)
{
	struct kl_file *in = kl_fd_get(in_fd), *out = kl_fd_get(out_fd);
	long rc = -EBADF;

	if ((flags & ~SPLICE_F_KNOWN) != 0)
		rc = -EINVAL;
	else if (in != NULL && out != NULL)
		rc = n == 0 ? 0 : copy ? tee(in, out, n, flags) : splice(in, in_off, out, out_off, n, flags);
	if (in != NULL)
		kl_file_put(in);
	if (out != NULL)
		kl_file_put(out);
	return rc;
}

long kl_sys_splice(int in_fd, kl_uaddr in_off, int out_fd, kl_uaddr out_off, size_t n, unsigned flags)
{
	return with_both(in_fd, in_off, out_fd, out_off, n, flags, false);
}

long kl_sys_tee(int in_fd, int out_fd, size_t n, unsigned flags)
{
	return with_both(in_fd, 0, out_fd, 0, n, flags, true);
}

long kl_sys_vmsplice(int fd, kl_uaddr iov, size_t count, unsigned flags)
{
	struct kl_file *file = kl_fd_get(fd);
	struct kl_iovec fast[KL_IOV_FAST], *v;
	struct kl_iter it;
	kl_ssize rc;

	if (file == NULL)
		return -EBADF;
	rc = (flags & ~SPLICE_F_KNOWN) != 0 ? -EINVAL : !is_pipe(file) ? -EBADF : 0;
	if (rc == 0)
		rc = kl_iov_from_user(&it, &v, fast, iov, count);
	if (rc < 0)
		goto out;
	if (!kl_file_writable(file))
		rc = kl_file_read(file, &it, NULL);
	else if (it.left > 0) {
		rc = kl_pipe_wait_room(kl_pipe_of(file), 1, nonblocking(file, flags));
		if (rc == 0)
			rc = kl_pipe_put(kl_pipe_of(file), &it, it.left);
	}
	if (v != fast)
		kl_free(v);
out:
	kl_file_put(file);
	return rc;
}
