/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O thread: waits for the guest's doorbells and the host's descriptors, and polls the devices concerned. */
#ifndef KL_MONITOR_WORKER_H
#define KL_MONITOR_WORKER_H

#include "virtio.h"

#include <semaphore.h>

/* Another descriptor served by the I/O thread (the control socket and its connections). */
struct kl_source {
	int fd; /* -1: unused */
	void (*ready)(struct kl_source *source);
	void *context;
};

struct kl_worker {
	int vm_fd, epoll_fd;
	pthread_t thread;
	void (*first_job)(void *context);
	void *first_context;
	sem_t first_done;
	struct kl_virtio **devices;
	unsigned int devices_count;
};

/*
 * Start the thread, with all signals blocked. It carries out first_job(context), a part of the set-up that can be done beside
 * the rest, and then serves what is attached, to the end of the process. 0 or -errno after saying why.
 */
int kl_worker_start(struct kl_worker *worker, void (*first_job)(void *context), void *context);

/* Wait for the end of the first job. */
void kl_worker_wait(struct kl_worker *worker);

/*
 * Serve devices, which must exist to the end of the process: their doorbells (eventfds that KVM signals at QueueNotify of a
 * device's window) and their descriptors on the host. 0 or -errno after saying why.
 */
int kl_worker_attach(struct kl_worker *worker, int vm_fd, struct kl_virtio **devices, unsigned int devices_count);

/*
 * On the processor's thread: serve the direct devices and sleep until there is news for the guest or deadline_ns has passed
 * (as for kl_call_sleep()). interrupted(context) is called after each signal.
 */
void kl_worker_wait_for_news(struct kl_worker *worker, struct kl_call *call, uint64_t deadline_ns,
	void (*interrupted)(void *context), void *context);

/* Have source->ready() called on the I/O thread whenever source->fd is readable. 0 or -errno. */
int kl_worker_add(struct kl_worker *worker, struct kl_source *source);
void kl_worker_remove(struct kl_worker *worker, struct kl_source *source);

/*
 * The guest has notified a device by an exit, or has just set it up: poll it at once, on the processor's thread, and leave the
 * rest to the I/O thread.
 */
void kl_worker_notified(struct kl_worker *worker, struct kl_virtio *device);

#endif
