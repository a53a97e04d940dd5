/* SPDX-License-Identifier: Apache-2.0 */
/* Queues and devices: what goes in comes out, and what a device must not do is refused. */
#include "model.h"

#include <asm/errno.h>
#include <kl/platform.h>

#include "kl_host.h"

struct kl_boot_info kl_boot;

static unsigned notifications, activations, starts;
static int activate_result;

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	(void)dev;
	(void)queue;
	notifications++;
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	activations++;
	for (unsigned i = 0; i < count; i++)
		devs[i]->result = devs[i]->index == 1 ? -EIO : 0;
	return activate_result;
}

static int start(struct kl_virtio_device *dev)
{
	CHECK(dev->active);
	starts++;
	return 0;
}

static const struct kl_virtio_transport transport = {.activate = activate, .notify = notify, .exit_drains = true};

static struct kl_boot_device boot = {.queues = 2, .queue_max = 100};
static struct kl_virtio_device dev;
static struct kl_virtq vq;

static void set_up(uint64_t features)
{
	dev = (struct kl_virtio_device){.boot = &boot, .features = features};
	CHECK(kl_virtio_queue(&dev, &vq, 8) == 0);
	dev.active = true;
	notifications = 0;
}

static void tear_down(void)
{
	while (kl_virtq_detach(&vq) != NULL)
		;
	CHECK(vq.free_count == vq.size && vq.in_flight == 0);
	kl_virtq_free(&vq);
	CHECK(kl_host_allocations() == 0);
}

static void use(uint32_t id, uint32_t len)
{
	vq.used->ring[vq.used->idx % vq.size] = (struct vring_used_elem){id, len};
	vq.used->idx++;
}

static void test_chains(void)
{
	struct kl_virtq_buf bufs[9] = {{0x1000, 10}, {0x2000, 20}, {0x3000, 30}, {0x4000, 40}};
	uint32_t bytes = 99;
	uint16_t head;

	set_up(0);
	CHECK(vq.size == 8);
	CHECK(kl_virtq_add(&vq, bufs, 2, 2, &bufs[0]) == 0 && vq.avail->idx == 0);
	head = vq.avail->ring[0];
	CHECK(vq.desc[head].addr == 0x1000 && vq.desc[head].len == 10 && vq.desc[head].flags == VRING_DESC_F_NEXT);
	head = vq.desc[vq.desc[head].next].next;
	CHECK(vq.desc[head].flags == (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE) && vq.desc[head].addr == 0x3000);
	CHECK(vq.desc[vq.desc[head].next].flags == VRING_DESC_F_WRITE);
	CHECK(kl_virtq_add(&vq, bufs, 5, 0, &bufs[1]) == -ENOBUFS);
	CHECK(kl_virtq_add(&vq, bufs, 0, 0, &bufs[1]) == -ENOBUFS);
	CHECK(kl_virtq_add(&vq, bufs, 4, 0, &bufs[1]) == 0 && vq.free_count == 0);
	kl_virtq_kick(&vq);
	CHECK(vq.avail->idx == 2 && notifications == 1);
	kl_virtq_kick(&vq);
	CHECK(notifications == 1);
	CHECK(!kl_virtq_ready(&vq) && kl_virtq_get(&vq, &bytes) == NULL);
	/* Out of order, and a length where nothing was to be written. */
	use(vq.avail->ring[1], 1234);
	use(vq.avail->ring[0], 70);
	CHECK(kl_virtq_get(&vq, &bytes) == &bufs[1] && bytes == 0);
	CHECK(kl_virtq_get(&vq, &bytes) == &bufs[0] && bytes == 70 && !dev.broken);
	tear_down();
	printf("ok chains come back in the order of the device\n");
}

static void expect_broken(uint32_t id, uint32_t len)
{
	struct kl_virtq_buf buf = {0x1000, 100};

	set_up(0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	kl_virtq_kick(&vq);
	use(id, len);
	CHECK(kl_virtq_get(&vq, NULL) == NULL && dev.broken && !kl_virtq_ready(&vq));
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == -EIO && kl_virtq_get(&vq, NULL) == NULL);
	CHECK(!kl_virtq_arm(&vq, 0));
	tear_down();
}

