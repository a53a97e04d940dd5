/* SPDX-License-Identifier: Apache-2.0 */
/* Two consoles beside model devices: every byte goes out once and in order, however the ring wraps and the device dawdles. */
#include "../../virtio/tests/model.h"

#include <kl/console.h>
#include <kl/platform.h>
#include <kl/sched.h>
#include <linux/virtio_ids.h>

#include "kl_host.h"

int kl_virtio_console_init(void);

struct kl_boot_info kl_boot;

static struct lab {
	struct kl_virtio_device *dev;
	struct kl_console_port *port;
	struct model rx, tx;
	uint8_t out[1 << 20];
	size_t out_bytes;
	uint8_t in[1 << 16];
	size_t in_bytes, in_room;
	bool ended;
	unsigned rooms;
} benches[2];
static struct kl_poller *poller;

static struct lab *lab_of(const struct kl_console_port *port)
{
	return &benches[port->role - KL_ROLE_STDIO];
}

void kl_poller_add(struct kl_poller *added)
{
	poller = added;
}

int kl_console_add(struct kl_console_port *port)
{
	lab_of(port)->port = port;
	return 0;
}

size_t kl_console_input(struct kl_console_port *port, const void *data, size_t n)
{
	struct lab *lab = lab_of(port);

	n = KL_MIN(n, lab->in_room);
	memcpy(lab->in + lab->in_bytes, data, n);
	lab->in_bytes += n;
	lab->in_room -= n;
	return n;
}

void kl_console_input_end(struct kl_console_port *port)
{
	lab_of(port)->ended = true;
}

void kl_console_room(struct kl_console_port *port)
{
	lab_of(port)->rooms++;
}

static void notify(struct kl_virtio_device *dev, uint16_t queue)
{
	struct lab *lab = dev == benches[0].dev ? &benches[0] : &benches[1];

	model_notify(queue == 0 ? &lab->rx : &lab->tx);
}

static uint32_t swallow(struct model *m, uint16_t head)
{
	struct lab *lab = m->context;

	CHECK(!(m->desc[head].flags & (VRING_DESC_F_NEXT | VRING_DESC_F_WRITE)));
	CHECK(lab->out_bytes + m->desc[head].len <= sizeof(lab->out));
	memcpy(lab->out + lab->out_bytes, kl_phys_to_virt(m->desc[head].addr), m->desc[head].len);
	lab->out_bytes += m->desc[head].len;
	return 0;
}

static int activate(struct kl_virtio_device *const *devs, unsigned count)
{
	CHECK(count == 2);
	for (unsigned i = 0; i < count; i++) {
		benches[i].dev = devs[i];
		devs[i]->result = 0;
		model_attach(&benches[i].rx, devs[i]->queues[0]);
		model_attach(&benches[i].tx, devs[i]->queues[1]);
		benches[i].tx.serve = swallow;
		benches[i].tx.context = &benches[i];
		benches[i].rx.state = benches[i].tx.state = MODEL_ASLEEP;
	}
	return 0;
}

static const struct kl_virtio_transport polite = {.activate = activate, .notify = notify, .exit_drains = true};
static const struct kl_virtio_transport plain = {.activate = activate, .notify = notify};

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static void set_up(void)
{
	for (unsigned i = 0; i < 3; i++)
		kl_boot.devices[i] = (struct kl_boot_device){.virtio_id = VIRTIO_ID_CONSOLE,
			.role = i < 2 ? KL_ROLE_STDIO + i : KL_ROLE_NONE,
			.features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX,
			.queues = 2,
			.queue_max = 64};
	kl_boot.devices_count = 3;
	kl_virtio_use(&polite);
	CHECK(kl_virtio_console_init() == 0 && poller);
	/* Before the device runs, output is kept. */
	CHECK(benches[0].port->ops->write(benches[0].port, "early ", 6) == 6);
	benches[0].port->ops->flush(benches[0].port);
	CHECK(kl_virtio_activate_all() == 0);
	CHECK(benches[0].tx.avail->idx == 1 && benches[0].rx.avail->idx == 0 && benches[1].tx.avail->idx == 0);
	model_run(&benches[0].tx);
	CHECK(benches[0].out_bytes == 6 && memcmp(benches[0].out, "early ", 6) == 0);
	benches[0].out_bytes = 0;
	poller->poll(poller);
	printf("ok what was written early comes out when the device runs\n");
}

