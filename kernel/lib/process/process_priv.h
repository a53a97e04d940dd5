/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_PROCESS_PRIV_H
#define KL_PROCESS_PRIV_H

#include <kl/process.h>

#include <linux/capability.h>

struct clone_args;

int kl_process_init(void);

long kl_sys_exit(int status);
long kl_sys_exit_group(int status);
long kl_sys_clone(unsigned long flags, kl_uaddr stack, kl_uaddr parent_tid, kl_uaddr child_tid, uint64_t tls);
long kl_sys_clone3(kl_uaddr args, size_t bytes);
long kl_sys_set_tid_address(kl_uaddr addr);
long kl_sys_set_robust_list(kl_uaddr head, size_t bytes);
long kl_sys_get_robust_list(int tid, kl_uaddr head, kl_uaddr bytes);
long kl_sys_wait4(int pid, kl_uaddr status, int options, kl_uaddr usage);
long kl_sys_waitid(int which, int pid, kl_uaddr info, int options, kl_uaddr usage);

long kl_sys_getpid(void);
long kl_sys_getppid(void);
long kl_sys_gettid(void);
long kl_sys_getpgrp(void);
long kl_sys_getpgid(int pid);
long kl_sys_setpgid(int pid, int pgid);
long kl_sys_getsid(int pid);
long kl_sys_setsid(void);

long kl_sys_getuid(void);
long kl_sys_geteuid(void);
long kl_sys_getgid(void);
long kl_sys_getegid(void);
long kl_sys_setuid(uint32_t uid);
long kl_sys_setgid(uint32_t gid);
long kl_sys_setreuid(uint32_t ruid, uint32_t euid);
long kl_sys_setregid(uint32_t rgid, uint32_t egid);
long kl_sys_setresuid(uint32_t ruid, uint32_t euid, uint32_t suid);
long kl_sys_setresgid(uint32_t rgid, uint32_t egid, uint32_t sgid);
long kl_sys_getresuid(kl_uaddr ruid, kl_uaddr euid, kl_uaddr suid);
long kl_sys_getresgid(kl_uaddr rgid, kl_uaddr egid, kl_uaddr sgid);
long kl_sys_setfsuid(uint32_t uid);
long kl_sys_setfsgid(uint32_t gid);
long kl_sys_getgroups(int count, kl_uaddr list);
long kl_sys_setgroups(int count, kl_uaddr list);
long kl_sys_capget(kl_uaddr header, kl_uaddr data);
long kl_sys_capset(kl_uaddr header, kl_uaddr data);

long kl_sys_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
long kl_sys_arch_prctl(int op, unsigned long addr);
long kl_sys_personality(unsigned persona);

#endif