static void test_hostile(void)
{
	struct kl_virtq_buf buf = {0x1000, 100};
	uint32_t bytes;

	expect_broken(8, 0);
	expect_broken(0xffffffff, 0);
	expect_broken(1, 0); /* not in flight */
	expect_broken(0, 101);
	expect_broken(0, 0xffffffff);
	set_up(0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	kl_virtq_kick(&vq);
	vq.used->idx = 2;
	CHECK(kl_virtq_get(&vq, NULL) == NULL && dev.broken);
	tear_down();
	set_up(0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	kl_virtq_kick(&vq);
	use(0, 100);
	use(0, 100); /* the same one twice */
	CHECK(kl_virtq_get(&vq, &bytes) == &buf && bytes == 100);
	CHECK(kl_virtq_get(&vq, &bytes) == NULL && dev.broken);
	tear_down();
	set_up(0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	kl_virtq_kick(&vq);
	/* A chain scribbled over after it was given is not followed. */
	memset(vq.desc, 0xff, vq.size * sizeof(*vq.desc));
	memset(vq.avail->ring, 0xff, vq.size * 2);
	use(1, 5);
	use(0, 5);
	CHECK(kl_virtq_get(&vq, NULL) != NULL && kl_virtq_get(&vq, NULL) != NULL && vq.free_count == 8);
	tear_down();
	printf("ok a hostile device is put aside\n");
}

static void test_memory(void)
{
	kl_host_fail_after = 0;
	dev = (struct kl_virtio_device){.boot = &boot};
	CHECK(kl_virtio_queue(&dev, &vq, 8) == -ENOMEM && dev.queues_count == 0);
	kl_host_fail_after = 1;
	CHECK(kl_virtio_queue(&dev, &vq, 8) == -ENOMEM && dev.queues_count == 0);
	kl_host_fail_after = -1;
	CHECK(kl_virtio_queue(&dev, &vq, 1000) == 0 && vq.size == 64);
	kl_virtq_free(&vq);
	CHECK(kl_virtio_queue(&dev, &vq, 0) == -EINVAL);
	CHECK(kl_virtio_queue(&dev, &vq, 1) == 0 && vq.size == 1);
	kl_virtq_free(&vq);
	CHECK(kl_virtio_queue(&dev, &vq, 8) == -EINVAL);
	CHECK(kl_host_allocations() == 0);
	printf("ok queues are refused without a leak\n");
}

static void test_devices(void)
{
	struct kl_virtio_device *net, *other;
	struct kl_virtq first, second;

	CHECK(kl_virtio_claim(1) == NULL);
	kl_boot.devices_count = 3;
	for (unsigned i = 0; i < 3; i++)
		kl_boot.devices[i] = (struct kl_boot_device){
			.virtio_id = 1, .features = 1ull << VIRTIO_F_VERSION_1 | 5, .queues = 1, .queue_max = 4};
	kl_boot.devices[2].features = 5;
	kl_virtio_use(&transport);
	CHECK(kl_virtio_exit_drains() && kl_virtio_activate_all() == 0 && activations == 0);
	net = kl_virtio_claim(1);
	other = kl_virtio_claim(1);
	CHECK(net && other && net != other && kl_virtio_claim(2) == NULL);
	CHECK(kl_virtio_configure(net, 4) == 0 && net->features == (1ull << VIRTIO_F_VERSION_1 | 4));
	CHECK(kl_virtio_configure(other, 0) == 0);
	CHECK(kl_virtio_configure(kl_virtio_claim(1), 0) == -EOPNOTSUPP && kl_virtio_claim(1) == NULL);
	CHECK(kl_virtio_queue(net, &first, 4) == 0 && kl_virtio_queue(other, &second, 4) == 0);
	net->start = other->start = start;
	CHECK(kl_virtio_activate_all() == 0 && activations == 1 && starts == 1);
	CHECK(net->active && !net->broken && !other->active && other->broken);
	CHECK(kl_virtio_activate_all() == 0 && activations == 1);
	kl_virtq_free(&first);
	kl_virtq_free(&second);
	printf("ok devices start together, and fail alone\n");
}

int main(void)
{
	test_devices();
	test_chains();
	test_hostile();
	test_memory();
	return 0;
}
