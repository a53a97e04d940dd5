/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entropy from the host (VIRTIO 1.2, section 5.4). The generator has its seed from the boot record; this adds to it a while
 * after the start and now and then, so that a machine that was copied or ran for long does not live on one seed.
 */
#include <kl/clock.h>
#include <kl/heap.h>
#include <kl/pmm.h>
#include <kl/random.h>
#include <kl/sched.h>
#include <kl/string.h>
#include <kl/virtio.h>
#include <asm/errno.h>
#include <linux/virtio_ids.h>

#define ENTRIES 2u
#define BYTES 64u
#define FIRST_NS KL_NS_PER_S
#define AGAIN_NS (600 * KL_NS_PER_S)

struct rng {
	struct kl_virtio_device *dev;
	struct kl_virtq vq;
	struct kl_poller poller;
	struct kl_timer timer;
	uint8_t bytes[BYTES]; /* the device writes here */
};

static struct rng *rng;

static bool poll(struct kl_poller *poller)
{
	uint8_t copy[BYTES];
	uint32_t n;

	(void)poller;
	if (!kl_virtq_ready(&rng->vq) || kl_virtq_get(&rng->vq, &n) == NULL)
		return false;
	memcpy(copy, rng->bytes, n);
	kl_random_add(copy, n);
	memset(rng->bytes, 0, sizeof(rng->bytes));
	memset(copy, 0, sizeof(copy));
	__asm__ volatile("" : : "r"(copy) : "memory");
	return true;
}

static bool arm(struct kl_poller *poller)
{
	(void)poller;
	return rng->vq.in_flight > 0 && kl_virtq_arm(&rng->vq, 0);
}

static void due(struct kl_timer *timer)
{
	struct kl_virtq_buf buf = {.pa = kl_virt_to_phys(rng->bytes), .bytes = BYTES};

	/* Without memory for the timer there is no next time. */
	if (kl_timer_set(timer, kl_clock_ns() + AGAIN_NS) != 0)
		return;
	if (rng->vq.in_flight == 0 && kl_virtq_add(&rng->vq, &buf, 0, 1, rng) == 0)
		kl_virtq_kick(&rng->vq);
}

static int start(struct kl_virtio_device *dev)
{
	(void)dev;
	rng->poller.poll = poll;
	rng->poller.arm = arm;
	kl_poller_add(&rng->poller);
	rng->timer.fn = due;
	return kl_timer_set(&rng->timer, kl_clock_ns() + FIRST_NS);
}

int kl_virtio_rng_init(void); /* for the table of init functions */

int kl_virtio_rng_init(void)
{
	struct kl_virtio_device *dev = kl_virtio_claim(VIRTIO_ID_RNG);
	int error;

	if (dev == NULL)
		return 0;
	rng = kl_zalloc(sizeof(*rng));
	if (rng == NULL)
		return -ENOMEM;
	rng->dev = dev;
	error = kl_virtio_configure(dev, 0);
	if (error == 0)
		error = kl_virtio_queue(dev, &rng->vq, ENTRIES);
	if (error) {
		dev->configured = false;
		kl_free(rng);
		return error == -ENOMEM ? error : 0;
	}
	dev->start = start;
	return 0;
}
