/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor gives up before the guest's first instruction. */
#ifndef KL_MONITOR_SANDBOX_H
#define KL_MONITOR_SANDBOX_H

/*
 * No new privileges, no capabilities, lower limits, and only the system calls of the table in sandbox.c, for all threads.
 * socket_path: the one file that may be removed, at this very address in read-only memory; NULL: none. 0 or -errno after
 * saying why.
 */
int kl_sandbox_enter(const char *socket_path);

#endif
