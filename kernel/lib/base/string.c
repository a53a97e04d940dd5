/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/string.h>

/*
 * Whole words by rep movsq and rep stosq, which processors do at full speed and emulators a word at a time; the last word overlaps
 * the one before. Short runs, which are most, go without: the start of a rep instruction costs tens of cycles.
 */
#define WORD sizeof(uint64_t)
#define SHORT_BYTES 64

typedef uint64_t __attribute__((aligned(1), may_alias)) word;
typedef uint32_t __attribute__((aligned(1), may_alias)) half;

static void copy_few(uint8_t *d, const uint8_t *s, size_t n)
{
	if (n >= sizeof(half)) {
		half first = *(const half *)s, last = *(const half *)(s + n - sizeof(half));

		*(half *)d = first;
		*(half *)(d + n - sizeof(half)) = last;
		return;
	}
	for (size_t i = 0; i < n; i++)
		d[i] = s[i];
}

/* From the lowest address up, so that dst may overlap src from below. */
static void copy_up(uint8_t *d, const uint8_t *s, size_t n)
{
	uint8_t *end = d + n - WORD;
	word last;

	if (n < WORD) {
		copy_few(d, s, n);
		return;
	}
	last = *(const word *)(s + n - WORD);
	if (n <= SHORT_BYTES) {
		for (size_t i = 0; i < n - WORD; i += WORD)
			*(word *)(d + i) = *(const word *)(s + i);
	} else {
		size_t words = n / WORD;

		__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words)::"memory");
	}
	*(word *)end = last;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	copy_up(dst, src, n);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if (d <= s || d >= s + n) {
		copy_up(d, s, n);
		return dst;
	}
	for (; n >= WORD; n -= WORD)
		*(word *)(d + n - WORD) = *(const word *)(s + n - WORD);
	while (n-- > 0)
		d[n] = s[n];
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	uint64_t fill = (uint8_t)c * 0x0101010101010101ull;
	uint8_t *d = dst;
	uint8_t *end = d + n - WORD;

	if (n < WORD) {
		for (size_t i = 0; i < n; i++)
			d[i] = (uint8_t)c;
		return dst;
	}
	if (n <= SHORT_BYTES) {
		for (size_t i = 0; i < n - WORD; i += WORD)
			*(word *)(d + i) = fill;
	} else {
		size_t words = n / WORD;

		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(fill) : "memory");
	}
	*(word *)end = fill;
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

void *memchr(const void *s, int c, size_t n)
{
	const uint8_t *p = s;

	for (size_t i = 0; i < n; i++)
		if (p[i] == (uint8_t)c)
			return (void *)(p + i);
	return NULL;
}

size_t strnlen(const char *s, size_t n)
{
	size_t len = 0;

	while (len < n && s[len] != '\0')
		len++;
	return len;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (a[i] != b[i] || a[i] == '\0')
			return (uint8_t)a[i] - (uint8_t)b[i];
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)s;
		if (*s == '\0')
			return NULL;
	}
}

char *strrchr(const char *s, int c)
{
	const char *last = NULL;

	for (;; s++) {
		if (*s == (char)c)
			last = s;
		if (*s == '\0')
			return (char *)last;
	}
}
