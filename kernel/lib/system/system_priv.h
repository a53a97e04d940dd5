/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KL_SYSTEM_PRIV_H
#define KL_SYSTEM_PRIV_H

#include <kl/types.h>

#include "kl_boot.h"

int kl_system_init(void);

long kl_sys_uname(kl_uaddr out);
long kl_sys_sethostname(kl_uaddr name, int n);
long kl_sys_setdomainname(kl_uaddr name, int n);
long kl_sys_sysinfo(kl_uaddr out);
long kl_sys_syslog(int type, kl_uaddr buf, int n);

long kl_sys_getrusage(int who, kl_uaddr out);
long kl_sys_times(kl_uaddr out);
long kl_sys_getrlimit(unsigned resource, kl_uaddr out);
long kl_sys_setrlimit(unsigned resource, kl_uaddr in);
long kl_sys_prlimit64(int pid, unsigned resource, kl_uaddr in, kl_uaddr out);

long kl_sys_sched_yield(void);
long kl_sys_sched_getaffinity(int pid, unsigned bytes, kl_uaddr mask);
long kl_sys_sched_setaffinity(int pid, unsigned bytes, kl_uaddr mask);
long kl_sys_sched_getparam(int pid, kl_uaddr param);
long kl_sys_sched_setparam(int pid, kl_uaddr param);
long kl_sys_sched_getscheduler(int pid);
long kl_sys_sched_setscheduler(int pid, int policy, kl_uaddr param);
long kl_sys_sched_get_priority_max(int policy);
long kl_sys_sched_get_priority_min(int policy);
long kl_sys_sched_rr_get_interval(int pid, kl_uaddr out);
long kl_sys_getpriority(int which, int who);
long kl_sys_setpriority(int which, int who, int nice);
long kl_sys_getcpu(kl_uaddr cpu, kl_uaddr node);

#endif
