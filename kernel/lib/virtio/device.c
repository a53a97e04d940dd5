/* SPDX-License-Identifier: Apache-2.0 */
/* Devices between the platform, which finds them, and their drivers. */
#include <kl/virtio.h>

#include <kl/log.h>
#include <kl/platform.h>
#include <asm/errno.h>
#include <linux/virtio_config.h>

static struct {
	const struct kl_virtio_transport *transport;
	struct kl_virtio_device devices[KL_VIRTIO_MAX];
} root;

void kl_virtio_use(const struct kl_virtio_transport *transport)
{
	root.transport = transport;
}

struct kl_virtio_device *kl_virtio_claim(uint32_t virtio_id)
{
	for (unsigned i = 0; root.transport && i < kl_boot.devices_count && i < KL_VIRTIO_MAX; i++) {
		struct kl_virtio_device *dev = &root.devices[i];

		if (dev->claimed || kl_boot.devices[i].virtio_id != virtio_id)
			continue;
		dev->claimed = true;
		dev->boot = &kl_boot.devices[i];
		dev->index = i;
		return dev;
	}
	return NULL;
}

int kl_virtio_configure(struct kl_virtio_device *dev, uint64_t wanted)
{
	wanted |= 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX;
	dev->features = dev->boot->features & wanted;
	if (!kl_virtio_has(dev, VIRTIO_F_VERSION_1)) {
		kl_warn("virtio device %u (kind %u) is older than VIRTIO 1.0: not used", dev->index,
			dev->boot->virtio_id);
		return -EOPNOTSUPP;
	}
	dev->configured = true;
	return 0;
}

void kl_virtio_break(struct kl_virtio_device *dev, const char *why)
{
	if (dev->broken)
		return;
	dev->broken = true;
	kl_error("virtio device %u (kind %u) %s: not used any more", dev->index, dev->boot->virtio_id, why);
}

bool kl_virtio_exit_drains(void)
{
	return root.transport->exit_drains;
}

void kl_virtio_notify(struct kl_virtio_device *dev, uint16_t queue)
{
	root.transport->notify(dev, queue);
}

static void start(struct kl_virtio_device *dev)
{
	int error = dev->result;

	dev->active = error == 0;
	if (dev->active && dev->start)
		error = dev->start(dev);
	if (error != 0) {
		kl_error(
			"virtio device %u (kind %u) did not start: error %d", dev->index, dev->boot->virtio_id, -error);
		dev->active = false;
		dev->broken = true;
	}
}

int kl_virtio_activate_all(void)
{
	struct kl_virtio_device *devs[KL_VIRTIO_MAX];
	unsigned count = 0;
	int error;

	for (unsigned i = 0; i < KL_VIRTIO_MAX; i++) {
		struct kl_virtio_device *dev = &root.devices[i];

		if (dev->configured && !dev->active && !dev->broken && dev->queues_count > 0)
			devs[count++] = dev;
	}
	if (count == 0)
		return 0;
	error = root.transport->activate(devs, count);
	for (unsigned i = 0; i < count; i++) {
		if (error)
			devs[i]->result = error;
		start(devs[i]);
	}
	return 0;
}
