// SPDX-License-Identifier: Apache-2.0
/* What the guest reaches at KL_MONITOR_PA: the monitor's registers, and the windows of the virtio devices. */
#include "vcpu.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SETUP_ENTRIES_MAX ((KL_SHARED_PA - KL_VIRTIO_SETUP_PA) / sizeof(struct kl_virtio_setup))

/* Text from the log buffer to the log. What cannot be written is dropped. */
static void write_log(struct kl_vcpu *vcpu, uint32_t bytes)
{
	char text[KL_LOG_BYTES];
	size_t done = 0;

	if (bytes > sizeof(text))
		bytes = sizeof(text);
	memcpy(text, kl_memory_at(&vcpu->vm->memory, KL_LOG_PA, sizeof(text)), bytes);
	vcpu->counters.log_bytes += bytes;
	while (done < bytes && !vcpu->stop_signal) {
		ssize_t written = write(vcpu->log_fd, text + done, bytes - done);

		if (written > 0)
			done += (size_t)written;
		else if (errno == EAGAIN)
			poll(&(struct pollfd){.fd = vcpu->log_fd, .events = POLLOUT}, 1, 100);
		else if (errno != EINTR)
			return;
	}
}

static void activate(struct kl_vcpu *vcpu, uint32_t count)
{
	if (count > SETUP_ENTRIES_MAX)
		count = SETUP_ENTRIES_MAX;
	for (uint32_t i = 0; i < count; i++) {
		struct kl_virtio_setup *shared =
			kl_memory_at(&vcpu->vm->memory, KL_VIRTIO_SETUP_PA + i * sizeof(*shared), sizeof(*shared));
		struct kl_virtio_setup setup;
		int result = -ENODEV;

		memcpy(&setup, shared, sizeof(setup));
		if (setup.device < vcpu->devices_count) {
			result = kl_virtio_activate(vcpu->devices[setup.device], &setup);
			if (!result)
				kl_worker_notified(vcpu->worker, vcpu->devices[setup.device]);
		}
		shared->result = result;
		vcpu->counters.activations++;
	}
}

static enum kl_bus_result write_register(struct kl_vcpu *vcpu, uint64_t offset, uint32_t value, int *status)
{
	switch (offset) {
	case KL_REG_WAIT: kl_vcpu_wait(vcpu); break;
	case KL_REG_ACTIVATE: activate(vcpu, value); break;
	case KL_REG_LOG: write_log(vcpu, value); break;
	case KL_REG_EXIT:
		for (unsigned int i = 0; i < vcpu->consoles_count; i++)
			kl_console_drain(&vcpu->consoles[i], &vcpu->stop_signal);
		*status = value & 0xff;
		return KL_BUS_EXIT;
	}
	return KL_BUS_DONE;
}

enum kl_bus_result kl_bus_access(
	struct kl_vcpu *vcpu, uint64_t pa, uint8_t *data, uint32_t bytes, bool write, int *status)
{
	uint64_t value = 0;

	if (pa < KL_MONITOR_PA || pa >= KL_VIRTIO_PA + KL_VIRTIO_MAX * KL_VIRTIO_STRIDE || bytes > sizeof(value))
		return KL_BUS_UNKNOWN;
	if (write)
		memcpy(&value, data, bytes);
	if (pa < KL_VIRTIO_PA) {
		if (write && bytes == 4)
			return write_register(vcpu, pa - KL_MONITOR_PA, (uint32_t)value, status);
	} else {
		uint64_t index = (pa - KL_VIRTIO_PA) / KL_VIRTIO_STRIDE,
			 offset = (pa - KL_VIRTIO_PA) % KL_VIRTIO_STRIDE;
		struct kl_virtio *device = index < vcpu->devices_count ? vcpu->devices[index] : NULL;

		/* A window without a device reads as zero: no magic value, so no driver will touch it. */
		if (device && write) {
			if (kl_virtio_write(device, offset, (uint32_t)value, bytes))
				kl_worker_notified(vcpu->worker, device);
		} else if (device) {
			value = kl_virtio_read(device, offset, bytes);
		}
	}
	if (!write)
		memcpy(data, &value, bytes);
	return KL_BUS_DONE;
}
