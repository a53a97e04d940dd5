// SPDX-License-Identifier: Apache-2.0
/* The DNS example's parser of zone files on any bytes; a zone that it takes is asked for each of its names. */
#include "dns_check.h"
#include "parse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct zone *zone, const uint8_t *name, uint16_t type)
{
	uint8_t packet[HEADER_BYTES + NAME_MAX_BYTES + 4] = {[5] = 1};
	size_t bytes = name_bytes(name);

	memcpy(packet + HEADER_BYTES, name, bytes);
	packet[HEADER_BYTES + bytes] = (uint8_t)(type >> 8);
	packet[HEADER_BYTES + bytes + 1] = (uint8_t)type;
	packet[HEADER_BYTES + bytes + 3] = CLASS_IN;
	check_packet(zone, packet, HEADER_BYTES + bytes + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zone zone = {0};
	unsigned int line;

	if (!zone_parse(&zone, (const char *)data, size, (const uint8_t *)"\4test", &line)) {
		ask(&zone, zone.apex->name, TYPE_SOA);
		for (uint32_t i = 0; i < zone.bucket_count; i++) {
			for (const struct node *node = zone.buckets[i]; node; node = node->next) {
				ask(&zone, node->name, node->records ? node->records->type : TYPE_A);
				ask(&zone, node->name, TYPE_MX);
			}
		}
	}
	zone_release(&zone);
	return 0;
}
