/* SPDX-License-Identifier: Apache-2.0 */
/* Driver and device on two processors: the order of stores and loads is the real one. A lost event is a time-out. */
#include "model.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <kl/platform.h>

#define REQUESTS 200000ul
#define TIMEOUT_S 20

struct kl_boot_info kl_boot;

static struct model model;
static unsigned notified, interrupted; /* signals not yet taken; set by the one, taken by the other */
static volatile bool stop;

/* Spins, so that both run all the time and meet within nanoseconds; gives way where there is one processor only. */
static void wait_for(unsigned *signal, const char *who)
{
	time_t until = time(NULL) + TIMEOUT_S;

	for (unsigned long spins = 1; !__atomic_exchange_n(signal, 0, __ATOMIC_ACQ_REL); spins++) {
		if (spins % 1024 != 0)
			continue;
		sched_yield();
		if (time(NULL) > until) {
			printf("FAIL the %s waits for ever: an event was lost\n", who);
			fflush(stdout);
			_Exit(1);
		}
	}
}

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	__atomic_store_n(&notified, 1, __ATOMIC_RELEASE);
}

static void *device(void *arg)
{
	while (!stop) {
		unsigned long before = model.interrupts;

		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		model_step(&model, 5);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (model.interrupts != before)
			__atomic_store_n(&interrupted, 1, __ATOMIC_RELEASE);
		if (model.state == MODEL_ASLEEP && !stop) {
			wait_for(&notified, "device");
			model.state = MODEL_LOOKING;
		}
	}
	return arg;
}

static const struct kl_virtio_transport transport = {.notify = notify};

int main(void)
{
	struct kl_boot_device boot = {.queues = 1, .queue_max = 64};
	struct kl_virtio_device dev = {.boot = &boot, .features = 1ull << VIRTIO_RING_F_EVENT_IDX};
	struct kl_virtq_buf buf = {0x1000, 8};
	unsigned long added = 0, done = 0, sleeps = 0;
	struct kl_virtq vq;
	pthread_t thread;

	kl_virtio_use(&transport);
	CHECK(kl_virtio_queue(&dev, &vq, 16) == 0);
	dev.active = true;
	model_attach(&model, &vq);
	CHECK(pthread_create(&thread, NULL, device, NULL) == 0);
	while (done < REQUESTS) {
		unsigned burst = added & 0x1000 ? 1 : 1 + added % 11;

		while (burst-- > 0 && added < REQUESTS && kl_virtq_add(&vq, &buf, 1, 0, (void *)(added + 1)) == 0)
			added++;
		kl_virtq_kick(&vq);
		while (kl_virtq_get(&vq, NULL) != NULL)
			done++;
		if (vq.in_flight > 0 && !kl_virtq_arm(&vq, (done & 1) ? vq.in_flight - 1u : 0)) {
			wait_for(&interrupted, "driver");
			sleeps++;
		}
	}
	stop = true;
	__atomic_store_n(&notified, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	CHECK(!dev.broken && vq.free_count == vq.size);
	kl_virtq_free(&vq);
	printf("ok %lu requests, %lu sleeps of the driver on two processors\n", done, sleeps);
	return 0;
}
