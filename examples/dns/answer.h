// SPDX-License-Identifier: Apache-2.0
/* Answers questions from a zone (RFC 1034, 4.3.2; wildcards: RFC 4592). */
#ifndef DNS_ANSWER_H
#define DNS_ANSWER_H

#include "zone.h"

enum transport { OVER_UDP, OVER_TCP };

/* Returns the octets of the answer to a packet, which is never longer than MESSAGE_MAX_BYTES; 0 for no answer. */
size_t answer_packet(const struct zone *zone, enum transport transport, const uint8_t *packet, size_t bytes,
	uint8_t out[MESSAGE_MAX_BYTES]);

#endif
