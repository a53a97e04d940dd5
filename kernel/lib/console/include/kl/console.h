/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program's standard input, output and error. A driver (virtio-console) brings ports; this module makes files of them. Until
 * a port of a role is there, its output goes to the log of the platform, and its input is at its end.
 */
#ifndef KL_CONSOLE_H
#define KL_CONSOLE_H

#include <kl/sched.h>
#include <kl/types.h>

#include "kl_boot.h"

struct kl_console_port;

/* What a driver implements; none of it blocks. */
struct kl_console_ops {
	/* Copies up to n bytes for the device; returns how many, 0 when there is no room. Need not notify before flush(). */
	size_t (*write)(struct kl_console_port *port, const void *data, size_t n);
	/* Notifies the device of what write() took. */
	void (*flush)(struct kl_console_port *port);
	/* Looks at the ring; whether the device has consumed all that was written. */
	bool (*drained)(struct kl_console_port *port);
	/*
	 * Input is wanted: called when a program first reads from or polls the port (until then a driver gives the device no
	 * buffers), and when there is room again after kl_console_input() took less than it was given. May be NULL.
	 */
	void (*resume)(struct kl_console_port *port);
};

#define KL_CONSOLE_INPUT_BYTES 4096u

struct kl_console_port {
	/* the driver's to fill in; the rest zero */
	const struct kl_console_ops *ops;
	enum kl_device_role role; /* KL_ROLE_STDIO: descriptors 0 and 1; KL_ROLE_STDERR: descriptor 2, input ignored */
	/* the console's own */
	struct kl_waitq wait;
	uint8_t *input;                  /* ring of KL_CONSOLE_INPUT_BYTES */
	uint32_t input_head, input_tail; /* bytes ever taken out, ever put in */
	bool input_ended, input_stopped;
};

/* At init, stage "device". The port is kept for ever. 0 or -ENOMEM; -EEXIST: its role is taken. */
int kl_console_add(struct kl_console_port *port);
/* From the driver's poll: input came. Returns how much was taken; the rest is asked for by resume(). */
size_t kl_console_input(struct kl_console_port *port, const void *data, size_t n);
void kl_console_input_end(struct kl_console_port *port);
/* From the driver's poll: the device has consumed output, so write() will take more. */
void kl_console_room(struct kl_console_port *port);
/* Waits until the devices have consumed all output; called at the end of the last process. */
void kl_console_drain(void);

#endif
