/* SPDX-License-Identifier: Apache-2.0 */
/* Basic types and helpers that every file of the library OS may use. */
#ifndef KL_TYPES_H
#define KL_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t kl_ssize;  /* a count of bytes, or -errno */
typedef uint64_t kl_uaddr; /* an address in the program's memory; only kl/uaccess.h reads or writes there */
typedef uint64_t kl_phys;  /* a guest-physical address */

#define KL_PAGE_BYTES 4096ul
#define KL_PAGE_SHIFT 12

#define KL_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
/* Each use has names of its own, so that uses may be nested. */
#define KL_MIN(a, b) KL_PICK_(a, b, <, __COUNTER__)
#define KL_MAX(a, b) KL_PICK_(a, b, >, __COUNTER__)
#define KL_PICK_(a, b, op, n) KL_PICK_2_(a, b, op, n)
#define KL_PICK_2_(a, b, op, n)                                                                                        \
	({                                                                                                             \
		__typeof__(a) a_##n = (a);                                                                             \
		__typeof__(b) b_##n = (b);                                                                             \
		a_##n op b_##n ? a_##n : b_##n;                                                                        \
	})
/* to: a power of two */
#define KL_ALIGN_UP(x, to) (((x) + (__typeof__(x))((to)-1)) & ~(__typeof__(x))((to)-1))
#define KL_ALIGN_DOWN(x, to) ((x) & ~(__typeof__(x))((to)-1))
#define KL_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define KL_LIKELY(x) __builtin_expect(!!(x), 1)
#define KL_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define KL_NORETURN __attribute__((noreturn))
#define KL_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define KL_MUST_CHECK __attribute__((warn_unused_result))

#define KL_NS_PER_US 1000ull
#define KL_NS_PER_MS 1000000ull
#define KL_NS_PER_S 1000000000ull
#define KL_FOREVER UINT64_MAX /* as a deadline: never */

#endif
