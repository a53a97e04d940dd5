/* SPDX-License-Identifier: Apache-2.0 */
#include <kl/clock.h>
#include <kl/console.h>
#include <kl/devfs.h>
#include <kl/heap.h>
#include <kl/platform.h>
#include <kl/process.h>
#include <kl/stat.h>
#include <kl/string.h>
#include <kl/vfs.h>

#include "console_priv.h"

#include <asm/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>

#define CHUNK_BYTES 1024u
#define DRAIN_LOOK_NS (10 * KL_NS_PER_MS)

/* By role. A node's priv points to its slot, so that files opened before the driver came find it. */
static struct kl_console_port *ports[KL_ROLE_STDERR + 1];

int kl_console_add(struct kl_console_port *port)
{
	if (port->role > KL_ROLE_STDERR || ports[port->role] != NULL)
		return -EEXIST;
	if (port->role == KL_ROLE_STDIO) {
		port->input = kl_malloc(KL_CONSOLE_INPUT_BYTES);
		if (port->input == NULL)
			return -ENOMEM;
	}
	kl_waitq_init(&port->wait);
	port->input_stopped = true; /* until somebody reads */
	ports[port->role] = port;
	return 0;
}

static struct kl_console_port *port_of(struct kl_file *file)
{
	return *(struct kl_console_port **)file->priv;
}

/* --- input --- */

size_t kl_console_input(struct kl_console_port *port, const void *data, size_t n)
{
	const uint8_t *from = data;
	size_t done = 0;

	if (port->input == NULL)
		return n;
	while (done < n && port->input_tail - port->input_head < KL_CONSOLE_INPUT_BYTES)
		port->input[port->input_tail++ % KL_CONSOLE_INPUT_BYTES] = from[done++];
	port->input_stopped = done < n;
	if (done > 0)
		kl_waitq_wake(&port->wait, EPOLLIN | EPOLLRDNORM);
	return done;
}

void kl_console_input_end(struct kl_console_port *port)
{
	port->input_ended = true;
	kl_waitq_wake(&port->wait, EPOLLIN | EPOLLRDNORM | EPOLLHUP);
}

static void want_input(struct kl_console_port *port)
{
	if (!port->input_stopped || port->input_ended || port->ops->resume == NULL)
		return;
	port->input_stopped = false;
	port->ops->resume(port);
}

static kl_ssize take_input(struct kl_console_port *port, struct kl_iter *it)
{
	kl_ssize done = 0;

	while (it->left > 0 && port->input_head != port->input_tail) {
		uint32_t at = port->input_head % KL_CONSOLE_INPUT_BYTES;
		size_t n = KL_MIN(port->input_tail - port->input_head, KL_CONSOLE_INPUT_BYTES - at), left = it->left;
		int rc = kl_iter_write(it, port->input + at, KL_MIN(n, left));

		left -= it->left;
		port->input_head += (uint32_t)left;
		done += (kl_ssize)left;
		if (rc < 0)
			return done > 0 ? done : rc;
	}
	return done;
}

static kl_ssize console_read(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_console_port *port = port_of(file);
	kl_ssize rc;

	(void)pos;
	if (port == NULL || port->input == NULL || it->left == 0)
		return 0;
	for (;;) {
		rc = take_input(port, it);
		want_input(port);
		if (rc != 0 || port->input_ended)
			return rc;
		if (kl_poll() && (port->input_head != port->input_tail || port->input_ended))
			continue;
		if ((file->flags & O_NONBLOCK) != 0)
			return -EAGAIN;
		rc = kl_wait(&port->wait, KL_FOREVER, true);
		if (rc < 0)
			return rc;
	}
}

/* --- output --- */

/* Hands over one chunk. Returns how much the device took: all, unless the file must not wait or a signal came. */
static size_t put(struct kl_console_port *port, const uint8_t *data, size_t n, bool nonblock)
{
	bool looked = false;
	size_t done = 0;

	for (;;) {
		size_t taken = port->ops->write(port, data + done, n - done);

		done += taken;
		if (done == n)
			return done;
		port->ops->flush(port);
		/* Once without progress: what other devices have to say does not make room here. */
		looked &= taken == 0;
		if (!looked) {
			looked = true;
			if (kl_poll())
				continue;
		}
		if (nonblock || kl_wait(&port->wait, KL_FOREVER, true) < 0)
			return done;
		looked = false;
	}
}

