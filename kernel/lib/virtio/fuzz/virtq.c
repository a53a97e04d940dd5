/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver that behaves, beside a device that writes whatever it likes into the memory of the rings, at any moment. Each byte of
 * the input is one action of one of them. Every cookie must come back at most once, with a length that fits.
 */
#include "../tests/model.h"

#include <kl/log.h>
#include <kl/platform.h>

#define SIZE 8u
#define ROOM 100u

struct kl_boot_info kl_boot;

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
}

static const struct kl_virtio_transport transport = {.notify = notify};

/* A line for each broken device would be most of the run. */
void kl_log(enum kl_log_level level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

struct input {
	const uint8_t *data;
	size_t left;
};

static uint32_t take(struct input *in, unsigned bytes)
{
	uint32_t value = 0;

	while (bytes-- > 0 && in->left > 0) {
		value = value << 8 | *in->data++;
		in->left--;
	}
	return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kl_boot_device boot = {.queues = 1, .queue_max = SIZE};
	struct kl_virtio_device dev = {.boot = &boot};
	struct input in = {data, size};
	uint32_t given[64] = {0}; /* cookie - 1 -> room + 1 while in flight */
	struct kl_virtq vq;
	struct model model;
	void *cookie;

	kl_virtio_use(&transport);
	dev.features = take(&in, 1) & 1 ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0;
	CHECK(kl_virtio_queue(&dev, &vq, SIZE) == 0);
	dev.active = true;
	model_attach(&model, &vq);
	while (in.left > 0) {
		uint32_t action = take(&in, 1), bytes = 0;
		struct kl_virtq_buf bufs[16];
		unsigned free = 0;

		switch (action % 8) {
		case 0:
		case 1:
			while (free < 64 && given[free] != 0)
				free++;
			for (unsigned i = 0; i < 16; i++)
				bufs[i] = (struct kl_virtq_buf){0x1000, ROOM};
			if (free < 64 &&
				kl_virtq_add(&vq, bufs, action >> 3 & 3, action >> 5, (void *)(uintptr_t)(free + 1)) ==
					0)
				given[free] = (action >> 5) * ROOM + 1;
			break;
		case 2: kl_virtq_kick(&vq); break;
		case 3:
			cookie = kl_virtq_get(&vq, &bytes);
			if (cookie != NULL) {
				CHECK((uintptr_t)cookie <= 64 && given[(uintptr_t)cookie - 1] != 0);
				CHECK(bytes < given[(uintptr_t)cookie - 1]);
				given[(uintptr_t)cookie - 1] = 0;
			}
			break;
		case 4:
			if (kl_virtq_arm(&vq, action >> 3))
				break;
			kl_virtq_disarm(&vq);
			break;
		case 5: {
			/* The device writes anywhere in the rings. */
			size_t all = (size_t)((uint8_t *)(vq.used + 1) + SIZE * 8 + 2 - (uint8_t *)vq.desc);

			((uint8_t *)vq.desc)[take(&in, 2) % all] = (uint8_t)take(&in, 1);
			break;
		}
		case 6:
			vq.used->ring[vq.used->idx % SIZE] =
				(struct vring_used_elem){take(&in, 1) % 10, take(&in, 1) * 4};
			vq.used->idx++;
			break;
		default: model_step(&model, 1 + (action >> 3)); break;
		}
		CHECK(vq.free_count <= SIZE && vq.in_flight <= SIZE);
	}
	while ((cookie = kl_virtq_detach(&vq)) != NULL)
		CHECK(given[(uintptr_t)cookie - 1] != 0);
	CHECK(vq.free_count == SIZE && vq.in_flight == 0);
	kl_virtq_free(&vq);
	return 0;
}
