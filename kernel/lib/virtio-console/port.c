/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream of a console. Output is copied into a ring of pages that the device reads from. Input buffers are given to the device
 * when somebody first wants to read.
 */
#include "console_priv.h"

#include <kl/pmm.h>
#include <kl/string.h>

/* --- output --- */

static void queue_output(struct port *p)
{
	while (p->queued != p->written) {
		struct tx_request *request = &p->requests[p->requests_end % TX_ENTRIES];
		uint32_t at = p->queued % p->ring_bytes;
		uint32_t n = KL_MIN(p->written - p->queued, p->ring_bytes - at);
		struct kl_virtq_buf buf = {.pa = kl_virt_to_phys(p->ring + at), .bytes = n};

		if (p->requests_end - p->requests_first == (int)TX_ENTRIES ||
			kl_virtq_add(&p->tx, &buf, 1, 0, request) != 0)
			return;
		*request = (struct tx_request){.bytes = n};
		p->requests_end++;
		p->queued += n;
	}
}

/* Takes back what the device has used. Returns whether that made room. */
bool port_reap_output(struct port *p)
{
	struct tx_request *request;
	bool room = false;

	while ((request = kl_virtq_get(&p->tx, NULL)) != NULL)
		request->done = true;
	while (p->requests_first != p->requests_end && p->requests[p->requests_first % TX_ENTRIES].done) {
		p->consumed += p->requests[p->requests_first % TX_ENTRIES].bytes;
		p->requests_first++;
		room = true;
	}
	/* Little output stays on the first page of the ring. */
	if (room && p->consumed == p->written)
		p->consumed = p->queued = p->written = 0;
	return room;
}

static bool make_ring(struct port *p)
{
	for (unsigned count = TX_PAGES_MAX; count > 0; count /= 2) {
		kl_phys pages = kl_pages_alloc(count, 1);

		if (pages == KL_PHYS_NONE)
			continue;
		p->ring = kl_phys_to_virt(pages);
		p->ring_bytes = count * (uint32_t)KL_PAGE_BYTES;
		return true;
	}
	return false;
}

static size_t port_write(struct kl_console_port *port, const void *data, size_t n)
{
	struct port *p = KL_CONTAINER(port, struct port, port);
	size_t done = 0;

	if (p->dev->broken)
		return n; /* nobody will ever take it */
	if (p->ring == NULL && !make_ring(p))
		return 0;
	if (p->written - p->consumed + n > p->ring_bytes)
		port_reap_output(p);
	while (done < n) {
		uint32_t at = p->written % p->ring_bytes;
		uint32_t room = KL_MIN(p->ring_bytes - (p->written - p->consumed), p->ring_bytes - at);
		size_t part = KL_MIN(n - done, (size_t)room);

		if (part == 0)
			break;
		memcpy(p->ring + at, (const uint8_t *)data + done, part);
		p->written += (uint32_t)part;
		done += part;
	}
	p->room_wanted = done < n;
	return done;
}

void port_flush(struct kl_console_port *port)
{
	struct port *p = KL_CONTAINER(port, struct port, port);

	if (!p->dev->active)
		return;
	queue_output(p);
	kl_virtq_kick(&p->tx);
}

static bool port_drained(struct kl_console_port *port)
{
	struct port *p = KL_CONTAINER(port, struct port, port);

	if (p->dev->broken || !p->dev->active)
		return true;
	port_reap_output(p);
	port_flush(port);
	p->drain_wanted = p->consumed != p->written;
	return p->queued == p->written && (kl_virtio_exit_drains() || !p->drain_wanted);
}

/* --- input --- */

static void post_input(struct port *p)
{
	for (unsigned i = 0; i < RX_ENTRIES; i++) {
		struct rx_buffer *buffer = &p->rx_buffers[(p->rx_next + i) % RX_ENTRIES];
		struct kl_virtq_buf buf = {.bytes = RX_BYTES};

		if (buffer->posted || buffer->given != buffer->bytes)
			continue;
		buf.pa = kl_virt_to_phys(buffer->data);
		if (kl_virtq_add(&p->rx, &buf, 0, 1, buffer) != 0)
			break;
		*buffer = (struct rx_buffer){.data = buffer->data, .posted = true};
	}
	kl_virtq_kick(&p->rx);
}

/* Passes on what was received, in order. Returns whether there was any. */
static bool pass_input(struct port *p)
{
	bool found = false;

	for (;;) {
		struct rx_buffer *buffer = &p->rx_buffers[p->rx_next];
		size_t taken;

		if (buffer->posted || buffer->given == buffer->bytes)
			break;
		taken = kl_console_input(&p->port, buffer->data + buffer->given, buffer->bytes - buffer->given);
		buffer->given += (uint32_t)taken;
		found |= taken > 0;
		if (buffer->given != buffer->bytes)
			break;
		p->rx_next = (p->rx_next + 1) % RX_ENTRIES;
	}
	if (p->rx_ended && p->rx_buffers[p->rx_next].given == p->rx_buffers[p->rx_next].bytes)
		kl_console_input_end(&p->port);
	return found;
}

void port_end_input(struct port *p)
{
	if (p->rx_ended)
		return;
	port_reap_input(p);
	p->rx_wanted = false;
	p->rx_ended = true;
	pass_input(p);
}

bool port_reap_input(struct port *p)
{
	struct rx_buffer *buffer;
	uint32_t bytes;
	bool found = false;

	while ((buffer = kl_virtq_get(&p->rx, &bytes)) != NULL) {
		found = true;
		buffer->posted = false;
		if (buffer != &p->rx_buffers[p->rx_next] && p->rx_buffers[p->rx_next].posted) {
			kl_virtio_break(p->dev, "used input buffers out of order");
			return found;
		}
		buffer->bytes = bytes;
		buffer->given = 0;
		pass_input(p);
		/* The monitor's end of file. */
		if (bytes == 0)
			port_end_input(p);
	}
	if (found && p->rx_wanted)
		post_input(p);
	return found;
}

static void port_resume(struct kl_console_port *port)
{
	struct port *p = KL_CONTAINER(port, struct port, port);

	if (p->dev->broken || !p->dev->active || p->rx.size == 0)
		return;
	if (p->rx_buffers[0].data == NULL) {
		kl_phys page = kl_page_alloc();

		if (page == KL_PHYS_NONE)
			return;
		for (unsigned i = 0; i < RX_ENTRIES; i++)
			p->rx_buffers[i].data = (uint8_t *)kl_phys_to_virt(page) + i * RX_BYTES;
		p->rx_wanted = true;
	}
	pass_input(p);
	if (p->rx_wanted)
		post_input(p);
}

const struct kl_console_ops port_ops = {
	.write = port_write,
	.flush = port_flush,
	.drained = port_drained,
	.resume = port_resume,
};
