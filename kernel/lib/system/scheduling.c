/* SPDX-License-Identifier: Apache-2.0 */
/* sched(7), for one CPU on which all threads take turns. */
#include <kl/process.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/time_types.h>

#include "system_priv.h"

#define NICE_MIN (-20)
#define NICE_MAX 19
#define REALTIME_MIN 1
#define REALTIME_MAX 99
#define SLICE_NS 10000000 /* about the distance of ticks */

static bool is_realtime(int policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR;
}

static bool is_normal(int policy)
{
	return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static long check_pid(int pid)
{
	if (pid < 0)
		return -EINVAL;
	return pid == kl_proc()->pid || kl_thread_find(pid) != NULL ? 0 : -ESRCH;
}

long kl_sys_sched_yield(void)
{
	kl_poll();
	kl_yield();
	return 0;
}

long kl_sys_sched_getaffinity(int pid, unsigned bytes, kl_uaddr mask)
{
	uint64_t cpus = 1;

	if (check_pid(pid) < 0)
		return -ESRCH;
	if (bytes < sizeof(cpus) || bytes % sizeof(cpus) != 0)
		return -EINVAL;
	return KL_PUT_USER(mask, cpus) < 0 ? -EFAULT : (long)sizeof(cpus);
}

long kl_sys_sched_setaffinity(int pid, unsigned bytes, kl_uaddr mask)
{
	uint8_t cpus = 0;

	if (check_pid(pid) < 0)
		return -ESRCH;
	if (bytes > 0 && KL_GET_USER(cpus, mask) < 0)
		return -EFAULT;
	return cpus & 1 ? 0 : -EINVAL;
}

long kl_sys_sched_getparam(int pid, kl_uaddr param)
{
	long err = check_pid(pid);

	if (err < 0 || param == 0)
		return err < 0 ? err : -EINVAL;
	return KL_PUT_USER(param, 0);
}

/* Priorities among real-time threads are not implemented, so nobody gets to believe in them. */
long kl_sys_sched_setscheduler(int pid, int policy, kl_uaddr param)
{
	long err = check_pid(pid);
	int priority;

	policy &= ~SCHED_RESET_ON_FORK;
	if (err < 0 || param == 0 || policy < 0)
		return err < 0 ? err : -EINVAL;
	if (KL_GET_USER(priority, param) < 0)
		return -EFAULT;
	if (is_realtime(policy))
		return priority < REALTIME_MIN || priority > REALTIME_MAX ? -EINVAL : -EPERM;
	return is_normal(policy) && priority == 0 ? 0 : -EINVAL;
}

long kl_sys_sched_setparam(int pid, kl_uaddr param)
{
	return kl_sys_sched_setscheduler(pid, SCHED_NORMAL, param);
}

long kl_sys_sched_getscheduler(int pid)
{
	long err = check_pid(pid);

	return err < 0 ? err : SCHED_NORMAL;
}

long kl_sys_sched_get_priority_max(int policy)
{
	if (is_realtime(policy))
		return REALTIME_MAX;
	return is_normal(policy) ? 0 : -EINVAL;
}

long kl_sys_sched_get_priority_min(int policy)
{
	if (is_realtime(policy))
		return REALTIME_MIN;
	return is_normal(policy) ? 0 : -EINVAL;
}

long kl_sys_sched_rr_get_interval(int pid, kl_uaddr out)
{
	struct __kernel_timespec slice = {0, SLICE_NS};
	long err = check_pid(pid);

	return err < 0 ? err : KL_PUT_USER(out, slice);
}

static long check_who(int which, int who)
{
	switch (which) {
	case PRIO_PROCESS: return check_pid(who) < 0 ? -ESRCH : 0;
	case PRIO_PGRP: return who == 0 || who == kl_proc()->pgid ? 0 : -ESRCH;
	case PRIO_USER: return who == 0 || (uint32_t)who == kl_proc()->uid ? 0 : -ESRCH;
	default: return -EINVAL;
	}
}

/* As the system call returns it: 20 - nice. */
long kl_sys_getpriority(int which, int who)
{
	long err = check_who(which, who);

	return err < 0 ? err : NICE_MAX + 1 - kl_proc()->nice;
}

long kl_sys_setpriority(int which, int who, int nice)
{
	long err = check_who(which, who);

	if (err < 0)
		return err;
	nice = nice < NICE_MIN ? NICE_MIN : KL_MIN(nice, NICE_MAX);
	if (nice < kl_proc()->nice && kl_proc()->euid != 0)
		return -EACCES;
	kl_proc()->nice = nice;
	return 0;
}

long kl_sys_getcpu(kl_uaddr cpu, kl_uaddr node)
{
	if ((cpu != 0 && KL_PUT_USER(cpu, 0u) < 0) || (node != 0 && KL_PUT_USER(node, 0u) < 0))
		return -EFAULT;
	return 0;
}
