/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls on memory, by their manual pages in section 2. */
#include <kl/file.h>
#include <kl/uaccess.h>

#include <asm/errno.h>
#include <linux/membarrier.h>

#include "aspace_priv.h"
#include "syscalls_priv.h"

long kl_sys_mmap(kl_uaddr addr, uint64_t bytes, int prot, int flags, int fd, uint64_t offset)
{
	struct kl_file *file = NULL;
	int64_t result;

	if ((offset & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	if (!(flags & MAP_ANONYMOUS)) {
		file = kl_fd_get(fd);
		if (file == NULL)
			return -EBADF;
	}
	if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE && (flags & MAP_SYNC))
		result = -EOPNOTSUPP;
	else
		result = kl_aspace_map(kl_aspace_current, addr, bytes, prot, flags, file, offset);
	if (file != NULL)
		kl_file_put(file);
	return result;
}

long kl_sys_munmap(kl_uaddr addr, uint64_t bytes)
{
	return kl_aspace_unmap(kl_aspace_current, addr, bytes);
}

long kl_sys_mprotect(kl_uaddr addr, uint64_t bytes, int prot)
{
	return kl_aspace_protect(kl_aspace_current, addr, bytes, prot);
}

long kl_sys_mremap(kl_uaddr old, uint64_t old_bytes, uint64_t bytes, int flags, kl_uaddr to)
{
	return kl_aspace_remap(kl_aspace_current, old, old_bytes, bytes, flags, to);
}

long kl_sys_brk(kl_uaddr addr)
{
	return (long)kl_aspace_brk(kl_aspace_current, addr);
}

long kl_sys_madvise(kl_uaddr addr, uint64_t bytes, int advice)
{
	return kl_aspace_advise(kl_aspace_current, addr, bytes, advice);
}

long kl_sys_mincore(kl_uaddr addr, uint64_t bytes, kl_uaddr vec)
{
	uint64_t pages = (bytes + KL_PAGE_BYTES - 1) >> KL_PAGE_SHIFT;

	if ((addr & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	if (bytes > KL_USER_TOP_VA || !aspace_range_ok(addr, pages << KL_PAGE_SHIFT) ||
		!aspace_covered(kl_aspace_current, addr, addr + (pages << KL_PAGE_SHIFT)))
		return -ENOMEM;
	for (uint64_t i = 0; i < pages; i++) {
		uint8_t resident = kl_aspace_is_resident(kl_aspace_current, addr + (i << KL_PAGE_SHIFT));

		if (KL_PUT_USER(vec + i, resident) < 0)
			return -EFAULT;
	}
	return 0;
}

/* The checks that calls on a range share: nothing is written back or swapped out here, so there is no more to do. */
static long check_range(kl_uaddr addr, uint64_t bytes)
{
	uint64_t start = KL_ALIGN_DOWN(addr, KL_PAGE_BYTES);

	if (bytes == 0)
		return 0;
	if (addr + bytes < addr)
		return -EINVAL;
	return aspace_covered(kl_aspace_current, start, KL_ALIGN_UP(addr + bytes, KL_PAGE_BYTES)) ? 0 : -ENOMEM;
}

long kl_sys_msync(kl_uaddr addr, uint64_t bytes, int flags)
{
	if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) != 0 ||
		(flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	if ((addr & (KL_PAGE_BYTES - 1)) != 0)
		return -EINVAL;
	return check_range(addr, bytes);
}

long kl_sys_mlock(kl_uaddr addr, uint64_t bytes)
{
	return check_range(addr, bytes);
}

long kl_sys_mlock2(kl_uaddr addr, uint64_t bytes, unsigned flags)
{
	return (flags & ~(unsigned)MLOCK_ONFAULT) != 0 ? -EINVAL : check_range(addr, bytes);
}

long kl_sys_munlock(kl_uaddr addr, uint64_t bytes)
{
	return check_range(addr, bytes);
}

long kl_sys_mlockall(int flags)
{
	if (flags == 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) != 0 || flags == MCL_ONFAULT)
		return -EINVAL;
	return 0;
}

long kl_sys_munlockall(void)
{
	return 0;
}

/* With one CPU, the entry into the library OS is barrier enough. */
long kl_sys_membarrier(int cmd, unsigned flags, int cpu)
{
	static int registered; /* commands that the process announced */

	(void)cpu;
	if (flags != 0)
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY:
		return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
			MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
			MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE |
			MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED:
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: return 0;
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: registered |= MEMBARRIER_CMD_PRIVATE_EXPEDITED; return 0;
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
		registered |= MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE;
		return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: return registered & cmd ? 0 : -EPERM;
	default: return -EINVAL;
	}
}
