/* SPDX-License-Identifier: Apache-2.0 */
/* One device with numbered ports: the control messages, where output goes, and the end of the input behind the last byte. */
#include "../../virtio/tests/model.h"

#include <kl/console.h>
#include <kl/platform.h>
#include <kl/sched.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>

#include "kl_host.h"

enum { CONTROL_RX = 2, CONTROL_TX = 3, STDIN = 4, STDOUT = 7, STDERR = 9, QUEUES = 10 };

int kl_virtio_console_init(void);

struct kl_boot_info kl_boot;

static struct model models[QUEUES];
static struct kl_virtio_device *device;
static struct kl_poller *poller;
static struct kl_console_port *out, *err;
static char text[3][64]; /* stdout, stderr, and the input that was taken */
static size_t bytes[3], room;
static bool ended;
static unsigned ready, opened; /* bits by port */

void kl_poller_add(struct kl_poller *added)
{
	poller = added;
}

int kl_console_add(struct kl_console_port *port)
{
	*(port->role == KL_ROLE_STDIO ? &out : &err) = port;
	return 0;
}

size_t kl_console_input(struct kl_console_port *port, const void *data, size_t n)
{
	CHECK(port == out && !ended);
	n = KL_MIN(n, room);
	memcpy(text[2] + bytes[2], data, n);
	bytes[2] += n;
	room -= n;
	return n;
}

void kl_console_input_end(struct kl_console_port *port)
{
	CHECK(port == out);
	ended = true;
}

void kl_console_room(struct kl_console_port *port)
{
	(void)port;
}

static void give(unsigned queue, const void *data, uint32_t n)
{
	struct model *m = &models[queue];
	uint16_t head;

	CHECK(m->avail->idx != m->next_avail);
	head = m->avail->ring[m->next_avail++ % m->size];
	CHECK(m->desc[head].flags == VRING_DESC_F_WRITE && n <= m->desc[head].len);
	memcpy(kl_phys_to_virt(m->desc[head].addr), data, n);
	m->used->ring[m->next_used++ % m->size] = (struct vring_used_elem){head, n};
	model_publish(m);
}

static void say(uint32_t port, uint16_t event, uint16_t value)
{
	struct virtio_console_control message = {port, event, value};

	give(CONTROL_RX, &message, sizeof(message));
}

static uint32_t hear(struct model *m, uint16_t head)
{
	struct virtio_console_control message;

	CHECK(m->desc[head].len == sizeof(message));
	memcpy(&message, kl_phys_to_virt(m->desc[head].addr), sizeof(message));
	switch (message.event) {
	case VIRTIO_CONSOLE_DEVICE_READY:
		CHECK(message.value == 1);
		for (uint32_t port = 0; port <= 4; port++)
			say(port, VIRTIO_CONSOLE_PORT_ADD, 1);
		break;
	case VIRTIO_CONSOLE_PORT_READY: ready |= 1u << message.id; break;
	case VIRTIO_CONSOLE_PORT_OPEN:
		CHECK(ready >> message.id & 1 && message.value == 1);
		opened |= 1u << message.id;
		say(message.id, VIRTIO_CONSOLE_PORT_OPEN, 1);
		break;
	default: CHECK(!"a message");
	}
	return 0;
}

static uint32_t print(struct model *m, uint16_t head)
{
	unsigned which = m == &models[STDERR];

	memcpy(text[which] + bytes[which], kl_phys_to_virt(m->desc[head].addr), m->desc[head].len);
	bytes[which] += m->desc[head].len;
	return 0;
}

/* As an emulator: a notified device works before the notification returns. */
static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	CHECK(dev == device && models[queue].size != 0);
	model_notify(&models[queue]);
	if (models[queue].serve)
		model_run(&models[queue]);
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	CHECK(count == 1 && devs[0]->queues_count == QUEUES);
	device = devs[0];
	device->result = 0;
	for (unsigned i = 0; i < QUEUES; i++) {
		bool used = i == CONTROL_RX || i == CONTROL_TX || i == STDIN || i == STDOUT || i == STDERR;

		CHECK((device->queues[i] != NULL) == used);
		if (!used)
			continue;
		CHECK(device->queues[i]->index == i);
		model_attach(&models[i], device->queues[i]);
		models[i].state = MODEL_ASLEEP;
	}
	models[CONTROL_TX].serve = hear;
	models[STDOUT].serve = models[STDERR].serve = print;
	return 0;
}

static const struct kl_virtio_transport transport = {.activate = activate, .notify = notify};

static void test_start(void)
{
	kl_boot.devices_count = 1;
	kl_boot.devices[0] = (struct kl_boot_device){.virtio_id = VIRTIO_ID_CONSOLE,
		.role = KL_ROLE_STDIO,
		.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
			1ull << VIRTIO_CONSOLE_F_MULTIPORT,
		.queues = QUEUES,
		.queue_max = 64};
	kl_virtio_use(&transport);
	CHECK(kl_virtio_console_init() == 0 && out && err && poller);
	CHECK(out->ops->write(out, "early ", 6) == 6);
	CHECK(kl_virtio_activate_all() == 0 && device->active);
	CHECK(ready == 0xe && opened == 0xe);
	printf("ok the ports with numbers of ours are opened\n");
}

static void test_streams(void)
{
	CHECK(out->ops->write(out, "out", 3) == 3 && err->ops->write(err, "err", 3) == 3);
	out->ops->flush(out);
	err->ops->flush(err);
	CHECK(out->ops->drained(out) && err->ops->drained(err));
	CHECK(strcmp(text[0], "early out") == 0 && strcmp(text[1], "err") == 0);
	err->ops->resume(err);
	printf("ok each stream has its port\n");
}

static void test_nonsense(void)
{
	give(CONTROL_RX, "abc", 3);
	give(CONTROL_RX, "", 0);
	say(99, VIRTIO_CONSOLE_PORT_ADD, 1);
	say(99, VIRTIO_CONSOLE_PORT_OPEN, 0);
	say(2, VIRTIO_CONSOLE_PORT_OPEN, 0);
	say(1, 1000, 7);
	CHECK(poller->poll(poller) && !ended && !device->broken && opened == 0xe);
	for (unsigned i = 0; i < 100; i++) {
		say(1, VIRTIO_CONSOLE_PORT_ADD, 1);
		poller->poll(poller);
	}
	CHECK(!device->broken);
	printf("ok control messages that mean nothing change nothing\n");
}

static void test_end(void)
{
	out->ops->resume(out);
	room = 4;
	give(STDIN, "first ", 6);
	give(STDIN, "second", 6);
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	CHECK(poller->poll(poller) && bytes[2] == 4 && !ended);
	room = 5;
	out->ops->resume(out);
	CHECK(bytes[2] == 9 && !ended);
	room = 50;
	out->ops->resume(out);
	CHECK(strcmp(text[2], "first second") == 0 && ended);
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	CHECK(poller->poll(poller));
	printf("ok the input ends behind its last byte\n");
}

int main(void)
{
	test_start();
	test_streams();
	test_nonsense();
	test_end();
	return 0;
}
