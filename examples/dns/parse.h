// SPDX-License-Identifier: Apache-2.0
/* Reads a zone file: entries, $ORIGIN and $TTL (RFC 1035, 5; RFC 2308, 4). */
#ifndef DNS_PARSE_H
#define DNS_PARSE_H

#include "zone.h"

/*
 * Fills an empty zone. The origin, which may be NULL, is that before the first $ORIGIN. Returns NULL, or what is wrong:
 * a constant text; then *line is where, 0 if it is about the whole file, and the zone is to be released all the same.
 */
const char *zone_parse(struct zone *zone, const char *text, size_t length, const uint8_t *origin, unsigned int *line);

#endif
