/* SPDX-License-Identifier: Apache-2.0 */
/* The boot-info page and the command line. */
#ifndef KL_MONITOR_BOOT_H
#define KL_MONITOR_BOOT_H

#include "image.h"
#include "virtio.h"
#include "vm.h"

/*
 * Fill [KL_BOOT_INFO_PA, KL_VIRTIO_SETUP_PA) of vm's memory. tables_free_pa as from kl_tables_build(). 0 or -errno after
 * saying why.
 */
int kl_boot_fill(const struct kl_vm *vm, const struct kl_image *image, uint64_t tables_free_pa, const char *cmdline,
	struct kl_virtio *const *devices, unsigned int devices_count);

#endif
