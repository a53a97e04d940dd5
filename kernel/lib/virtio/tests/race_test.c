/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No event is lost. virtq.c is compiled into this file with a hook at each access to shared memory, where the device may take
 * steps. Whoever goes to sleep must be woken when there is work: a driver that sleeps beside a device that sleeps, with
 * requests in flight, is the failure.
 */
#include "model.h"

#include <kl/platform.h>

static void hook(void);

#define __atomic_load_n(p, order)                                                                                      \
	({                                                                                                             \
		hook();                                                                                                \
		*(volatile __typeof__(*(p)) *)(p);                                                                     \
	})
#define __atomic_store_n(p, v, order)                                                                                  \
	({                                                                                                             \
		hook();                                                                                                \
		*(volatile __typeof__(*(p)) *)(p) = (v);                                                               \
		hook();                                                                                                \
	})
#define __atomic_thread_fence(order) hook()
#include "../virtq.c"

#define REQUESTS 120u
#define SEEDS 20000u
#define STEPS_MAX 100000u

struct kl_boot_info kl_boot;

static struct model model;
static bool device_runs;
static uint32_t state;

static uint32_t dice(uint32_t sides)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state % sides;
}

static void hook(void)
{
	while (device_runs && dice(3) == 0)
		model_step(&model, 1 + dice(4));
}

void kl_virtio_notify(struct kl_virtio_device *dev, uint16_t queue)
{
	CHECK(dev->active && queue == 0);
	model_notify(&model);
}

void kl_virtio_break(struct kl_virtio_device *dev, const char *why)
{
	printf("FAIL an honest device was found broken: %s\n", why);
	exit(1);
}

static uint32_t serve(struct model *m, uint16_t head)
{
	uint32_t bytes = 0;

	for (uint16_t i = head;; i = m->desc[i].next) {
		if (m->desc[i].flags & VRING_DESC_F_WRITE)
			bytes += m->desc[i].len;
		if (!(m->desc[i].flags & VRING_DESC_F_NEXT))
			return bytes;
	}
}

static void sleep_until_interrupt(struct kl_virtq *vq, unsigned after)
{
	unsigned steps = 0;

	if (kl_virtq_arm(vq, after))
		return;
	while (!model.interrupt) {
		CHECK(model.state != MODEL_ASLEEP && "both sides sleep: an event was lost");
		CHECK(steps++ < STEPS_MAX);
		model_step(&model, 1 + dice(4));
	}
}

static unsigned add_some(struct kl_virtq *vq, uintptr_t *next)
{
	unsigned count = 1 + dice(6), added = 0;

	for (; added < count && *next <= REQUESTS; added++) {
		struct kl_virtq_buf bufs[3] = {{0x1000, 16}, {0x2000, 32}, {0x3000, 64}};
		unsigned out = dice(2), in = dice(3);

		if (kl_virtq_add(vq, bufs, out + (out + in == 0), in, (void *)*next) != 0)
			break;
		++*next;
	}
	return added;
}

static void run(uint32_t seed, bool event_idx, unsigned size, uint16_t start)
{
	struct kl_boot_device boot = {.queues = 1, .queue_max = 64};
	struct kl_virtio_device dev = {.boot = &boot, .active = false};
	struct kl_virtq vq;
	uint8_t seen[REQUESTS + 1] = {0};
	uintptr_t next = 1, done = 0;
	void *cookie;

	state = seed * 2654435761u + 1;
	dev.features = event_idx ? 1ull << VIRTIO_RING_F_EVENT_IDX : 0;
	CHECK(kl_virtio_queue(&dev, &vq, size) == 0 && vq.size == size);
	dev.active = true;
	/* Indices wrap at 65536 some time. */
	vq.added = vq.published = vq.taken = start;
	vq.avail->idx = vq.used->idx = start;
	model_attach(&model, &vq);
	model.next_avail = model.next_used = model.published = start;
	model.serve = serve;
	device_runs = true;
	while (done < REQUESTS) {
		uint32_t bytes;

		add_some(&vq, &next);
		kl_virtq_kick(&vq);
		while ((cookie = kl_virtq_get(&vq, &bytes)) != NULL) {
			CHECK((uintptr_t)cookie <= REQUESTS && seen[(uintptr_t)cookie]++ == 0);
			done++;
		}
		if (vq.in_flight > 0 && dice(2)) {
			model.interrupt = false;
			sleep_until_interrupt(&vq, dice(2) ? 0 : event_idx ? dice(vq.in_flight) : 0);
			if (dice(2))
				kl_virtq_disarm(&vq);
		}
	}
	device_runs = false;
	CHECK(vq.free_count == vq.size && vq.in_flight == 0);
	kl_virtq_free(&vq);
}

int main(void)
{
	for (uint32_t seed = 1; seed <= SEEDS; seed++)
		run(seed, true, 8u << seed % 3, (uint16_t)(seed % 7 ? 0 : 65500));
	printf("ok no event is lost with the event index\n");
	for (uint32_t seed = 1; seed <= SEEDS; seed++)
		run(seed, false, 8u << seed % 3, (uint16_t)(seed % 7 ? 0 : 65500));
	printf("ok no event is lost with the ring's flags\n");
	return 0;
}
