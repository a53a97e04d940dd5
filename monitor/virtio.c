// SPDX-License-Identifier: Apache-2.0
#include "virtio.h"

#include "error.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>

#define MAGIC 0x74726976u  /* "virt" */
#define VENDOR 0x6c6e6b2eu /* ".knl" */
#define COMMON_FEATURES                                                                                                \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define STATUS_ALL                                                                                                     \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK)

void kl_virtio_init(
	struct kl_virtio *device, const struct kl_virtio_ops *ops, const char *name, uint32_t id, uint32_t queues)
{
	*device = (struct kl_virtio){.ops = ops,
		.name = name,
		.id = id,
		.queues = queues,
		.features = COMMON_FEATURES,
		.notify_fd = -1,
		.in_fd = -1,
		.out_fd = -1};
	pthread_mutex_init(&device->lock, NULL);
}

static void reset(struct kl_virtio *device)
{
	device->running = false;
	device->status = 0;
	device->interrupt_status = 0;
	device->driver_features = 0;
	device->features_select = device->driver_features_select = device->queue_select = 0;
	memset(device->registers, 0, sizeof(device->registers));
	memset(device->vq, 0, sizeof(device->vq));
	if (device->ops->reset)
		device->ops->reset(device);
}

static void start(struct kl_virtio *device)
{
	device->running = true;
	if (device->ops->start)
		device->ops->start(device);
}

static bool features_are_fine(const struct kl_virtio *device, uint64_t features)
{
	return !(features & ~device->features) && features & 1ull << VIRTIO_F_VERSION_1;
}

static int setup_queue(struct kl_virtio *device, struct kl_vq *vq, const struct kl_virtio_queue_registers *registers,
	uint64_t features)
{
	return kl_vq_setup(vq, device->memory, registers->size, registers->desc_pa, registers->avail_pa,
		registers->used_pa, features & 1ull << VIRTIO_RING_F_EVENT_IDX);
}

int kl_virtio_activate(struct kl_virtio *device, const struct kl_virtio_setup *setup)
{
	struct kl_vq vq[KL_VIRTIO_QUEUES_MAX] = {0};
	struct kl_virtio_queue_registers registers[KL_VIRTIO_QUEUES_MAX] = {0};

	if (!features_are_fine(device, setup->features))
		return -ENOTSUP;
	if (!setup->queues || setup->queues > device->queues)
		return -EINVAL;
	for (uint32_t i = 0; i < setup->queues; i++) {
		registers[i] = (struct kl_virtio_queue_registers){.size = setup->queue[i].size,
			.ready = 1,
			.desc_pa = setup->queue[i].desc_pa,
			.avail_pa = setup->queue[i].avail_pa,
			.used_pa = setup->queue[i].used_pa};
		if (setup_queue(device, &vq[i], &registers[i], setup->features))
			return -EINVAL;
	}
	pthread_mutex_lock(&device->lock);
	reset(device);
	memcpy(device->vq, vq, sizeof(vq));
	memcpy(device->registers, registers, sizeof(registers));
	device->driver_features = setup->features;
	device->status = STATUS_ALL;
	start(device);
	pthread_mutex_unlock(&device->lock);
	return 0;
}

static uint32_t read_register(const struct kl_virtio *device, uint64_t offset)
{
	const struct kl_virtio_queue_registers *queue =
		device->queue_select < device->queues ? &device->registers[device->queue_select] : NULL;

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE: return MAGIC;
	case VIRTIO_MMIO_VERSION: return 2;
	case VIRTIO_MMIO_DEVICE_ID: return device->id;
	case VIRTIO_MMIO_VENDOR_ID: return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return device->features_select > 1 ? 0 : (uint32_t)(device->features >> 32 * device->features_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX: return queue ? KL_VQ_SIZE_MAX : 0;
	case VIRTIO_MMIO_QUEUE_READY: return queue ? queue->ready : 0;
	case VIRTIO_MMIO_INTERRUPT_STATUS: return device->interrupt_status;
	case VIRTIO_MMIO_STATUS: return device->status;
	/* shared memory regions: none, which is said with a length of all ones */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH: return UINT32_MAX;
	default: return 0; /* VIRTIO_MMIO_CONFIG_GENERATION too: the configuration never changes */
	}
}

