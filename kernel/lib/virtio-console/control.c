/* SPDX-License-Identifier: Apache-2.0 */
#include "console_priv.h"

#include <kl/pmm.h>
#include <kl/string.h>

void control_send(struct control *control, uint32_t port, uint16_t event, uint16_t value)
{
	struct virtio_console_control *message;
	struct kl_virtq_buf buf = {.bytes = sizeof(*message)};

	while (kl_virtq_get(&control->tx, NULL) != NULL)
		;
	if (control->tx.free_count == 0)
		return; /* a device that takes no messages is not told more */
	message = &control->outgoing[control->tx.free_first];
	*message = (struct virtio_console_control){.id = port, .event = event, .value = value};
	buf.pa = kl_virt_to_phys(message);
	(void)kl_virtq_add(&control->tx, &buf, 1, 0, message);
}

static void post(struct control *control, uint8_t *buffer)
{
	struct kl_virtq_buf buf = {.pa = kl_virt_to_phys(buffer), .bytes = CONTROL_RX_BYTES};

	(void)kl_virtq_add(&control->rx, &buf, 0, 1, buffer);
}

void control_fill(struct control *control)
{
	for (unsigned i = 0; i < control->rx.size; i++)
		post(control, control->incoming[i]);
	kl_virtq_kick(&control->rx);
}

bool control_poll(struct control *control)
{
	uint8_t *buffer;
	uint32_t bytes;
	bool found = false;

	while ((buffer = kl_virtq_get(&control->rx, &bytes)) != NULL) {
		struct virtio_console_control message;

		found = true;
		memcpy(&message, buffer, sizeof(message));
		post(control, buffer);
		if (bytes < sizeof(message))
			continue;
		if (message.event == VIRTIO_CONSOLE_PORT_ADD)
			control->added(control, message.id);
		else if (message.event == VIRTIO_CONSOLE_PORT_OPEN)
			control->opened(control, message.id, message.value != 0);
	}
	if (found) {
		kl_virtq_kick(&control->rx);
		kl_virtq_kick(&control->tx);
	}
	return found;
}

void control_start(struct control *control)
{
	control_send(control, VIRTIO_CONSOLE_BAD_ID, VIRTIO_CONSOLE_DEVICE_READY, 1);
	kl_virtq_kick(&control->tx);
	/* An emulator has often answered by now. */
	while (control_poll(control))
		;
}
