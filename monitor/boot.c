// SPDX-License-Identifier: Apache-2.0
#include "boot.h"

#include "error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <x86intrin.h>

static void fill_device(struct kl_boot_device *to, const struct kl_virtio *device)
{
	*to = (struct kl_boot_device){
		.virtio_id = device->id,
		.role = device->role,
		.window_pa = KL_VIRTIO_PA + (uint64_t)device->index * KL_VIRTIO_STRIDE,
		.features = device->features,
		.queues = device->queues,
		.queue_max = KL_VQ_SIZE_MAX,
	};
	memcpy(to->config, device->config, sizeof(to->config));
}

int kl_boot_fill(const struct kl_vm *vm, const struct kl_image *image, uint64_t tables_free_pa, const char *cmdline,
	struct kl_virtio *const *devices, unsigned int devices_count)
{
	struct kl_boot_info *info = kl_memory_at(&vm->memory, KL_BOOT_INFO_PA, sizeof(*info));
	char *text = kl_memory_at(&vm->memory, KL_CMDLINE_PA, KL_CMDLINE_BYTES);
	size_t bytes = strlen(cmdline);
	struct timespec now;

	if (bytes >= KL_CMDLINE_BYTES)
		return kl_fail(E2BIG, "give fewer arguments and variables",
			"the command line has %zu bytes: at most %d fit", bytes, KL_CMDLINE_BYTES - 1);
	*info = (struct kl_boot_info){
		.magic = KL_BOOT_MAGIC,
		.abi_version = KL_ABI_VERSION,
		.platform = KL_PLATFORM_MONITOR,
		.ram_end_pa = vm->memory.bytes,
		.free_start_pa = kl_image_free_pa(image),
		.free_zeroed = 1,
		.rootfs_pa = image->rootfs_pa,
		.rootfs_bytes = image->rootfs_bytes,
		.tables_pa = KL_TABLES_PA,
		.tables_free_pa = tables_free_pa,
		.tsc_khz = vm->tsc_khz,
		.cmdline_bytes = (uint32_t)bytes,
		.devices_count = devices_count,
	};
	memcpy(text, cmdline, bytes + 1);
	for (unsigned int i = 0; i < devices_count; i++)
		fill_device(&info->devices[i], devices[i]);
	if (getrandom(info->seed, sizeof(info->seed), 0) != sizeof(info->seed))
		return kl_fail(EIO, "try again", "getrandom: no random numbers");
	clock_gettime(CLOCK_REALTIME, &now);
	info->tsc_base = __rdtsc() + vm->tsc_offset;
	info->wall_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return 0;
}
