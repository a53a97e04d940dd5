// SPDX-License-Identifier: Apache-2.0
/* One zone: a tree of names with their records (RFC 1034, 4.2). */
#ifndef DNS_ZONE_H
#define DNS_ZONE_H

#include "arena.h"
#include "dns.h"

/* What one set of records may take on the wire: any answer then fits into MESSAGE_MAX_BYTES. */
enum { SET_MAX_BYTES = 12000, MESSAGE_MAX_BYTES = 16384 };

struct record {
	struct record *next; /* of the same name; those of one type stand together */
	uint32_t ttl;        /* seconds */
	uint16_t type;
	uint16_t bytes;
	uint8_t data[]; /* in wire form, names in it uncompressed */
};

/* A name that exists: it has records, or one below it has. */
struct node {
	struct node *parent;
	struct node *next; /* with the same hash bucket */
	struct record *records;
	const uint8_t *name;
	uint32_t hash;
};

/* Start with all zero. */
struct zone {
	struct arena arena;
	struct node *apex;     /* the zone's own name; NULL before the first record */
	struct node **buckets; /* all but the apex, by parent and label */
	uint32_t bucket_count; /* a power of 2 */
	uint32_t nodes, records;
};

struct zone_match {
	const struct node *node; /* the deepest one at or above the name: its closest encloser */
	const struct node *cut;  /* the highest delegation on the way there, NULL if none */
	bool exact;              /* the node is the name itself */
};

/* Adds a record. Returns NULL, or what is wrong with it: a constant text. */
const char *zone_add(
	struct zone *zone, const uint8_t *name, uint16_t type, uint32_t ttl, const uint8_t *data, uint16_t bytes);

/* Returns what the zone as a whole lacks, NULL if nothing. */
const char *zone_check(const struct zone *zone);

/* Returns false if the name is outside of the zone. */
bool zone_find(const struct zone *zone, const uint8_t *name, struct zone_match *match);

/* Returns the name below the parent by one label, NULL if it doesn't exist. */
const struct node *zone_child(const struct zone *zone, const struct node *parent, const uint8_t *label);

/* Returns the first of the records with a type, NULL if there is none. */
const struct record *node_set(const struct node *node, uint16_t type);

/* Returns the one after it in its set, NULL at the end. */
static inline const struct record *set_next(const struct record *record)
{
	return record->next && record->next->type == record->type ? record->next : NULL;
}

void zone_release(struct zone *zone);

#endif
