/* SPDX-License-Identifier: Apache-2.0 */
/* How the monitor tells its user what went wrong. */
#ifndef KL_MONITOR_ERROR_H
#define KL_MONITOR_ERROR_H

/*
 * Print one line, "kernlet-monitor: WHAT: WHY; NEXT", to standard error. format gives WHAT and WHY, next the step that helps.
 * Returns -error, for `return kl_fail(...)`. Not async-signal-safe; allocates nothing.
 */
int kl_fail(int error, const char *next, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The same line, about the guest, for the log (kl_error_set_log(); standard error until then). A guest can cause any number
 * of them, so only the first few are written.
 */
void kl_notice(const char *next, const char *format, ...) __attribute__((format(printf, 2, 3)));

void kl_error_set_log(int log_fd);

#endif
