/* SPDX-License-Identifier: Apache-2.0 */
/* Virtio devices of kernlet's own monitor. */
#ifndef KL_VIRTIO_DIRECT_H
#define KL_VIRTIO_DIRECT_H

/* Makes the devices of the boot record known to drivers. From the platform's init, before the init functions of stage "device". */
void kl_virtio_direct_use(void);

#endif
