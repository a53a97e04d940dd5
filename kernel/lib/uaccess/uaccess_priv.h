/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_UACCESS_PRIV_H
#define KL_UACCESS_PRIV_H

#include <kl/types.h>

/* Both return how many bytes at the end were not done. The ranges must not overlap. */
size_t kl_uaccess_copy(void *dst, const void *src, size_t n);
size_t kl_uaccess_zero(void *dst, size_t n);

/* Distances from the field itself: of the instruction that may fault, and of where to go on then. */
struct extable_entry {
	int32_t at, to;
};
extern const struct extable_entry kl_extable_start[], kl_extable_end[];

bool uaccess_range_ok(kl_uaddr addr, size_t n);

#endif
