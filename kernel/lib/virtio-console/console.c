/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio consoles (VIRTIO 1.2, section 5.3) as the program's standard streams: either a device for each of them with one port, as
 * the monitor has, or one device with numbered ports, as QEMU is started. Only those can say that the input has ended, and only
 * they keep output that the host does not take at once (QEMU's virtconsole drops it).
 */
#include "console_priv.h"

#include <kl/heap.h>
#include <kl/log.h>
#include <kl/sched.h>
#include <asm/errno.h>
#include <linux/virtio_ids.h>

#define PORTS_MAX 2

/* Of a device with several ports: port 0 is for a console in the sense of Linux, the control queues are the second pair. */
enum { PORT_STDIN = 1, PORT_STDOUT = 2, PORT_STDERR = 3 };
enum { QUEUE_CONTROL_RX = 2, QUEUE_CONTROL_TX = 3, QUEUE_STDIN = 4, QUEUE_STDOUT = 7, QUEUE_STDERR = 9, QUEUES = 10 };

static struct {
	struct port *ports[PORTS_MAX];
	unsigned count;
	struct control *control; /* of a device with several ports */
	struct kl_poller poller;
} root;

/* --- polling --- */

static bool poll(struct kl_poller *poller)
{
	bool found = false;

	(void)poller;
	if (root.control != NULL && kl_virtq_ready(&root.control->rx))
		found = control_poll(root.control);
	for (unsigned i = 0; i < root.count; i++) {
		struct port *p = root.ports[i];

		if (kl_virtq_ready(&p->tx) && port_reap_output(p)) {
			found = true;
			port_flush(&p->port);
			if (p->room_wanted) {
				p->room_wanted = false;
				kl_console_room(&p->port);
			}
		}
		if (p->rx.size != 0 && kl_virtq_ready(&p->rx))
			found |= port_reap_input(p);
	}
	return found;
}

static bool arm(struct kl_poller *poller)
{
	bool news = false;

	(void)poller;
	if (root.control != NULL)
		news = kl_virtq_arm(&root.control->rx, 0);
	for (unsigned i = 0; i < root.count; i++) {
		struct port *p = root.ports[i];

		if (p->rx.size != 0 && p->rx.in_flight > 0)
			news |= kl_virtq_arm(&p->rx, 0);
		if (p->tx.in_flight > 0 && p->drain_wanted)
			news |= kl_virtq_arm(&p->tx, p->tx.in_flight - 1u);
		else if (p->tx.in_flight > 0 && (p->room_wanted || p->queued != p->written))
			news |= kl_virtq_arm(&p->tx, p->tx.in_flight / 2u);
	}
	return news;
}

/* --- devices --- */

static struct port *make_port(struct kl_virtio_device *dev, enum kl_device_role role)
{
	struct port *p = kl_zalloc(sizeof(*p));

	if (p != NULL) {
		p->dev = dev;
		p->port.ops = &port_ops;
		p->port.role = role;
	}
	return p;
}

static int start_ports(struct kl_virtio_device *dev)
{
	/* What was written before the device ran. */
	for (unsigned i = 0; i < root.count; i++) {
		if (root.ports[i]->dev == dev)
			port_flush(&root.ports[i]->port);
	}
	return 0;
}

static int add_single(struct kl_virtio_device *dev)
{
	struct port *p = make_port(dev, (enum kl_device_role)dev->boot->role);
	int error;

	if (p == NULL)
		return -ENOMEM;
	error = kl_virtio_configure(dev, 0);
	if (error)
		goto free_port;
	error = kl_virtio_queue(dev, &p->rx, RX_ENTRIES);
	if (error)
		goto free_port;
	error = kl_virtio_queue(dev, &p->tx, TX_ENTRIES);
	if (error)
		goto free_rx;
	dev->start = start_ports;
	error = kl_console_add(&p->port);
	if (error)
		goto free_tx;
	root.ports[root.count++] = p;
	return 0;

free_tx:
	kl_virtq_free(&p->tx);
free_rx:
	kl_virtq_free(&p->rx);
free_port:
	dev->configured = false;
	kl_free(p);
	return error;
}

/* --- a device with several ports --- */

static void port_added(struct control *control, uint32_t port)
{
	if (port < PORT_STDIN || port > PORT_STDERR)
		return;
	control_send(control, port, VIRTIO_CONSOLE_PORT_READY, 1);
	control_send(control, port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

static void port_opened(struct control *control, uint32_t port, bool open)
{
	(void)control;
	if (port == PORT_STDIN && !open)
		port_end_input(root.ports[0]);
}

static int start_several(struct kl_virtio_device *dev)
{
	control_start(root.control);
	return start_ports(dev);
}

/* The queues that are used, in their order. out, err: the ports. */
static int make_queues(struct kl_virtio_device *dev, struct port *out, struct port *err)
{
	const struct {
		struct kl_virtq *vq;
		unsigned size;
	} used[QUEUES] = {
		[QUEUE_CONTROL_RX] = {&root.control->rx, CONTROL_ENTRIES},
		[QUEUE_CONTROL_TX] = {&root.control->tx, CONTROL_ENTRIES},
		[QUEUE_STDIN] = {&out->rx, RX_ENTRIES},
		[QUEUE_STDOUT] = {&out->tx, TX_ENTRIES},
		[QUEUE_STDERR] = {&err->tx, TX_ENTRIES},
	};
	int error = 0;

	for (unsigned i = 0; error == 0 && i < QUEUES; i++) {
		if (used[i].vq != NULL)
			error = kl_virtio_queue(dev, used[i].vq, used[i].size);
		else
			kl_virtio_queue_skip(dev);
	}
	return error;
}

/* Failing here leaves a program without streams: nothing is taken back, the caller gives up. */
static int add_several(struct kl_virtio_device *dev)
{
	struct port *out = make_port(dev, KL_ROLE_STDIO), *err = make_port(dev, KL_ROLE_STDERR);
	int error;

	root.control = kl_zalloc(sizeof(*root.control));
	if (out == NULL || err == NULL || root.control == NULL)
		return -ENOMEM;
	error = kl_virtio_configure(dev, 1ull << VIRTIO_CONSOLE_F_MULTIPORT);
	if (error == 0)
		error = make_queues(dev, out, err);
	if (error == 0)
		error = kl_console_add(&out->port);
	if (error == 0)
		error = kl_console_add(&err->port);
	if (error)
		return error;
	root.ports[root.count++] = out;
	root.ports[root.count++] = err;
	root.control->dev = dev;
	root.control->added = port_added;
	root.control->opened = port_opened;
	control_fill(root.control);
	dev->start = start_several;
	return 0;
}

/* --- init --- */

static bool has_several(const struct kl_boot_device *boot)
{
	return boot->features >> VIRTIO_CONSOLE_F_MULTIPORT & 1 && boot->queues >= QUEUES;
}

int kl_virtio_console_init(void); /* for the table of init functions */

int kl_virtio_console_init(void)
{
	struct kl_virtio_device *dev;
	int error;

	while (root.count < PORTS_MAX && (dev = kl_virtio_claim(VIRTIO_ID_CONSOLE)) != NULL) {
		if (dev->boot->role == KL_ROLE_NONE)
			continue;
		if (root.count == 0 && has_several(dev->boot)) {
			error = add_several(dev);
			if (error)
				return error;
			continue;
		}
		error = add_single(dev);
		if (error == -ENOMEM)
			return error;
	}
	if (root.count > 0) {
		root.poller.poll = poll;
		root.poller.arm = arm;
		kl_poller_add(&root.poller);
	}
	return 0;
}