uint64_t kl_virtio_read(struct kl_virtio *device, uint64_t offset, uint32_t bytes)
{
	uint64_t value = 0;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		offset -= VIRTIO_MMIO_CONFIG;
		if (bytes <= sizeof(value) && offset <= KL_VIRTIO_CONFIG_MAX && bytes <= KL_VIRTIO_CONFIG_MAX - offset)
			memcpy(&value, device->config + offset, bytes);
		return value;
	}
	if (bytes != 4 || offset % 4)
		return 0;
	pthread_mutex_lock(&device->lock);
	value = read_register(device, offset);
	pthread_mutex_unlock(&device->lock);
	return value;
}

static void write_status(struct kl_virtio *device, uint32_t value)
{
	if (!value) {
		reset(device);
		return;
	}
	value &= STATUS_ALL | VIRTIO_CONFIG_S_FAILED;
	if (value & VIRTIO_CONFIG_S_FEATURES_OK && !(device->status & VIRTIO_CONFIG_S_FEATURES_OK) &&
		!features_are_fine(device, device->driver_features))
		value &= ~(uint32_t)VIRTIO_CONFIG_S_FEATURES_OK;
	/* Bits are only ever added; all are cleared by a reset. */
	device->status |= value;
	if (device->status == STATUS_ALL && !device->running)
		start(device);
}

/* QueueReady = 1 is where the areas are checked; a queue that fails the check stays unready. */
static void write_ready(struct kl_virtio *device, struct kl_virtio_queue_registers *queue, uint32_t value)
{
	struct kl_vq *vq = &device->vq[queue - device->registers];

	if (value == 1 && !queue->ready && device->status & VIRTIO_CONFIG_S_FEATURES_OK)
		queue->ready = !setup_queue(device, vq, queue, device->driver_features);
	else if (value == 0 && queue->ready) {
		queue->ready = 0;
		memset(vq, 0, sizeof(*vq));
		if (device->ops->reset)
			device->ops->reset(device);
	}
}

static void set_low(uint64_t *address, uint32_t value)
{
	*address = (*address & ~0xffffffffull) | value;
}

static void set_high(uint64_t *address, uint32_t value)
{
	*address = (*address & 0xffffffffull) | (uint64_t)value << 32;
}

static void write_queue_register(struct kl_virtio *device, uint64_t offset, uint32_t value)
{
	if (device->queue_select >= device->queues)
		return;
	struct kl_virtio_queue_registers *queue = &device->registers[device->queue_select];

	if (offset == VIRTIO_MMIO_QUEUE_READY)
		write_ready(device, queue, value);
	if (queue->ready)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM: queue->size = value; break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW: set_low(&queue->desc_pa, value); break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH: set_high(&queue->desc_pa, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW: set_low(&queue->avail_pa, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH: set_high(&queue->avail_pa, value); break;
	case VIRTIO_MMIO_QUEUE_USED_LOW: set_low(&queue->used_pa, value); break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH: set_high(&queue->used_pa, value); break;
	}
}

static void write_register(struct kl_virtio *device, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL: device->features_select = value; break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL: device->driver_features_select = value; break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (device->status & VIRTIO_CONFIG_S_FEATURES_OK)
			break;
		if (device->driver_features_select == 0)
			set_low(&device->driver_features, value);
		else if (device->driver_features_select == 1)
			set_high(&device->driver_features, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL: device->queue_select = value; break;
	case VIRTIO_MMIO_INTERRUPT_ACK: device->interrupt_status &= ~value; break;
	case VIRTIO_MMIO_STATUS: write_status(device, value); break;
	default: write_queue_register(device, offset, value); break;
	}
}

bool kl_virtio_write(struct kl_virtio *device, uint64_t offset, uint32_t value, uint32_t bytes)
{
	/* The configuration is read-only; registers are written whole. */
	if (bytes != 4 || offset % 4 || offset >= VIRTIO_MMIO_CONFIG)
		return false;
	pthread_mutex_lock(&device->lock);
	bool ran = device->running;
	write_register(device, offset, value);
	bool begun = device->running && (!ran || offset == VIRTIO_MMIO_QUEUE_NOTIFY);
	pthread_mutex_unlock(&device->lock);
	return begun;
}

void kl_virtio_publish(struct kl_virtio *device, unsigned int queue)
{
	if (!kl_vq_publish(&device->vq[queue]))
		return;
	device->interrupt_status |= VIRTIO_MMIO_INT_VRING;
	kl_call_raise(device->call);
}

void kl_virtio_break(struct kl_virtio *device, unsigned int queue)
{
	if (!device->running)
		return;
	kl_notice("the device stops until the guest resets it", "%s: queue %u: the guest's ring is malformed",
		device->name, queue);
	device->running = false;
	device->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	device->interrupt_status |= VIRTIO_MMIO_INT_CONFIG;
	kl_call_raise(device->call);
}
