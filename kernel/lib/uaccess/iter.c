/* SPDX-License-Identifier: Apache-2.0 */
/* Iterators over the bytes of a transfer. */
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/errno.h>

#include "uaccess_priv.h"

void kl_iter_user(struct kl_iter *it, kl_uaddr base, size_t bytes)
{
	*it = (struct kl_iter){.iov = &it->one, .count = 1, .left = bytes, .one = {base, bytes}};
}

void kl_iter_kernel(struct kl_iter *it, void *base, size_t bytes)
{
	*it = (struct kl_iter){.kernel = base, .left = bytes};
}

int kl_iter_iov(struct kl_iter *it, const struct kl_iovec *iov, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		if (iov[i].bytes > INT64_MAX - sum)
			return -EINVAL;
		sum += iov[i].bytes;
	}
	*it = (struct kl_iter){.iov = iov, .count = count, .left = sum};
	return 0;
}

enum direction { INTO, OUT_OF, ZERO };

/* How many bytes were not done. */
static size_t one_range(kl_uaddr addr, void *buf, size_t n, enum direction direction)
{
	if (!uaccess_range_ok(addr, n))
		return n;
	if (direction == ZERO)
		return kl_uaccess_zero((void *)addr, n);
	return direction == INTO ? kl_uaccess_copy((void *)addr, buf, n) : kl_uaccess_copy(buf, (void *)addr, n);
}

static void kernel_range(void *kernel, void *buf, size_t n, enum direction direction)
{
	if (direction == ZERO)
		memset(kernel, 0, n);
	else if (direction == INTO)
		memcpy(kernel, buf, n);
	else
		memcpy(buf, kernel, n);
}

static int transfer(struct kl_iter *it, void *buf, size_t n, enum direction direction)
{
	char *at = buf;

	if (it->iov == NULL) {
		kernel_range((char *)it->kernel + it->offset, buf, n, direction);
		it->offset += n;
		it->left -= n;
		return 0;
	}
	while (n > 0) {
		size_t piece = KL_MIN(it->iov->bytes - it->offset, n);
		size_t missing = one_range(it->iov->base + it->offset, at, piece, direction);

		it->offset += piece - missing;
		it->left -= piece - missing;
		if (missing != 0)
			return -EFAULT;
		n -= piece;
		if (at != NULL)
			at += piece;
		if (it->offset == it->iov->bytes && it->count > 1) {
			it->iov++;
			it->count--;
			it->offset = 0;
		}
	}
	return 0;
}

int kl_iter_write(struct kl_iter *it, const void *src, size_t n)
{
	return transfer(it, (void *)src, n, INTO);
}

int kl_iter_read(struct kl_iter *it, void *dst, size_t n)
{
	return transfer(it, dst, n, OUT_OF);
}

int kl_iter_zero(struct kl_iter *it, size_t n)
{
	return transfer(it, NULL, n, ZERO);
}
