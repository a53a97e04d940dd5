/* SPDX-License-Identifier: Apache-2.0 */
#include "../../virtio/tests/model.h"

#include <kl/clock.h>
#include <kl/platform.h>
#include <kl/random.h>
#include <kl/sched.h>
#include <linux/virtio_ids.h>

#include "kl_host.h"

int kl_virtio_rng_init(void);

struct kl_boot_info kl_boot;

static struct model model;
static struct kl_virtio_device *device;
static struct kl_poller *poller;
static uint8_t added[64];
static size_t added_bytes;
static uint32_t gives;

void kl_poller_add(struct kl_poller *p)
{
	poller = p;
}

void kl_random_add(const void *buf, size_t n)
{
	memcpy(added, buf, n);
	added_bytes += n;
}

static uint32_t serve(struct model *m, uint16_t head)
{
	CHECK(m->desc[head].flags == VRING_DESC_F_WRITE && m->desc[head].len == 64);
	memset(kl_phys_to_virt(m->desc[head].addr), 0x5a, KL_MIN(gives, 64u));
	return gives;
}

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	CHECK(dev == device && queue == 0);
	model_notify(&model);
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	CHECK(count == 1);
	device = devs[0];
	device->result = 0;
	model_attach(&model, device->queues[0]);
	model.serve = serve;
	model.state = MODEL_ASLEEP;
	return 0;
}

static const struct kl_virtio_transport transport = {.activate = activate, .notify = notify};

int main(void)
{
	kl_boot.devices_count = 1;
	kl_boot.devices[0] = (struct kl_boot_device){
		.virtio_id = VIRTIO_ID_RNG, .features = 1ull << VIRTIO_F_VERSION_1, .queues = 1, .queue_max = 8};
	kl_virtio_use(&transport);
	CHECK(kl_virtio_rng_init() == 0 && kl_virtio_activate_all() == 0 && poller);
	CHECK(model.avail->idx == 0 && !poller->poll(poller));
	printf("ok the start asks for nothing\n");

	kl_host_advance(2 * KL_NS_PER_S);
	CHECK(model.avail->idx == 1 && model.notified == 1 && !poller->arm(poller));
	gives = 40;
	model.interrupt = false;
	model_run(&model);
	CHECK(model.interrupt && poller->arm(poller) && poller->poll(poller) && added_bytes == 40 && added[39] == 0x5a);
	CHECK(!poller->poll(poller));
	kl_host_advance(700 * KL_NS_PER_S);
	CHECK(model.avail->idx == 2);
	kl_host_advance(700 * KL_NS_PER_S);
	CHECK(model.avail->idx == 2);
	printf("ok entropy is added after a while, and again; one request at a time\n");

	gives = 65;
	model_run(&model);
	CHECK(!poller->poll(poller) && added_bytes == 40 && device->broken);
	printf("ok a device that says it wrote more is not believed\n");
	return 0;
}
