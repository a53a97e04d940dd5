/* SPDX-License-Identifier: Apache-2.0 */
/* The vDSO (vdso(7)): a shared object in each program's memory that reads the clocks without a system call. */
#ifndef KL_VDSO_H
#define KL_VDSO_H

#include <kl/types.h>

struct kl_aspace;

#define KL_VDSO_SHIFT 32

/*
 * What the clocks are made of: monotonic ns = (TSC - tsc_start) * mult >> shift, real time = wall_ns more. shift: KL_VDSO_SHIFT.
 * Called by the clock whenever something of it changes.
 */
void kl_vdso_update(uint64_t tsc_start, uint64_t mult, unsigned shift, uint64_t wall_ns);
/* Maps it. Address of its ELF header (AT_SYSINFO_EHDR), or -ENOMEM. */
int64_t kl_vdso_map(struct kl_aspace *as);

#endif