static kl_ssize console_write(struct kl_file *file, struct kl_iter *it, int64_t *pos)
{
	struct kl_console_port *port = port_of(file);
	bool nonblock = (file->flags & O_NONBLOCK) != 0;
	uint8_t chunk[CHUNK_BYTES];
	kl_ssize done = 0, rc = 0;

	(void)pos;
	while (rc == 0 && it->left > 0) {
		size_t n = KL_MIN(it->left, sizeof(chunk)), taken = n;

		rc = kl_iter_read(it, chunk, n);
		if (rc < 0)
			break;
		if (port != NULL)
			taken = put(port, chunk, n, nonblock);
		else
			kl_platform->log((const char *)chunk, n);
		done += (kl_ssize)taken;
		if (taken < n)
			rc = nonblock ? -EAGAIN : -EINTR;
	}
	if (port != NULL)
		port->ops->flush(port);
	return done > 0 ? done : rc;
}

void kl_console_room(struct kl_console_port *port)
{
	kl_waitq_wake(&port->wait, EPOLLOUT | EPOLLWRNORM);
}

void kl_console_drain(void)
{
	for (size_t i = 0; i < KL_ARRAY_LEN(ports); i++) {
		struct kl_console_port *port = ports[i];

		while (port != NULL && !port->ops->drained(port))
			if (!kl_poll())
				(void)kl_wait(&port->wait, kl_clock_ns() + DRAIN_LOOK_NS, false);
	}
}

static uint32_t console_poll(struct kl_file *file, struct kl_poll_table *table)
{
	struct kl_console_port *port = port_of(file);
	uint32_t events = EPOLLOUT | EPOLLWRNORM;

	if (port == NULL || port->input == NULL)
		return events | EPOLLIN | EPOLLRDNORM;
	if (table != NULL)
		table->add(table, &port->wait);
	want_input(port);
	if (port->input_head != port->input_tail)
		events |= EPOLLIN | EPOLLRDNORM;
	if (port->input_ended)
		events |= EPOLLIN | EPOLLRDNORM | EPOLLHUP;
	return events;
}

static long console_ioctl(struct kl_file *file, unsigned cmd, uint64_t arg)
{
	struct kl_console_port *port = port_of(file);

	if (cmd != 0x541b) /* FIONREAD; no terminal otherwise */
		return -ENOTTY;
	return KL_PUT_USER(arg, (int)(port != NULL ? port->input_tail - port->input_head : 0));
}

static const struct kl_file_ops ops = {
	.read = console_read, .write = console_write, .poll = console_poll, .ioctl = console_ioctl};

int kl_console_init(void)
{
	struct kl_file *in_out, *err;
	int rc = kl_devfs_add("console", 0620, KL_DEV(5, 1), &ops, &ports[KL_ROLE_STDIO]);

	if (rc == 0)
		rc = kl_devfs_add("hvc1", 0620, KL_DEV(229, 1), &ops, &ports[KL_ROLE_STDERR]);
	if (rc == 0)
		rc = kl_vfs_open("/dev/console", O_RDWR, 0, &in_out);
	if (rc < 0)
		return rc;
	rc = kl_vfs_open("/dev/hvc1", O_RDWR, 0, &err);
	if (rc < 0)
		goto put_in_out;
	kl_process_init_data.fds = kl_fdtable_create();
	if (kl_process_init_data.fds == NULL) {
		rc = -ENOMEM;
		goto put_err;
	}
	kl_file_get(in_out);
	kl_fdtable_set(kl_process_init_data.fds, 0, in_out);
	kl_fdtable_set(kl_process_init_data.fds, 1, in_out);
	kl_fdtable_set(kl_process_init_data.fds, 2, err);
	return 0;
put_err:
	kl_file_put(err);
put_in_out:
	kl_file_put(in_out);
	return rc;
}
