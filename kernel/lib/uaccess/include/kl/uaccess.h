/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way to the program's memory. Each call checks that [addr, addr + n) lies in the program's part of the address space,
 * resolves demand paging by faulting as the program would, and returns -EFAULT where the program would get SIGSEGV.
 */
#ifndef KL_UACCESS_H
#define KL_UACCESS_H

#include <kl/types.h>

int kl_copy_from_user(void *dst, kl_uaddr src, size_t n) KL_MUST_CHECK; /* 0 or -EFAULT */
int kl_copy_to_user(kl_uaddr dst, const void *src, size_t n) KL_MUST_CHECK;
int kl_zero_user(kl_uaddr dst, size_t n) KL_MUST_CHECK;
/* Copies a string with its zero. Returns its length without the zero, -EFAULT, or -ENAMETOOLONG when size is too small. */
kl_ssize kl_string_from_user(char *dst, kl_uaddr src, size_t size) KL_MUST_CHECK;

#define KL_GET_USER(dst, src) kl_copy_from_user(&(dst), (src), sizeof(dst))
#define KL_PUT_USER(dst, value)                                                                                        \
	({                                                                                                             \
		__typeof__(value) value_ = (value);                                                                    \
		kl_copy_to_user((dst), &value_, sizeof(value_));                                                       \
	})

struct kl_regs;
/* For the trap handler: a fault of the library OS at regs->rip has a fixup; then regs->rip is set to it. */
bool kl_extable_fixup(struct kl_regs *regs);

/* Where bytes go to or come from: one or several ranges of the program's memory, or one buffer of the library OS's. */
struct kl_iovec {
	kl_uaddr base;
	uint64_t bytes;
};

struct kl_iter {
	const struct kl_iovec *iov; /* NULL: kernel buffer */
	void *kernel;
	size_t count;        /* ranges from iov on */
	size_t offset;       /* into iov[0], or into kernel */
	size_t left;         /* bytes, in all */
	struct kl_iovec one; /* used when there is one range only */
};

/* An iterator refers to itself: initialise in place, do not copy. */
void kl_iter_user(struct kl_iter *it, kl_uaddr base, size_t bytes);
void kl_iter_kernel(struct kl_iter *it, void *base, size_t bytes);
/* iov is the caller's, already copied from the program; kept until the iterator is done. Sum of lengths <= INT64_MAX or -EINVAL. */
int kl_iter_iov(struct kl_iter *it, const struct kl_iovec *iov, size_t count);
/* n <= it->left. 0 or -EFAULT; advances by what was copied, n if 0 is returned. */
int kl_iter_write(struct kl_iter *it, const void *src, size_t n) KL_MUST_CHECK; /* into what the iterator names */
int kl_iter_read(struct kl_iter *it, void *dst, size_t n) KL_MUST_CHECK;        /* out of what the iterator names */
int kl_iter_zero(struct kl_iter *it, size_t n) KL_MUST_CHECK;

#endif
