/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/virtio_mmio.h>

#include <kl/log.h>
#include <kl/pmm.h>
#include <kl/virtio.h>
#include <asm/errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>

#define MAGIC 0x74726976u /* "virt" */
#define RESET_READS 1000u /* of a status that should read as zero */

static struct {
	volatile uint8_t *windows[KL_VIRTIO_MAX]; /* of active devices */
	unsigned count;
} root;

static volatile uint8_t *window_of(kl_phys pa)
{
	return (volatile uint8_t *)(KL_MMIO_VA + pa);
}

static uint32_t get(volatile uint8_t *window, unsigned offset)
{
	return *(volatile uint32_t *)(window + offset);
}

static void put(volatile uint8_t *window, unsigned offset, uint32_t value)
{
	*(volatile uint32_t *)(window + offset) = value;
}

static void put64(volatile uint8_t *window, unsigned offset, uint64_t value)
{
	put(window, offset, (uint32_t)value);
	put(window, offset + 4, (uint32_t)(value >> 32));
}

/* --- finding --- */

static void read_config(volatile uint8_t *window, struct kl_boot_device *found)
{
	uint32_t generation;

	for (int tries = 0; tries < 4; tries++) {
		generation = get(window, VIRTIO_MMIO_CONFIG_GENERATION);
		for (unsigned i = 0; i < sizeof(found->config); i++)
			found->config[i] = window[VIRTIO_MMIO_CONFIG + i];
		if (get(window, VIRTIO_MMIO_CONFIG_GENERATION) == generation)
			break;
	}
}

static bool look(kl_phys pa, struct kl_boot_device *found)
{
	volatile uint8_t *window = window_of(pa);
	uint32_t id;

	if (get(window, VIRTIO_MMIO_MAGIC_VALUE) != MAGIC)
		return false;
	id = get(window, VIRTIO_MMIO_DEVICE_ID);
	if (id == 0)
		return false; /* an empty slot */
	if (get(window, VIRTIO_MMIO_VERSION) != 2) {
		kl_warn("virtio device at 0x%llx has the legacy registers: not used (QEMU: -global virtio-mmio.force-legacy=false)",
			(unsigned long long)pa);
		return false;
	}
	*found = (struct kl_boot_device){.virtio_id = id, .window_pa = pa};
	put(window, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	found->features = (uint64_t)get(window, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
	put(window, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	found->features |= get(window, VIRTIO_MMIO_DEVICE_FEATURES);
	found->queue_max = UINT32_MAX;
	for (uint32_t q = 0; q < KL_VIRTIO_QUEUES_MAX; q++) {
		uint32_t max;

		put(window, VIRTIO_MMIO_QUEUE_SEL, q);
		max = get(window, VIRTIO_MMIO_QUEUE_NUM_MAX);
		if (max == 0)
			break;
		found->queues++;
		found->queue_max = KL_MIN(found->queue_max, max);
	}
	read_config(window, found);
	return true;
}

static void assign_roles(struct kl_boot_info *boot)
{
	uint32_t role = KL_ROLE_STDIO;

	for (uint32_t i = 0; i < boot->devices_count && role <= KL_ROLE_STDERR; i++) {
		if (boot->devices[i].virtio_id == VIRTIO_ID_CONSOLE)
			boot->devices[i].role = role++;
	}
}

unsigned kl_virtio_mmio_probe(struct kl_boot_info *boot, kl_phys first_pa, unsigned stride, unsigned count)
{
	unsigned first = boot->devices_count, last_window = 0;
	bool has_first = false;

	for (unsigned i = 0; i < count && boot->devices_count < KL_VIRTIO_MAX; i++) {
		if (!look(first_pa + (kl_phys)i * stride, &boot->devices[boot->devices_count]))
			continue;
		has_first = has_first || i == 0;
		last_window = i;
		boot->devices_count++;
	}
	if (!has_first && last_window > 0) {
		for (unsigned a = first, b = boot->devices_count - 1; a < b; a++, b--) {
			struct kl_boot_device other = boot->devices[a];

			boot->devices[a] = boot->devices[b];
			boot->devices[b] = other;
		}
	}
	assign_roles(boot);
	return boot->devices_count - first;
}

/* --- starting (VIRTIO 1.2, sections 3.1.1 and 4.2.3) --- */

static int set_up_queue(volatile uint8_t *window, const struct kl_virtq *vq)
{
	put(window, VIRTIO_MMIO_QUEUE_SEL, vq->index);
	if (get(window, VIRTIO_MMIO_QUEUE_READY) != 0 || get(window, VIRTIO_MMIO_QUEUE_NUM_MAX) < vq->size)
		return -EINVAL;
	put(window, VIRTIO_MMIO_QUEUE_NUM, vq->size);
	put64(window, VIRTIO_MMIO_QUEUE_DESC_LOW, kl_virt_to_phys(vq->desc));
	put64(window, VIRTIO_MMIO_QUEUE_AVAIL_LOW, kl_virt_to_phys(vq->avail));
	put64(window, VIRTIO_MMIO_QUEUE_USED_LOW, kl_virt_to_phys(vq->used));
	put(window, VIRTIO_MMIO_QUEUE_READY, 1);
	return 0;
}

static int set_up(struct kl_virtio_device *dev)
{
	volatile uint8_t *window = dev->window;
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	unsigned reads = 0;
	int error = 0;

	put(window, VIRTIO_MMIO_STATUS, 0);
	while (get(window, VIRTIO_MMIO_STATUS) != 0) {
		if (++reads == RESET_READS)
			return -EIO;
	}
	put(window, VIRTIO_MMIO_STATUS, status);
	put(window, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(window, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(dev->features >> 32));
	put(window, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(window, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)dev->features);
	status |= VIRTIO_CONFIG_S_FEATURES_OK;
	put(window, VIRTIO_MMIO_STATUS, status);
	if (!(get(window, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK))
		error = -EOPNOTSUPP;
	for (unsigned i = 0; error == 0 && i < dev->queues_count; i++) {
		if (dev->queues[i] != NULL)
			error = set_up_queue(window, dev->queues[i]);
	}
	if (error) {
		put(window, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FAILED);
		return error;
	}
	put(window, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
	/* Buffers that were put there before the device ran. */
	for (unsigned i = 0; i < dev->queues_count; i++) {
		if (dev->queues[i] != NULL && dev->queues[i]->published != 0)
			put(window, VIRTIO_MMIO_QUEUE_NOTIFY, i);
	}
	return 0;
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		devs[i]->window = window_of(devs[i]->boot->window_pa);
		devs[i]->result = set_up(devs[i]);
		if (devs[i]->result == 0 && root.count < KL_VIRTIO_MAX)
			root.windows[root.count++] = devs[i]->window;
	}
	return 0;
}

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	put(dev->window, VIRTIO_MMIO_QUEUE_NOTIFY, queue);
}

static void reset(struct kl_virtio_device *dev)
{
	put(dev->window, VIRTIO_MMIO_STATUS, 0);
}

void kl_virtio_mmio_ack(void)
{
	for (unsigned i = 0; i < root.count; i++) {
		uint32_t bits = get(root.windows[i], VIRTIO_MMIO_INTERRUPT_STATUS);

		if (bits != 0)
			put(root.windows[i], VIRTIO_MMIO_INTERRUPT_ACK, bits);
	}
}

static const struct kl_virtio_transport transport = {
	.name = "mmio",
	.activate = activate,
	.notify = notify,
	.reset = reset,
};

void kl_virtio_mmio_use(void)
{
	kl_virtio_use(&transport);
}
