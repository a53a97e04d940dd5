// SPDX-License-Identifier: Apache-2.0
/* Copies standard input to standard output through virtio-console, says "end" on standard error, and shows random bytes. */
#include "ring.h"

#include <linux/virtio_ids.h>

void guest_trap(struct frame *frame)
{
	if (frame->vector != KL_VECTOR_TICK)
		guest_exit(99);
}

static struct ring in_out[2], error_rings[2], random_ring;

static void put(struct ring *ring, const void *bytes, uint32_t count)
{
	static uint16_t next;
	uint32_t unused;

	while (ring->next_avail - ring->seen_used >= RING_SIZE)
		if (ring_take(ring, &unused) < 0)
			wait_ns(KL_WAIT_FOREVER);
	uint16_t slot = next++ % RING_SIZE;
	copy(ring_buffer(ring, slot), bytes, count);
	ring_offer(ring, slot, count, 0);
	ring_notify(ring);
}

void guest_main(const struct kl_boot_info *info)
{
	uint32_t stdio = find_device(info, VIRTIO_ID_CONSOLE, KL_ROLE_STDIO), bytes, total = 0;
	uint32_t error = find_device(info, VIRTIO_ID_CONSOLE, KL_ROLE_STDERR),
		 rng = find_device(info, VIRTIO_ID_RNG, 0);
	int slot;

	for (uint32_t i = 0; i < 2; i++) {
		ring_place(&in_out[i], info, stdio, i);
		ring_place(&error_rings[i], info, error, i);
	}
	ring_place(&random_ring, info, rng, 0);
	for (uint16_t i = 0; i < RING_SIZE / 2; i++)
		ring_offer(&in_out[0], i, RING_BUFFER_BYTES, 1);
	if (ring_activate(info, in_out, 2, info->devices[stdio].features) ||
		ring_activate(info, error_rings, 2, info->devices[error].features) ||
		ring_activate(info, &random_ring, 1, info->devices[rng].features))
		guest_exit(96);
	for (;;) {
		slot = ring_take(&in_out[0], &bytes);
		if (slot < 0) {
			wait_ns(KL_WAIT_FOREVER);
			continue;
		}
		if (!bytes)
			break;
		total += bytes;
		put(&in_out[1], ring_buffer(&in_out[0], (uint16_t)slot), bytes);
		ring_offer(&in_out[0], (uint16_t)slot, RING_BUFFER_BYTES, 1);
		ring_notify(&in_out[0]);
	}
	guest_log_number("bytes ", total);
	ring_offer(&random_ring, 0, 16, 1);
	ring_notify(&random_ring);
	while ((slot = ring_take(&random_ring, &bytes)) < 0)
		wait_ns(KL_WAIT_FOREVER);
	guest_log_number("random bytes ", bytes);
	guest_log_number("random value ", *(uint64_t *)ring_buffer(&random_ring, 0));
	put(&error_rings[1], "end\n", 4);
	guest_exit(7);
}
