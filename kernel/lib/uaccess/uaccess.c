/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/regs.h>
#include <kl/string.h>
#include <kl/uaccess.h>

#include <asm/errno.h>

#include "kl_layout.h"
#include "uaccess_priv.h"

bool uaccess_range_ok(kl_uaddr addr, size_t n)
{
	uint64_t end;

	if (__builtin_add_overflow(addr, n, &end))
		return false;
	return addr >= KL_END_VA ? end <= KL_USER_TOP_VA : end <= KL_BASE_VA;
}

int kl_copy_from_user(void *dst, kl_uaddr src, size_t n)
{
	if (!uaccess_range_ok(src, n) || kl_uaccess_copy(dst, (const void *)src, n) != 0)
		return -EFAULT;
	return 0;
}

int kl_copy_to_user(kl_uaddr dst, const void *src, size_t n)
{
	if (!uaccess_range_ok(dst, n) || kl_uaccess_copy((void *)dst, src, n) != 0)
		return -EFAULT;
	return 0;
}

int kl_zero_user(kl_uaddr dst, size_t n)
{
	if (!uaccess_range_ok(dst, n) || kl_uaccess_zero((void *)dst, n) != 0)
		return -EFAULT;
	return 0;
}

/* In pieces that never cross into another page before the string is known to go on there. */
kl_ssize kl_string_from_user(char *dst, kl_uaddr src, size_t size)
{
	size_t done = 0;

	while (done < size) {
		size_t piece = KL_MIN(64 - ((src + done) & 63), size - done);
		const char *end;

		if (kl_copy_from_user(dst + done, src + done, piece) < 0)
			return -EFAULT;
		end = memchr(dst + done, 0, piece);
		if (end != NULL)
			return end - dst;
		done += piece;
	}
	return -ENAMETOOLONG;
}

bool kl_extable_fixup(struct kl_regs *regs)
{
	for (const struct extable_entry *e = kl_extable_start; e < kl_extable_end; e++) {
		if ((uint64_t)&e->at + (uint64_t)(int64_t)e->at != regs->rip)
			continue;
		regs->rip = (uint64_t)&e->to + (uint64_t)(int64_t)e->to;
		return true;
	}
	return false;
}
