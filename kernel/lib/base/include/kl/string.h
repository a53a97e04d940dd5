/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and string functions as in ISO C, and a bounded formatter. */
#ifndef KL_STRING_H
#define KL_STRING_H

#include <kl/types.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t n);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);

/*
 * As C's snprintf with d i u x X c s p % and the modifiers 0, width, precision (also *), -, l, ll, z, h, hh. Returns the length that
 * the whole text has.
 */
int kl_snprintf(char *buf, size_t size, const char *fmt, ...) KL_PRINTF(3, 4);
int kl_vsnprintf(char *buf, size_t size, const char *fmt, va_list args);

#endif
