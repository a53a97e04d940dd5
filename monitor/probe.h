/* SPDX-License-Identifier: Apache-2.0 */
/* Does KVM here run code at CPL 3 as a kernlet needs it? That /dev/kvm opens proves nothing. */
#ifndef KL_MONITOR_PROBE_H
#define KL_MONITOR_PROBE_H

/*
 * Run a guest of a few instructions: it enters at CPL 3, takes an exception through ring 0 and back, and reports. Prints one
 * JSON object: usable, reason, and tsc_khz, boot_us or remedy. Returns 0 where a kernlet can run, 1 where not.
 */
int kl_probe(void);

#endif
