/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/log.h>
#include <kl/platform.h>
#include <kl/string.h>

#define LINE_BYTES 512
#define PANIC_STATUS 134

enum kl_log_level kl_log_level = KL_LOG_WARN;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static void log_line(const char *prefix, const char *fmt, va_list args)
{
	char line[LINE_BYTES];
	size_t n;

	if (kl_platform == NULL)
		return;
	n = (size_t)kl_snprintf(line, sizeof(line), "kernlet: %s: ", prefix);
	n += (size_t)kl_vsnprintf(line + n, sizeof(line) - n, fmt, args);
	n = KL_MIN(n, sizeof(line) - 2);
	line[n++] = '\n';
	kl_platform->log(line, n);
}

void kl_log(enum kl_log_level level, const char *fmt, ...)
{
	va_list args;

	if (level > kl_log_level)
		return;
	va_start(args, fmt);
	log_line(level_names[level], fmt, args);
	va_end(args);
}

void kl_panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	log_line("panic", fmt, args);
	va_end(args);
	if (kl_platform != NULL)
		kl_platform->exit(PANIC_STATUS);
	for (;;)
		__asm__ volatile("ud2");
}
