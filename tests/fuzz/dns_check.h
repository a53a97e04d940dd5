// SPDX-License-Identifier: Apache-2.0
/* What must hold for whatever the DNS example answers. */
#ifndef DNS_CHECK_H
#define DNS_CHECK_H

#include "answer.h"

/* Has a packet answered over both transports; aborts when an answer is malformed or larger than it may be. */
void check_packet(const struct zone *zone, const uint8_t *packet, size_t bytes);

#endif
