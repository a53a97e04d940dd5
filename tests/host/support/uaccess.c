/* SPDX-License-Identifier: Apache-2.0 */
/* The program's memory is the test's own. */
#include <string.h>

#include <asm/errno.h>

#include <kl/uaccess.h>

#include "kl_host.h"

#define WEAK __attribute__((weak))

uint64_t kl_host_user_start, kl_host_user_end;

static bool allowed(kl_uaddr at, size_t n)
{
	if (kl_host_user_end == 0)
		return at >= KL_PAGE_BYTES || n == 0;
	return at >= kl_host_user_start && at <= kl_host_user_end && n <= kl_host_user_end - at;
}

WEAK int kl_copy_from_user(void *dst, kl_uaddr src, size_t n)
{
	if (!allowed(src, n))
		return -EFAULT;
	memcpy(dst, (const void *)src, n);
	return 0;
}

WEAK int kl_copy_to_user(kl_uaddr dst, const void *src, size_t n)
{
	if (!allowed(dst, n))
		return -EFAULT;
	memcpy((void *)dst, src, n);
	return 0;
}

WEAK int kl_zero_user(kl_uaddr dst, size_t n)
{
	if (!allowed(dst, n))
		return -EFAULT;
	memset((void *)dst, 0, n);
	return 0;
}

WEAK kl_ssize kl_string_from_user(char *dst, kl_uaddr src, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (!allowed(src + i, 1))
			return -EFAULT;
		dst[i] = *(const char *)(src + i);
		if (dst[i] == 0)
			return (kl_ssize)i;
	}
	return -ENAMETOOLONG;
}

/* What the real iterators (uaccess/iter.c) stand on. */

size_t kl_uaccess_copy(void *dst, const void *src, size_t n);
size_t kl_uaccess_zero(void *dst, size_t n);
bool uaccess_range_ok(kl_uaddr addr, size_t n);

WEAK size_t kl_uaccess_copy(void *dst, const void *src, size_t n)
{
	memmove(dst, src, n);
	return 0;
}

WEAK size_t kl_uaccess_zero(void *dst, size_t n)
{
	memset(dst, 0, n);
	return 0;
}

WEAK bool uaccess_range_ok(kl_uaddr addr, size_t n)
{
	return allowed(addr, n);
}
