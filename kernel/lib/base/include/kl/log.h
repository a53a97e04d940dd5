/* SPDX-License-Identifier: Apache-2.0 */
/* The log: lines for whoever runs the kernlet. Costs an exit a line, so nothing below "warn" is on a normal path. */
#ifndef KL_LOG_H
#define KL_LOG_H

#include <kl/types.h>

enum kl_log_level { KL_LOG_ERROR, KL_LOG_WARN, KL_LOG_INFO, KL_LOG_DEBUG };

extern enum kl_log_level kl_log_level; /* what is more verbose is dropped; set from the command line, key log */

/* One line; the end of line is added. */
void kl_log(enum kl_log_level level, const char *fmt, ...) KL_PRINTF(2, 3);
/* Says why on the log and ends the VM with status 134 (128 + SIGABRT). */
KL_NORETURN void kl_panic(const char *fmt, ...) KL_PRINTF(1, 2);

#define kl_error(...) kl_log(KL_LOG_ERROR, __VA_ARGS__)
#define kl_warn(...) kl_log(KL_LOG_WARN, __VA_ARGS__)
#define kl_info(...) kl_log(KL_LOG_INFO, __VA_ARGS__)
#define kl_debug(...) kl_log(KL_LOG_DEBUG, __VA_ARGS__)

/* For bugs of the library OS only, never for input. Has no side effect. */
#define KL_ASSERT(cond)                                                                                                \
	do {                                                                                                           \
		if (KL_UNLIKELY(!(cond)))                                                                              \
			kl_panic("%s:%d: %s", __FILE_NAME__, __LINE__, #cond);                                         \
	} while (0)

#endif
