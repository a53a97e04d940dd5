/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/errno.h>

#include <kl/platform.h>

const struct kl_platform *kl_platform;
struct kl_boot_info kl_boot;

/* An image holds the platforms that it was built for: those that it lacks have no address. */
#pragma weak kl_platform_monitor
#pragma weak kl_platform_pc

int kl_platform_select(const struct kl_boot_info *record)
{
	if (record->magic != KL_BOOT_MAGIC || record->abi_version != KL_ABI_VERSION)
		return -EINVAL;
	kl_boot = *record;
	if (kl_boot.devices_count > KL_VIRTIO_MAX || kl_boot.cmdline_bytes >= KL_CMDLINE_BYTES ||
		kl_boot.free_start_pa > kl_boot.ram_end_pa)
		return -EINVAL;
	if (kl_boot.platform == KL_PLATFORM_MONITOR)
		kl_platform = &kl_platform_monitor;
	else if (kl_boot.platform == KL_PLATFORM_PC)
		kl_platform = &kl_platform_pc;
	return kl_platform == NULL ? -ENODEV : 0;
}
