/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O thread: waits for the guest's doorbells and the host's descriptors, and polls the devices concerned. */
#ifndef KL_MONITOR_WORKER_H
#define KL_MONITOR_WORKER_H

#include "virtio.h"

/* Another descriptor served by the I/O thread (the control socket and its connections). */
struct kl_source {
	int fd; /* -1: unused */
	void (*ready)(struct kl_source *source);
	void *context;
};

struct kl_worker {
	int vm_fd, epoll_fd;
	pthread_t thread;
	struct kl_virtio **devices;
	unsigned int devices_count;
};

/*
 * Make epoll, doorbells (eventfds that KVM signals at QueueNotify of a device's window) and the thread. All signals are
 * blocked in it. It runs to the end of the process, and so must the devices. 0 or -errno after saying why.
 */
int kl_worker_start(struct kl_worker *worker, int vm_fd, struct kl_virtio **devices, unsigned int devices_count);

/* Have source->ready() called on the I/O thread whenever source->fd is readable. 0 or -errno. */
int kl_worker_add(struct kl_worker *worker, struct kl_source *source);
void kl_worker_remove(struct kl_worker *worker, struct kl_source *source);

/*
 * The guest has notified a device by an exit, or has just set it up: poll it at once, on the processor's thread, and leave the
 * rest to the I/O thread.
 */
void kl_worker_notified(struct kl_worker *worker, struct kl_virtio *device);

#endif
