/* SPDX-License-Identifier: Apache-2.0 */
/* Ports of virtio consoles: what the module's files share. */
#ifndef KL_VIRTIO_CONSOLE_PRIV_H
#define KL_VIRTIO_CONSOLE_PRIV_H

#include <kl/console.h>
#include <kl/virtio.h>
#include <linux/virtio_console.h>

#define RX_ENTRIES 2u
#define RX_BYTES 2048u
#define TX_ENTRIES 16u
#define TX_PAGES_MAX 8u /* a power of two; fewer where memory is short */

struct tx_request {
	uint32_t bytes;
	bool done;
};

struct rx_buffer {
	uint8_t *data;
	uint32_t bytes, given; /* received; of those passed on */
	bool posted;
};

struct port {
	struct kl_console_port port;
	struct kl_virtio_device *dev;
	struct kl_virtq rx, tx; /* rx.size 0: no input */

	uint8_t *ring;       /* NULL until something is written */
	uint32_t ring_bytes; /* a power of two */
	uint32_t written;    /* bytes ever put into the ring ... */
	uint32_t queued;     /* ... given to the device ... */
	uint32_t consumed;   /* ... and used by it, in the order of the ring */
	struct tx_request requests[TX_ENTRIES];
	uint16_t requests_first, requests_end;
	bool room_wanted, drain_wanted;

	struct rx_buffer rx_buffers[RX_ENTRIES];
	unsigned rx_next; /* buffer that the device fills next, and that is passed on next */
	bool rx_wanted, rx_ended;
};

/* port.c. Reap: takes back what the device has used; whether there was anything. */
extern const struct kl_console_ops port_ops;
void port_flush(struct kl_console_port *port);
bool port_reap_output(struct port *p);
bool port_reap_input(struct port *p);
/* The host has closed the input: the program is told when it has read what came before. */
void port_end_input(struct port *p);

/* Control messages of a device with several ports (VIRTIO 1.2, section 5.3.6.2). */
#define CONTROL_ENTRIES 16u
#define CONTROL_RX_BYTES 64u /* a message and a name; a longer name is cut */

struct control {
	struct kl_virtio_device *dev;
	struct kl_virtq rx, tx;
	uint8_t incoming[CONTROL_ENTRIES][CONTROL_RX_BYTES];
	struct virtio_console_control outgoing[CONTROL_ENTRIES];
	/* A port came up, or its host side was opened or closed. */
	void (*added)(struct control *control, uint32_t port);
	void (*opened)(struct control *control, uint32_t port, bool open);
};

/* control.c */
void control_send(struct control *control, uint32_t port, uint16_t event, uint16_t value);
/* After activation: says that the driver is there. */
void control_start(struct control *control);
void control_fill(struct control *control);
bool control_poll(struct control *control);

#endif
