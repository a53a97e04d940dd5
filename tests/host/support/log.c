/* SPDX-License-Identifier: Apache-2.0 */
/* The log on standard error; a panic is an abort, which a sanitizer or the runner shows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kl/log.h>
#include <kl/string.h>

#define WEAK __attribute__((weak))

WEAK enum kl_log_level kl_log_level = KL_LOG_WARN;

WEAK void kl_log(enum kl_log_level level, const char *fmt, ...)
{
	va_list args;

	if (level > kl_log_level)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

WEAK void kl_panic(const char *fmt, ...)
{
	va_list args;

	fputs("panic: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

WEAK int kl_vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	return vsnprintf(buf, size, fmt, args);
}

WEAK int kl_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return n;
}
