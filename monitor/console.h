/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-console, one port (VIRTIO 1.2, section 5.3): queue 0 brings input, queue 1 takes output.
 *
 * End of input: virtio-console has no word for it without multiport. The device returns one input buffer with length 0;
 * drivers that don't know this convention see an empty read.
 */
#ifndef KL_MONITOR_CONSOLE_H
#define KL_MONITOR_CONSOLE_H

#include "virtio.h"

struct kl_console {
	struct kl_virtio device;
	struct kl_shared *shared; /* to send the program SIGPIPE once nobody reads its output */
	bool in_ended, end_told, out_broken;
	/* The request whose output is partly written. */
	bool writing;
	struct kl_vq_chain chain;
	struct iovec iov[KL_VQ_CHAIN_MAX];
	uint64_t written;
};

/* A console on open descriptors, which stay the caller's and may be blocking; they are only used when poll(2) allows it. */
void kl_console_init(struct kl_console *console, const char *name, enum kl_device_role role, int in_fd, int out_fd);

/*
 * Write out all that the guest has put into the output queue, waiting for the reader as long as it takes. Once *stop is set,
 * only what can be written at once.
 */
void kl_console_drain(struct kl_console *console, const volatile int *stop);

#endif
