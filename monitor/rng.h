/* SPDX-License-Identifier: Apache-2.0 */
/* virtio entropy source (VIRTIO 1.2, section 5.4): fills buffers from the host's getrandom(2). */
#ifndef KL_MONITOR_RNG_H
#define KL_MONITOR_RNG_H

#include "virtio.h"

struct kl_rng {
	struct kl_virtio device;
};

void kl_rng_init(struct kl_rng *rng);

#endif
