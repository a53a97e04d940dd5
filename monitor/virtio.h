/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtio device as its driver sees it: status, features, queues, configuration (VIRTIO 1.2, sections 2 and 4.2). The
 * registers and kl_virtio_setup both end in the same functions here. What the device does is in its kl_virtio_ops.
 */
#ifndef KL_MONITOR_VIRTIO_H
#define KL_MONITOR_VIRTIO_H

#include "call.h"
#include "kl_boot.h"
#include "virtqueue.h"

#include <pthread.h>

#define KL_VIRTIO_QUEUES_MAX 2
#define KL_VIRTIO_CONFIG_MAX 64

struct kl_virtio;

struct kl_virtio_ops {
	/*
	 * Move what can be moved, in both directions, a bounded amount. Called with the lock held, on the I/O thread, after a
	 * notification or an event on the host's side. True: there is more, call again soon.
	 */
	bool (*poll)(struct kl_virtio *device);
	/* The driver is ready, with the features it has accepted. Lock held. May be NULL. */
	void (*start)(struct kl_virtio *device);
	/* Forget requests in flight: the driver has reset the device. Lock held. May be NULL. */
	void (*reset)(struct kl_virtio *device);
};

struct kl_virtio_queue_registers {
	uint32_t size, ready;
	uint64_t desc_pa, avail_pa, used_pa;
};

struct kl_virtio {
	const struct kl_virtio_ops *ops;
	const struct kl_memory *memory;
	struct kl_call *call;
	const char *name;
	unsigned int index; /* in kl_boot_info.devices */
	uint32_t id, role, queues;
	uint64_t features; /* offered */
	uint8_t config[KL_VIRTIO_CONFIG_MAX];
	uint32_t config_bytes;
	int notify_fd; /* eventfd behind QueueNotify */
	bool direct;   /* the processor's thread serves it, too, while the guest waits: no other thread need wake up */
	int in_fd;     /* poll() is called when this can be read; -1: none */
	int out_fd;    /* and when this can be written, after poll() has set blocked; -1: none. Never equal to in_fd. */

	pthread_mutex_t lock; /* guards everything below, and what poll() uses */
	uint64_t driver_features;
	uint32_t status;
	uint32_t interrupt_status;
	uint32_t features_select, driver_features_select, queue_select;
	struct kl_virtio_queue_registers registers[KL_VIRTIO_QUEUES_MAX];
	struct kl_vq vq[KL_VIRTIO_QUEUES_MAX];
	uint64_t requests;          /* served so far */
	bool running;               /* DRIVER_OK and not broken: poll() may run */
	bool blocked;               /* set by poll(): out_fd takes no more for now */
	bool starved;               /* set by poll(): in_fd need not be looked at before the guest has given buffers */
	bool again;                 /* poll() said there is more; I/O thread only */
	unsigned int slow_notifies; /* that came as exits; processor's thread only */
};

/* Fill the parts common to all devices. notify_fd is created by the I/O thread's set-up. */
void kl_virtio_init(
	struct kl_virtio *device, const struct kl_virtio_ops *ops, const char *name, uint32_t id, uint32_t queues);

/* 32-bit registers below 0x100, and configuration space of any width. */
uint64_t kl_virtio_read(struct kl_virtio *device, uint64_t offset, uint32_t bytes);
/* True: the device has begun to run, or QueueNotify was written; poll it. */
bool kl_virtio_write(struct kl_virtio *device, uint64_t offset, uint32_t value, uint32_t bytes);

/* Reset and set up a device in one go. 0, or -EINVAL, -ENOTSUP and the device is unchanged. */
int kl_virtio_activate(struct kl_virtio *device, const struct kl_virtio_setup *setup);

/* For devices. Publish a queue and tell the guest if it wants to know. */
void kl_virtio_publish(struct kl_virtio *device, unsigned int queue);

/* For devices. A request was malformed: the device stops until it is reset (VIRTIO 1.2, section 2.1.2, DEVICE_NEEDS_RESET). */
void kl_virtio_break(struct kl_virtio *device, unsigned int queue);

#endif
