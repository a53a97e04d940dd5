/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices and split virtqueues, the driver's side (VIRTIO 1.2, sections 2 and 3.1).
 *
 * Drivers work in three steps, so that all devices start in one exit to the monitor:
 *   1. their init function (stage "device") claims devices, agrees on features, makes queues and fills those that receive;
 *   2. kl_virtio_activate_all() (stage "fs") hands all of that to the transport;
 *   3. each driver's start() is called, and from then on kl_virtq_kick() notifies.
 * No device register is touched before step 2.
 *
 * The device is not trusted: whatever it writes into a ring is checked, and a device that breaks the rules is marked broken,
 * logged once and not used again. Memory that it was given stays given.
 */
#ifndef KL_VIRTIO_H
#define KL_VIRTIO_H

#include <kl/types.h>
#include <linux/virtio_ring.h>

#include "kl_boot.h"

struct kl_virtio_device;

#define KL_VIRTIO_QUEUES_MAX 12

/* --- virtqueues --- */

struct kl_virtq_slot {
	void *cookie;
	uint32_t in_bytes; /* that the device may write */
	uint16_t count;    /* descriptors of the chain that starts here; 0: none in flight */
	uint16_t next;     /* free list, or next in the chain; the copy in the descriptor is never read back */
};

struct kl_virtq {
	struct kl_virtio_device *dev;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct kl_virtq_slot *slots;
	uint16_t index;
	uint16_t size;       /* a power of two */
	uint16_t free_first; /* slots[] */
	uint16_t free_count;
	uint16_t in_flight; /* chains */
	uint16_t added;     /* available index, with what is not yet published */
	uint16_t published; /* available index as the device sees it */
	uint16_t taken;     /* used index up to which kl_virtq_get() has come */
};

/* Physically contiguous memory. */
struct kl_virtq_buf {
	kl_phys pa;
	uint32_t bytes;
};

/*
 * Adds one request: out buffers that the device reads, then in buffers that it writes; together 1 to vq->size. cookie, not
 * NULL, comes back from kl_virtq_get(). The device sees it after kl_virtq_kick(). 0, -ENOBUFS (no room now), -EIO (broken).
 */
int kl_virtq_add(struct kl_virtq *vq, const struct kl_virtq_buf *bufs, unsigned out, unsigned in, void *cookie);
/* Publishes what was added, and notifies the device if it asked for that (a few us each: batch). */
void kl_virtq_kick(struct kl_virtq *vq);
/* Cookie of a request that the device has finished, or NULL. *bytes (may be NULL): written, never more than its in buffers. */
void *kl_virtq_get(struct kl_virtq *vq, uint32_t *bytes);
/* Asks for a notification when after more requests beyond the next are finished; true: so many are finished already. */
bool kl_virtq_arm(struct kl_virtq *vq, unsigned after);
/* Takes the wish back: the device need not notify. (One notification may be on its way.) */
void kl_virtq_disarm(struct kl_virtq *vq);
/* Whether kl_virtq_get() would find something. */
bool kl_virtq_ready(const struct kl_virtq *vq);
/* Cookies of requests in flight, one by one, then NULL. Only for a device that has been reset. */
void *kl_virtq_detach(struct kl_virtq *vq);

/* --- devices --- */

struct kl_virtio_transport {
	const char *name;
	/* Starts the count devices that have been configured. Sets dev->result: 0 or -errno. Returns -errno if none could be. */
	int (*activate)(struct kl_virtio_device *const *devs, unsigned count);
	void (*notify)(struct kl_virtio_device *dev, uint16_t queue);
	/* Stops the device: it forgets its queues. */
	void (*reset)(struct kl_virtio_device *dev);
	/* The machine's end waits for the devices to take over what was published: a driver need not. */
	bool exit_drains;
};

struct kl_virtio_device {
	const struct kl_boot_device *boot;             /* id, role, what it offers, configuration */
	unsigned index;                                /* in kl_boot.devices */
	uint64_t features;                             /* agreed on */
	struct kl_virtq *queues[KL_VIRTIO_QUEUES_MAX]; /* NULL: left out */
	unsigned queues_count;
	/* After activation; 0 or -errno (the device is then not used). The driver's own structure is around the queues. */
	int (*start)(struct kl_virtio_device *dev);
	void *priv;
	bool claimed, configured, active, broken;
	int result;
	volatile uint8_t *window; /* transport's own */
};

/* The next device of that kind which has no driver, in the platform's order; it is the caller's. NULL: no more. */
struct kl_virtio_device *kl_virtio_claim(uint32_t virtio_id);
/* Agrees on features: those in wanted, of the offered ones, and the ring's own. 0 or -EOPNOTSUPP (older than VIRTIO 1.0). */
int kl_virtio_configure(struct kl_virtio_device *dev, uint64_t wanted);
/*
 * Makes the device's next queue (0 first) with up to size entries (rounded down to a power of two). vq must live as long as the
 * device. 0, -ENOMEM, -EINVAL (no such queue).
 */
int kl_virtio_queue(struct kl_virtio_device *dev, struct kl_virtq *vq, unsigned size);
/* Leaves the device's next queue out. */
void kl_virtio_queue_skip(struct kl_virtio_device *dev);
/* Gives the queue's memory back. Only before activation, or after a reset. */
void kl_virtq_free(struct kl_virtq *vq);

static inline bool kl_virtio_has(const struct kl_virtio_device *dev, unsigned feature)
{
	return dev->features >> feature & 1;
}

/* Called once by the platform's init, before drivers run. */
void kl_virtio_use(const struct kl_virtio_transport *transport);
/* Init function of this module. 0: also when single devices failed, which is logged. */
int kl_virtio_activate_all(void);
/* Marks the device broken; logs why, once. */
void kl_virtio_break(struct kl_virtio_device *dev, const char *why);
/* The transport's exit_drains. */
bool kl_virtio_exit_drains(void);
/* For the rings: tells an active device that a queue has requests. */
void kl_virtio_notify(struct kl_virtio_device *dev, uint16_t queue);

#endif
