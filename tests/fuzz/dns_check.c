// SPDX-License-Identifier: Apache-2.0
#include "dns_check.h"

#include <stdlib.h>
#include <string.h>

static unsigned int u16_at(const uint8_t *at)
{
	return (unsigned int)at[0] << 8 | at[1];
}

/* Steps over a name; pointers lead backwards only, and to a name. Returns where it ends. */
static size_t walk_name(const uint8_t *message, size_t bytes, size_t at)
{
	size_t end = 0, lowest = at, length = 0;

	for (;;) {
		if (at >= bytes)
			abort();
		if (message[at] >= 0xc0) {
			size_t to = at + 1 < bytes ? u16_at(message + at) & 0x3fff : bytes;

			if (to >= lowest || to < HEADER_BYTES)
				abort();
			end = end ? end : at + 2;
			lowest = at = to;
			continue;
		}
		if (message[at] > LABEL_MAX_BYTES)
			abort();
		length += 1 + (size_t)message[at];
		if (length > NAME_MAX_BYTES)
			abort();
		if (!message[at])
			return end ? end : at + 1;
		at += 1 + (size_t)message[at];
	}
}

static void check_message(const uint8_t *packet, size_t packet_bytes, const uint8_t *message, size_t bytes)
{
	unsigned int records = 0;
	size_t at = HEADER_BYTES;

	if (bytes < HEADER_BYTES || memcmp(message, packet, 2) || !(message[2] & 0x80) || u16_at(message + 4) > 1)
		abort();
	for (int section = 6; section < HEADER_BYTES; section += 2)
		records += u16_at(message + section);
	if (u16_at(message + 4))
		at = walk_name(message, bytes, at) + 4;
	while (records-- > 0) {
		at = walk_name(message, bytes, at) + 10;
		if (at > bytes)
			abort();
		at += u16_at(message + at - 2);
	}
	if (at != bytes)
		abort();
	/* Refusals and the like never are longer than what they answer. */
	if ((message[3] & 0xf) != RCODE_NOERROR && (message[3] & 0xf) != RCODE_NXDOMAIN && bytes > packet_bytes)
		abort();
}

void check_packet(const struct zone *zone, const uint8_t *packet, size_t bytes)
{
	static const size_t limits[] = {[OVER_UDP] = UDP_EDNS_BYTES, [OVER_TCP] = MESSAGE_MAX_BYTES};

	for (enum transport transport = OVER_UDP; transport <= OVER_TCP; transport++) {
		uint8_t *out = malloc(MESSAGE_MAX_BYTES);
		size_t length = out ? answer_packet(zone, transport, packet, bytes, out) : 0;

		if (length > limits[transport])
			abort();
		if (length)
			check_message(packet, bytes, out, length);
		free(out);
	}
}
