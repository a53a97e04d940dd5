// SPDX-License-Identifier: Apache-2.0
#include "zone.h"

#include <string.h>

enum { BUCKETS_FIRST = 64, RECORD_WIRE_BYTES = 12 /* a pointer to the name, type, class, TTL, length */ };

static uint32_t label_hash(uint32_t parent, const uint8_t *label)
{
	uint32_t hash = parent ^ 2166136261u; /* FNV-1a */

	for (unsigned int i = 0; i <= label[0]; i++)
		hash = (hash ^ dns_lower(label[i])) * 16777619u;
	return hash;
}

static bool label_equal(const uint8_t *a, const uint8_t *b)
{
	for (unsigned int i = 0; i <= a[0]; i++)
		if (dns_lower(a[i]) != dns_lower(b[i]))
			return false;
	return true;
}

const struct node *zone_child(const struct zone *zone, const struct node *parent, const uint8_t *label)
{
	uint32_t hash = label_hash(parent->hash, label);
	const struct node *node = zone->bucket_count ? zone->buckets[hash & (zone->bucket_count - 1)] : NULL;

	while (node && (node->hash != hash || node->parent != parent || !label_equal(node->name, label)))
		node = node->next;
	return node;
}

/* Makes room in the table for one more node; the old table stays in the arena unused. */
static bool grow(struct zone *zone)
{
	uint32_t count = zone->bucket_count ? zone->bucket_count * 2 : BUCKETS_FIRST;
	struct node **buckets;

	if (zone->nodes < zone->bucket_count)
		return true;
	buckets = arena_alloc(&zone->arena, count * sizeof(struct node *));
	if (!buckets)
		return false;
	for (uint32_t i = 0; i < zone->bucket_count; i++) {
		struct node *next;

		for (struct node *node = zone->buckets[i]; node; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (count - 1)];
			buckets[node->hash & (count - 1)] = node;
		}
	}
	zone->buckets = buckets;
	zone->bucket_count = count;
	return true;
}

static struct node *add_node(struct zone *zone, struct node *parent, const uint8_t *name)
{
	struct node *node = grow(zone) ? arena_alloc(&zone->arena, sizeof(*node)) : NULL;

	if (!node)
		return NULL;
	*node = (struct node){.parent = parent, .name = name, .hash = parent ? label_hash(parent->hash, name) : 0};
	if (parent) {
		struct node **bucket = &zone->buckets[node->hash & (zone->bucket_count - 1)];

		node->next = *bucket;
		*bucket = node;
	}
	zone->nodes++;
	return node;
}

/* Returns where the labels below the apex end, -1 if the name is outside of the zone. */
static int labels_below_apex(
	const struct zone *zone, const uint8_t *name, const uint8_t starts[LABELS_MAX], unsigned int count)
{
	uint8_t own[LABELS_MAX];
	unsigned int apex = zone->apex ? name_labels(zone->apex->name, own) : 0;
	const uint8_t *rest;

	if (!zone->apex || count < apex)
		return -1;
	rest = count == apex ? name : name + starts[count - apex - 1] + 1 + name[starts[count - apex - 1]];
	return name_equal(rest, zone->apex->name) ? (int)(count - apex) : -1;
}

bool zone_find(const struct zone *zone, const uint8_t *name, struct zone_match *match)
{
	uint8_t starts[LABELS_MAX];
	int left = labels_below_apex(zone, name, starts, name_labels(name, starts));
	const struct node *child;

	if (left < 0)
		return false;
	*match = (struct zone_match){.node = zone->apex};
	while (left > 0 && (child = zone_child(zone, match->node, name + starts[left - 1]))) {
		match->node = child;
		if (!match->cut && node_set(child, TYPE_NS))
			match->cut = child;
		left--;
	}
	match->exact = left == 0;
	return true;
}

/* Returns the node of a name, made together with those above it if need be. */
static const char *need_node(struct zone *zone, const uint8_t *name, struct node **node)
{
	uint8_t starts[LABELS_MAX], *copy;
	struct zone_match match;
	size_t bytes = name_bytes(name);
	int left;

	if (zone->apex && zone_find(zone, name, &match) && match.exact) {
		*node = (struct node *)match.node;
		return NULL;
	}
	copy = arena_alloc(&zone->arena, bytes);
	if (!copy)
		return "out of memory";
	memcpy(copy, name, bytes);
	if (!zone->apex) {
		*node = zone->apex = add_node(zone, NULL, copy);
		return *node ? NULL : "out of memory";
	}
	left = labels_below_apex(zone, copy, starts, name_labels(copy, starts));
	if (left < 0)
		return "the name is outside of the zone";
	*node = zone->apex;
	while (left-- > 0) {
		struct node *child = (struct node *)zone_child(zone, *node, copy + starts[left]);

		*node = child ? child : add_node(zone, *node, copy + starts[left]);
		if (!*node)
			return "out of memory";
	}
	return NULL;
}

const struct record *node_set(const struct node *node, uint16_t type)
{
	const struct record *record = node->records;

	while (record && record->type != type)
		record = record->next;
	return record;
}

static const char *forbidden(const struct zone *zone, const struct node *node, uint16_t type)
{
	if (type == TYPE_SOA && (node != zone->apex || node_set(node, TYPE_SOA)))
		return "a zone has one SOA record";
	if (node_set(node, TYPE_CNAME))
		return "a name with a CNAME record has no other";
	if (type == TYPE_CNAME && node->records)
		return "a CNAME record stands beside others of the same name";
	if (type == TYPE_NS && node->name[0] == 1 && node->name[1] == '*')
		return "a wildcard can't be delegated";
	return NULL;
}

const char *zone_add(
	struct zone *zone, const uint8_t *name, uint16_t type, uint32_t ttl, const uint8_t *data, uint16_t bytes)
{
	size_t set_bytes = RECORD_WIRE_BYTES + bytes;
	struct record *record, **place;
	const char *error;
	struct node *node;

	if (!zone->apex && type != TYPE_SOA)
		return "the first record must be the SOA";
	error = need_node(zone, name, &node);
	if (!error)
		error = forbidden(zone, node, type);
	if (error)
		return error;
	for (place = &node->records; *place && (*place)->type != type; place = &(*place)->next)
		;
	/* A set has one TTL (RFC 2181, 5.2) and no record twice. */
	for (; *place && (*place)->type == type; place = &(*place)->next) {
		if ((*place)->bytes == bytes && !memcmp((*place)->data, data, bytes))
			return NULL;
		ttl = (*place)->ttl;
		set_bytes += RECORD_WIRE_BYTES + (*place)->bytes;
	}
	if (set_bytes > SET_MAX_BYTES)
		return "too many records of one name and type";
	record = arena_alloc(&zone->arena, sizeof(*record) + bytes);
	if (!record)
		return "out of memory";
	*record = (struct record){.next = *place, .ttl = ttl, .type = type, .bytes = bytes};
	memcpy(record->data, data, bytes);
	*place = record;
	zone->records++;
	return NULL;
}

const char *zone_check(const struct zone *zone)
{
	if (!zone->apex)
		return "there is no record in it";
	if (!node_set(zone->apex, TYPE_NS))
		return "the zone has no NS record";
	return NULL;
}

void zone_release(struct zone *zone)
{
	arena_release(&zone->arena);
	*zone = (struct zone){0};
}
