/* SPDX-License-Identifier: Apache-2.0 */
/* capget(2), capset(2). */
#include <kl/uaccess.h>

#include <asm/errno.h>

#include "process_priv.h"

/* How many records follow, or -errno; an unknown version is answered with the one preferred. */
static int records(kl_uaddr uheader, struct __user_cap_header_struct *header)
{
	if (KL_GET_USER(*header, uheader) < 0)
		return -EFAULT;
	switch (header->version) {
	case _LINUX_CAPABILITY_VERSION_1: return _LINUX_CAPABILITY_U32S_1;
	case _LINUX_CAPABILITY_VERSION_2:
	case _LINUX_CAPABILITY_VERSION_3: return _LINUX_CAPABILITY_U32S_3;
	default:
		header->version = _LINUX_CAPABILITY_VERSION_3;
		return KL_PUT_USER(uheader, *header) < 0 ? -EFAULT : -EINVAL;
	}
}

long kl_sys_capget(kl_uaddr uheader, kl_uaddr udata)
{
	const struct kl_process *proc = kl_proc();
	struct __user_cap_header_struct header;
	int count = records(uheader, &header);

	if (count < 0)
		return count == -EINVAL && udata == 0 ? 0 : count;
	if (header.pid != 0 && header.pid != proc->pid && kl_thread_find(header.pid) == NULL)
		return header.pid < 0 ? -EINVAL : -ESRCH;
	for (int i = 0; i < count; i++) {
		struct __user_cap_data_struct data = {
			proc->caps.effective[i], proc->caps.permitted[i], proc->caps.inheritable[i]};

		if (kl_copy_to_user(udata + (uint64_t)i * sizeof(data), &data, sizeof(data)) < 0)
			return -EFAULT;
	}
	return 0;
}

long kl_sys_capset(kl_uaddr uheader, kl_uaddr udata)
{
	struct kl_process *proc = kl_proc();
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
	int count = records(uheader, &header);

	if (count < 0)
		return count;
	if (header.pid != 0 && header.pid != proc->pid && header.pid != kl_current->tid)
		return -EPERM;
	if (kl_copy_from_user(data, udata, (size_t)count * sizeof(data[0])) < 0)
		return -EFAULT;
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		if ((data[i].permitted & ~proc->caps.permitted[i]) != 0 ||
			(data[i].effective & ~data[i].permitted) != 0 ||
			(data[i].inheritable & ~(proc->caps.inheritable[i] | proc->caps.permitted[i])) != 0)
			return -EPERM;
	}
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		proc->caps.effective[i] = data[i].effective;
		proc->caps.permitted[i] = data[i].permitted;
		proc->caps.inheritable[i] = data[i].inheritable;
	}
	return 0;
}
