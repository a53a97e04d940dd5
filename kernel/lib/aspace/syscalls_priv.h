/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_ASPACE_SYSCALLS_PRIV_H
#define KL_ASPACE_SYSCALLS_PRIV_H

#include <kl/types.h>

long kl_sys_mmap(kl_uaddr addr, uint64_t bytes, int prot, int flags, int fd, uint64_t offset);
long kl_sys_munmap(kl_uaddr addr, uint64_t bytes);
long kl_sys_mprotect(kl_uaddr addr, uint64_t bytes, int prot);
long kl_sys_mremap(kl_uaddr old, uint64_t old_bytes, uint64_t bytes, int flags, kl_uaddr to);
long kl_sys_brk(kl_uaddr addr);
long kl_sys_madvise(kl_uaddr addr, uint64_t bytes, int advice);
long kl_sys_mincore(kl_uaddr addr, uint64_t bytes, kl_uaddr vec);
long kl_sys_msync(kl_uaddr addr, uint64_t bytes, int flags);
long kl_sys_mlock(kl_uaddr addr, uint64_t bytes);
long kl_sys_mlock2(kl_uaddr addr, uint64_t bytes, unsigned flags);
long kl_sys_munlock(kl_uaddr addr, uint64_t bytes);
long kl_sys_mlockall(int flags);
long kl_sys_munlockall(void);
long kl_sys_membarrier(int cmd, unsigned flags, int cpu);

#endif
