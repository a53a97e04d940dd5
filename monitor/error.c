// SPDX-License-Identifier: Apache-2.0
#include "error.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTICES_MAX 32

/* Where notices go; set once before any thread starts. */
static int log_fd = STDERR_FILENO;
static atomic_uint notices;

static void print_line(int fd, const char *next, const char *format, va_list arguments)
{
	char line[512];

	strcpy(line, "kernlet-monitor: ");
	size_t used = strlen(line);
	vsnprintf(line + used, sizeof(line) - used, format, arguments);
	used = strlen(line);
	snprintf(line + used, sizeof(line) - used, "; %s", next);
	used = strlen(line);
	if (used == sizeof(line) - 1)
		used--;
	line[used++] = '\n';
	if (write(fd, line, used) < 0)
		return; /* nowhere left to say it */
}

int kl_fail(int error, const char *next, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(STDERR_FILENO, next, format, arguments);
	va_end(arguments);
	return -error;
}

void kl_notice(const char *next, const char *format, ...)
{
	va_list arguments;

	if (atomic_fetch_add(&notices, 1) >= NOTICES_MAX)
		return;
	va_start(arguments, format);
	print_line(log_fd, next, format, arguments);
	va_end(arguments);
}

void kl_error_set_log(int fd)
{
	log_fd = fd;
}
