/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio over MMIO, register layout version 2 (VIRTIO 1.2, section 4.2). */
#ifndef KL_VIRTIO_MMIO_H
#define KL_VIRTIO_MMIO_H

#include <kl/types.h>

#include "kl_boot.h"

/*
 * Looks at count windows of stride bytes from first_pa on, mapped at KL_MMIO_VA + pa, and adds the devices found to boot. The
 * first console gets role STDIO and the second STDERR; where a machine fills its windows from the last one down (QEMU does),
 * the order of the devices is reversed. Returns how many devices were added.
 */
unsigned kl_virtio_mmio_probe(struct kl_boot_info *boot, kl_phys first_pa, unsigned stride, unsigned count);
/* Makes the devices known to drivers. From the platform's init. */
void kl_virtio_mmio_use(void);
/* Acknowledges what interrupts the active devices have raised; after that, look at their rings. */
void kl_virtio_mmio_ack(void);

#endif
