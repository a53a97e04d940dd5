/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio devices of kernlet's own monitor. All that there is to know of them is in the boot record, and all are set up in one
 * exit: entries in the page at KL_VIRTIO_SETUP_PA, then one write to KL_REG_ACTIVATE. The only register touched later is
 * QueueNotify, behind which an eventfd waits.
 */
#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/virtio.h>
#include <kl/virtio_direct.h>
#include <asm/errno.h>
#include <linux/virtio_mmio.h>

#define SETUP_MAX ((KL_SHARED_PA - KL_VIRTIO_SETUP_PA) / sizeof(struct kl_virtio_setup))

_Static_assert(SETUP_MAX >= KL_VIRTIO_MAX, "one page of set-up records");

/* The monitor maps its registers and windows itself. */
static volatile uint8_t *window(kl_phys pa)
{
	return (volatile uint8_t *)(KL_MMIO_VA + pa);
}

static void fill(struct kl_virtio_setup *setup, const struct kl_virtio_device *dev)
{
	*setup = (struct kl_virtio_setup){
		.device = dev->index,
		.result = -EIO,
		.features = dev->features,
		.queues = dev->queues_count,
	};
	/* The monitor refuses a device with more queues, or with one left out. */
	for (unsigned i = 0; i < dev->queues_count && i < KL_VIRTIO_SETUP_QUEUES; i++) {
		const struct kl_virtq *vq = dev->queues[i];

		if (vq == NULL)
			continue;
		setup->queue[i].desc_pa = kl_virt_to_phys(vq->desc);
		setup->queue[i].avail_pa = kl_virt_to_phys(vq->avail);
		setup->queue[i].used_pa = kl_virt_to_phys(vq->used);
		setup->queue[i].size = vq->size;
	}
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	struct kl_virtio_setup *setup = (struct kl_virtio_setup *)(KL_BASE_VA + KL_VIRTIO_SETUP_PA);

	for (unsigned i = 0; i < count; i++) {
		devs[i]->window = window(devs[i]->boot->window_pa);
		fill(&setup[i], devs[i]);
	}
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*(volatile uint32_t *)window(KL_MONITOR_PA + KL_REG_ACTIVATE) = count;
	for (unsigned i = 0; i < count; i++)
		devs[i]->result = __atomic_load_n(&setup[i].result, __ATOMIC_ACQUIRE);
	return 0;
}

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	*(volatile uint32_t *)(dev->window + VIRTIO_MMIO_QUEUE_NOTIFY) = queue;
}

static void reset(struct kl_virtio_device *dev)
{
	*(volatile uint32_t *)(dev->window + VIRTIO_MMIO_STATUS) = 0;
}

static const struct kl_virtio_transport transport = {
	.name = "direct",
	.activate = activate,
	.notify = notify,
	.reset = reset,
	.exit_drains = true,
};

void kl_virtio_direct_use(void)
{
	kl_virtio_use(&transport);
}
