// SPDX-License-Identifier: Apache-2.0
/* Sends every Ethernet frame of type 0x88b5 back to where it came from; a frame whose payload starts with 'Q' ends the guest. */
#include "ring.h"

#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#define HEADER sizeof(struct virtio_net_hdr_v1)

void guest_trap(struct frame *frame)
{
	if (frame->vector != KL_VECTOR_TICK)
		guest_exit(99);
}

static struct ring net[2];
static uint16_t next;

static void reply(const uint8_t *frame, uint32_t bytes)
{
	uint32_t unused;

	while (net[1].next_avail - net[1].seen_used >= RING_SIZE)
		if (ring_take(&net[1], &unused) < 0)
			wait_ns(KL_WAIT_FOREVER);
	uint8_t *to = ring_buffer(&net[1], next % RING_SIZE);
	*(struct virtio_net_hdr_v1 *)to = (struct virtio_net_hdr_v1){0};
	copy(to + HEADER, frame + 6, 6);
	copy(to + HEADER + 6, frame, 6);
	for (uint32_t i = 12; i < bytes; i++)
		to[HEADER + i] = frame[i];
	ring_offer(&net[1], next++ % RING_SIZE, HEADER + bytes, 0);
	ring_notify(&net[1]);
}

/* A frame may lie in several buffers; only those of one are echoed, of others the length is told in the log. */
static uint32_t receive(uint8_t **frame, int *first)
{
	uint32_t bytes, total;

	while ((*first = ring_take(&net[0], &bytes)) < 0)
		wait_ns(KL_WAIT_FOREVER);
	struct virtio_net_hdr_v1 *header = (void *)ring_buffer(&net[0], (uint16_t)*first);
	*frame = (uint8_t *)(header + 1);
	total = bytes;
	for (uint16_t i = 1; i < header->num_buffers; i++) {
		int slot = ring_take(&net[0], &bytes);

		if (slot < 0)
			guest_exit(95);
		total += bytes;
		ring_offer(&net[0], (uint16_t)slot, RING_BUFFER_BYTES, 1);
	}
	return total - (uint32_t)HEADER;
}

void guest_main(const struct kl_boot_info *info)
{
	uint32_t device = find_device(info, VIRTIO_ID_NET, 0), bytes;
	uint8_t *frame;
	int slot;

	ring_place(&net[0], info, device, 0);
	ring_place(&net[1], info, device, 1);
	for (uint16_t i = 0; i < RING_SIZE; i++)
		ring_offer(&net[0], i, RING_BUFFER_BYTES, 1);
	if (ring_activate(info, net, 2, info->devices[device].features))
		guest_exit(96);
	guest_log_number("features ", info->devices[device].features);
	guest_log_number("mtu ", ((const struct virtio_net_config *)info->devices[device].config)->mtu);
	guest_log("ready\n");
	for (;;) {
		bytes = receive(&frame, &slot);
		if (frame[12] == 0x88 && frame[13] == 0xb5) {
			if (frame[14] == 'Q')
				guest_exit(0);
			if (bytes <= RING_BUFFER_BYTES - HEADER)
				reply(frame, bytes);
			else
				guest_log_number("large ", bytes);
		}
		ring_offer(&net[0], (uint16_t)slot, RING_BUFFER_BYTES, 1);
		ring_notify(&net[0]);
	}
}
