/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and starting devices; plain memory stands for registers, which is enough where none has a side effect. */
#include "../../virtio/tests/model.h"

#include <asm/errno.h>
#include <kl/platform.h>
#include <kl/virtio_mmio.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <sys/mman.h>

#define FIRST_PA 0xfeb00000ull
#define STRIDE 512u
#define WINDOWS 24u
#define BYTES (3 * KL_PAGE_BYTES)

struct kl_boot_info kl_boot;

static uint32_t *reg(unsigned window, unsigned offset)
{
	return (uint32_t *)(KL_MMIO_VA + FIRST_PA + window * STRIDE + offset);
}

static void plug(unsigned window, uint32_t id, uint32_t version)
{
	*reg(window, VIRTIO_MMIO_MAGIC_VALUE) = 0x74726976;
	*reg(window, VIRTIO_MMIO_VERSION) = version;
	*reg(window, VIRTIO_MMIO_DEVICE_ID) = id;
	*reg(window, VIRTIO_MMIO_QUEUE_NUM_MAX) = 128;
	*reg(window, VIRTIO_MMIO_DEVICE_FEATURES) = 1; /* either half: VIRTIO_F_VERSION_1 too */
	*reg(window, VIRTIO_MMIO_CONFIG) = 0x12345600 + window;
}

static void unplug_all(void)
{
	memset(reg(0, 0), 0, BYTES);
	memset(&kl_boot, 0, sizeof(kl_boot));
}

static void test_order(void)
{
	/* As QEMU does: an empty slot in each window, devices from the last one down. */
	for (unsigned i = 0; i < 8; i++)
		plug(i, 0, 2);
	plug(7, VIRTIO_ID_CONSOLE, 2);
	plug(6, VIRTIO_ID_CONSOLE, 2);
	plug(5, VIRTIO_ID_NET, 2);
	CHECK(kl_virtio_mmio_probe(&kl_boot, FIRST_PA, STRIDE, WINDOWS) == 3 && kl_boot.devices_count == 3);
	CHECK(kl_boot.devices[0].window_pa == FIRST_PA + 7 * STRIDE && kl_boot.devices[0].role == KL_ROLE_STDIO);
	CHECK(kl_boot.devices[1].role == KL_ROLE_STDERR && kl_boot.devices[2].role == KL_ROLE_NONE);
	CHECK(kl_boot.devices[2].virtio_id == VIRTIO_ID_NET && kl_boot.devices[2].queue_max == 128);
	CHECK(kl_boot.devices[2].features == (1ull << VIRTIO_F_VERSION_1 | 1) && kl_boot.devices[2].config[1] == 0x56);
	unplug_all();
	plug(0, VIRTIO_ID_RNG, 2);
	plug(1, VIRTIO_ID_CONSOLE, 2);
	plug(2, VIRTIO_ID_CONSOLE, 1);
	plug(3, VIRTIO_ID_CONSOLE, 2);
	CHECK(kl_virtio_mmio_probe(&kl_boot, FIRST_PA, STRIDE, WINDOWS) == 3);
	CHECK(kl_boot.devices[0].virtio_id == VIRTIO_ID_RNG && kl_boot.devices[1].role == KL_ROLE_STDIO);
	CHECK(kl_boot.devices[2].window_pa == FIRST_PA + 3 * STRIDE && kl_boot.devices[2].role == KL_ROLE_STDERR);
	unplug_all();
	for (unsigned i = 0; i < WINDOWS; i++)
		plug(i, VIRTIO_ID_BLOCK, 2);
	CHECK(kl_virtio_mmio_probe(&kl_boot, FIRST_PA, STRIDE, WINDOWS) == KL_VIRTIO_MAX);
	unplug_all();
	CHECK(kl_virtio_mmio_probe(&kl_boot, FIRST_PA, STRIDE, WINDOWS) == 0);
	printf("ok devices are found in the order of the command line\n");
}

static void test_start(void)
{
	struct kl_virtio_device *dev;
	struct kl_virtq_buf buf = {0x5000, 10};
	struct kl_virtq vq;

	plug(3, VIRTIO_ID_RNG, 2);
	kl_virtio_mmio_probe(&kl_boot, FIRST_PA, STRIDE, WINDOWS);
	kl_virtio_mmio_use();
	dev = kl_virtio_claim(VIRTIO_ID_RNG);
	CHECK(dev && kl_virtio_configure(dev, 0) == 0 && kl_virtio_queue(dev, &vq, 64) == 0 && vq.size == 64);
	CHECK(kl_virtq_add(&vq, &buf, 0, 1, &buf) == 0);
	kl_virtq_kick(&vq);
	*reg(3, VIRTIO_MMIO_QUEUE_NOTIFY) = 99;
	CHECK(kl_virtio_activate_all() == 0 && dev->active);
	CHECK(*reg(3, VIRTIO_MMIO_STATUS) ==
		(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |
			VIRTIO_CONFIG_S_DRIVER_OK));
	CHECK(*reg(3, VIRTIO_MMIO_QUEUE_NUM) == 64 && *reg(3, VIRTIO_MMIO_QUEUE_READY) == 1);
	CHECK(*reg(3, VIRTIO_MMIO_QUEUE_DESC_LOW) == (uint32_t)kl_virt_to_phys(vq.desc));
	CHECK(*reg(3, VIRTIO_MMIO_QUEUE_USED_HIGH) == kl_virt_to_phys(vq.used) >> 32);
	CHECK(*reg(3, VIRTIO_MMIO_QUEUE_NOTIFY) == 0); /* of what was there before */
	*reg(3, VIRTIO_MMIO_INTERRUPT_STATUS) = 3;
	kl_virtio_mmio_ack();
	CHECK(*reg(3, VIRTIO_MMIO_INTERRUPT_ACK) == 3);
	CHECK(kl_virtq_detach(&vq) == &buf);
	kl_virtq_free(&vq);
	printf("ok a device is started as section 3.1.1 says\n");
}

int main(void)
{
	void *at = (void *)(KL_MMIO_VA + FIRST_PA);

	CHECK(mmap(at, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == at);
	test_order();
	test_start();
	return 0;
}
