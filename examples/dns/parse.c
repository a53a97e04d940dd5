// SPDX-License-Identifier: Apache-2.0
#include "parse.h"

#include "rdata.h"

#include <string.h>

struct parser {
	struct zone *zone;
	struct scan scan;
	struct entry entry;
	bool has_origin, has_owner, has_default_ttl, has_last_ttl;
	uint8_t origin[NAME_MAX_BYTES];
	uint8_t owner[NAME_MAX_BYTES];
	uint32_t default_ttl, last_ttl; /* seconds */
	uint8_t data[RDATA_MAX_BYTES];
};

static const char *parse_directive(struct parser *p)
{
	const struct token *tokens = p->entry.tokens;
	uint8_t name[NAME_MAX_BYTES];

	if (token_is(&tokens[0], "$ORIGIN")) {
		if (p->entry.count != 2 ||
			!name_from_text(name, tokens[1].text, tokens[1].length, p->has_origin ? p->origin : NULL))
			return "$ORIGIN takes one domain name";
		memcpy(p->origin, name, name_bytes(name));
		p->has_origin = true;
		return NULL;
	}
	if (token_is(&tokens[0], "$TTL")) {
		if (p->entry.count != 2 || !token_seconds(&tokens[1], &p->default_ttl))
			return "$TTL takes one time in seconds";
		p->has_default_ttl = true;
		return NULL;
	}
	return "only $ORIGIN and $TTL are known";
}

static uint32_t last_number(const uint8_t *data, size_t bytes)
{
	const uint8_t *at = data + bytes - 4;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Finds the TTL of a record that doesn't say its own. */
static bool implied_ttl(const struct parser *p, uint16_t type, size_t bytes, uint32_t *ttl)
{
	if (p->has_default_ttl)
		*ttl = p->default_ttl;
	else if (p->has_last_ttl)
		*ttl = p->last_ttl;
	else if (type == TYPE_SOA)
		*ttl = last_number(p->data, bytes) & TTL_MAX_S;
	else
		return false;
	return true;
}

/* Reads a record from its TTL and class on, both of which may be missing. */
static const char *parse_record(struct parser *p, unsigned int at)
{
	const struct token *tokens = p->entry.tokens;
	bool has_ttl = false, has_class = false;
	uint32_t ttl = 0;
	const char *error;
	uint16_t type;
	size_t bytes;

	for (; at < p->entry.count; at++) {
		if (!has_class && token_is(&tokens[at], "IN"))
			has_class = true;
		else if (!has_ttl && token_seconds(&tokens[at], &ttl))
			has_ttl = true;
		else
			break;
	}
	if (at == p->entry.count)
		return "the record has no type";
	type = rdata_type(&tokens[at]);
	if (!type)
		return "the record's type or class is unknown";
	at++;
	error = rdata_from_text(
		type, tokens + at, p->entry.count - at, p->has_origin ? p->origin : NULL, p->data, &bytes);
	if (error)
		return error;
	if (!has_ttl && !implied_ttl(p, type, bytes, &ttl))
		return "the record has no TTL, and there is no $TTL";
	p->last_ttl = ttl;
	p->has_last_ttl = true;
	return zone_add(p->zone, p->owner, type, ttl, p->data, (uint16_t)bytes);
}

static const char *parse_entry(struct parser *p)
{
	const struct token *first = &p->entry.tokens[0];

	if (p->entry.blank_start) {
		if (!p->has_owner)
			return "the first record has no name";
		return parse_record(p, 0);
	}
	if (!first->quoted && first->length && first->text[0] == '$')
		return parse_directive(p);
	if (first->quoted || !name_from_text(p->owner, first->text, first->length, p->has_origin ? p->origin : NULL))
		return "the record's name is wrong, or relative and there is no $ORIGIN";
	p->has_owner = true;
	return parse_record(p, 1);
}

const char *zone_parse(struct zone *zone, const char *text, size_t length, const uint8_t *origin, unsigned int *line)
{
	static struct parser p; /* large, and used once */
	const char *error;

	p = (struct parser){.zone = zone, .scan = {.at = text, .end = text + length, .line = 1}};
	if (origin) {
		memcpy(p.origin, origin, name_bytes(origin));
		p.has_origin = true;
	}
	do {
		error = scan_entry(&p.scan, &p.entry);
		if (!error && p.entry.count)
			error = parse_entry(&p);
		*line = p.entry.line;
	} while (!error && p.scan.at < p.scan.end);
	if (!error) {
		error = zone_check(zone);
		*line = 0;
	}
	return error;
}