static void test_drain(void)
{
	struct kl_console_port *port = benches[1].port;

	CHECK(port->ops->drained(port));
	CHECK(port->ops->write(port, "hello\n", 6) == 6);
	CHECK(port->ops->drained(port)); /* that machine's end waits */
	kl_virtio_use(&plain);
	CHECK(!port->ops->drained(port) && benches[1].tx.notified == 1);
	CHECK(!poller->arm(poller));
	benches[1].tx.interrupt = false;
	model_run(&benches[1].tx);
	CHECK(benches[1].tx.interrupt && poller->arm(poller) && port->ops->drained(port));
	CHECK(benches[1].out_bytes == 6 && memcmp(benches[1].out, "hello\n", 6) == 0);
	printf("ok the end waits for the output\n");
}

static void test_output(void)
{
	struct kl_console_port *port = benches[0].port;
	struct lab *lab = &benches[0];
	uint8_t chunk[3000];
	size_t sent = 0, full = 0;

	for (unsigned round = 1; sent < 600000; round++) {
		size_t n = round * 977 % sizeof(chunk), taken;

		for (size_t i = 0; i < n; i++)
			chunk[i] = pattern(sent + i);
		taken = port->ops->write(port, chunk, n);
		sent += taken;
		if (round % 3 == 0)
			port->ops->flush(port);
		if (taken == n)
			continue;
		/* Full: the writer sleeps until the device has made room. */
		full++;
		port->ops->flush(port);
		lab->rooms = 0;
		lab->tx.interrupt = false;
		if (!poller->arm(poller)) {
			for (unsigned steps = 0; !lab->tx.interrupt; steps++) {
				CHECK(steps < 1000);
				model_step(&lab->tx, 1 + round % 3);
			}
		}
		CHECK(poller->poll(poller) && lab->rooms == 1);
	}
	while (!port->ops->drained(port))
		model_step(&lab->tx, 2);
	CHECK(full > 10 && lab->out_bytes == sent);
	for (size_t i = 0; i < sent; i++)
		CHECK(lab->out[i] == pattern(i));
	printf("ok %zu bytes of output in order, %zu times full\n", sent, full);
}

static size_t give_input(struct lab *lab, size_t at, uint32_t n)
{
	struct model *m = &lab->rx;
	uint16_t head;
	uint8_t *to;

	if (m->avail->idx == m->next_avail)
		return 0;
	head = m->avail->ring[m->next_avail++ % m->size];
	CHECK(m->desc[head].flags == VRING_DESC_F_WRITE && n <= m->desc[head].len);
	to = kl_phys_to_virt(m->desc[head].addr);
	for (uint32_t i = 0; i < n; i++)
		to[i] = pattern(at + i);
	m->used->ring[m->next_used++ % m->size] = (struct vring_used_elem){head, n};
	model_publish(m);
	model_interrupt(m);
	return n;
}

static void test_input(void)
{
	struct kl_console_port *port = benches[0].port;
	struct lab *lab = &benches[0];
	size_t given = 0;

	CHECK(give_input(lab, 0, 1) == 0);
	port->ops->resume(port);
	CHECK(lab->rx.avail->idx == 2);
	for (unsigned round = 1; given < 60000; round++) {
		size_t n = give_input(lab, given, 1 + round * 713 % 2000);

		given += n;
		poller->poll(poller);
		if (round % 4 == 0) {
			/* The program reads. */
			lab->in_room += 1500 + round % 5 * 700;
			port->ops->resume(port);
		}
	}
	lab->in_room = SIZE_MAX;
	port->ops->resume(port);
	CHECK(lab->in_bytes == given);
	for (size_t i = 0; i < given; i++)
		CHECK(lab->in[i] == pattern(i));
	CHECK(!poller->arm(poller));
	lab->rx.interrupt = false;
	give_input(lab, given, 0);
	CHECK(lab->rx.interrupt && poller->arm(poller) && poller->poll(poller) && lab->ended);
	printf("ok %zu bytes of input in order, then the end\n", given);
}

static void test_broken(void)
{
	struct kl_console_port *port = benches[1].port;

	CHECK(port->ops->write(port, "x", 1) == 1);
	port->ops->flush(port);
	benches[1].tx.used->idx += 5;
	poller->poll(poller);
	CHECK(benches[1].dev->broken && port->ops->drained(port) && port->ops->write(port, "y", 1) == 1);
	port->ops->flush(port);
	CHECK(!poller->poll(poller));
	printf("ok output of a broken device is dropped, and nobody waits\n");
}

int main(void)
{
	set_up();
	test_drain();
	test_output();
	test_input();
	test_broken();
	return 0;
}
