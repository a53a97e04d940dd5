/* SPDX-License-Identifier: Apache-2.0 */
/* What was used and what may be: getrusage(2), times(2), getrlimit(2). */
#include <kl/aspace.h>
#include <kl/clock.h>
#include <kl/process.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/resource.h>
#include <linux/times.h>

#include "system_priv.h"

#define TICK_NS (KL_NS_PER_S / 100) /* of times(2): USER_HZ */
#define FILES_LIMIT 1048576         /* as /proc/sys/fs/nr_open */

_Static_assert(RLIM_NLIMITS == KL_RLIMITS, "resource limits");

/* The time in the library OS is not told apart from the program's own. */
long kl_sys_getrusage(int who, kl_uaddr out)
{
	struct rusage usage = {0};
	uint64_t ns = 0;

	if (who == RUSAGE_SELF)
		ns = kl_process_cpu_ns(kl_proc());
	else if (who == RUSAGE_THREAD)
		ns = kl_thread_cpu_ns(kl_current);
	else if (who != RUSAGE_CHILDREN)
		return -EINVAL;
	usage.ru_utime.tv_sec = (long)(ns / KL_NS_PER_S);
	usage.ru_utime.tv_usec = (long)(ns % KL_NS_PER_S / KL_NS_PER_US);
	if (who != RUSAGE_CHILDREN)
		usage.ru_maxrss = (long)(kl_aspace_resident_pages(kl_aspace_current) * KL_PAGE_BYTES / 1024);
	return kl_copy_to_user(out, &usage, sizeof(usage));
}

long kl_sys_times(kl_uaddr out)
{
	struct tms times = {.tms_utime = (long)(kl_process_cpu_ns(kl_proc()) / TICK_NS)};

	if (out != 0 && kl_copy_to_user(out, &times, sizeof(times)) < 0)
		return -EFAULT;
	return (long)(kl_clock_ns() / TICK_NS);
}

static long set_limit(unsigned resource, const struct rlimit64 *limit)
{
	struct kl_process *proc = kl_proc();

	if (limit->rlim_cur > limit->rlim_max)
		return -EINVAL;
	if (limit->rlim_max > proc->rlimits[resource].hard && proc->euid != 0)
		return -EPERM;
	if (resource == RLIMIT_NOFILE && limit->rlim_max > FILES_LIMIT)
		return -EPERM;
	proc->rlimits[resource].soft = limit->rlim_cur;
	proc->rlimits[resource].hard = limit->rlim_max;
	if (resource == RLIMIT_STACK)
		kl_aspace_set_stack_limit(proc->aspace, limit->rlim_cur);
	return 0;
}

long kl_sys_prlimit64(int pid, unsigned resource, kl_uaddr in, kl_uaddr out)
{
	struct kl_process *proc = kl_proc();
	struct rlimit64 limit, old;

	if (resource >= KL_RLIMITS)
		return -EINVAL;
	if (pid != 0 && pid != proc->pid && kl_thread_find(pid) == NULL)
		return -ESRCH;
	old = (struct rlimit64){proc->rlimits[resource].soft, proc->rlimits[resource].hard};
	if (in != 0) {
		long err = KL_GET_USER(limit, in) < 0 ? -EFAULT : set_limit(resource, &limit);

		if (err < 0)
			return err;
	}
	return out != 0 ? KL_PUT_USER(out, old) : 0;
}

long kl_sys_getrlimit(unsigned resource, kl_uaddr out)
{
	if (resource >= KL_RLIMITS)
		return -EINVAL;
	return out != 0 ? kl_sys_prlimit64(0, resource, 0, out) : -EFAULT;
}

long kl_sys_setrlimit(unsigned resource, kl_uaddr in)
{
	return in != 0 ? kl_sys_prlimit64(0, resource, in, 0) : -EFAULT;
}
