// SPDX-License-Identifier: Apache-2.0
#include "message.h"

#include "rdata.h"

#include <string.h>

enum { OPT_BYTES = 11, POINTER_MAX = 0x3fff };

static void put_bytes(struct writer *w, const void *bytes, size_t count)
{
	if (w->full || count > w->limit - w->used) {
		w->full = true;
		return;
	}
	memcpy(w->out + w->used, bytes, count);
	w->used += count;
}

static void put_u16(struct writer *w, uint16_t value)
{
	put_bytes(w, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static void put_u32(struct writer *w, uint32_t value)
{
	put_u16(w, (uint16_t)(value >> 16));
	put_u16(w, (uint16_t)value);
}

static void set_u16(uint8_t *at, size_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Returns whether the message has exactly this name, letters in this case, at an offset. */
static bool name_is_at(const struct writer *w, size_t offset, const uint8_t *name)
{
	for (;;) {
		const uint8_t *at = w->out + offset;

		if (*at >= 0xc0) {
			offset = (size_t)(at[0] & 0x3f) << 8 | at[1];
			continue;
		}
		if (*at != *name || memcmp(at, name, 1 + (size_t)*name))
			return false;
		if (!*name)
			return true;
		offset += 1 + (size_t)*name;
		name += 1 + *name;
	}
}

/* Returns where the message has a name already, 0 if nowhere. */
static uint16_t find_name(const struct writer *w, const uint8_t *name)
{
	for (unsigned int i = 0; i < w->name_count; i++)
		if (name_is_at(w, w->names[i], name))
			return w->names[i];
	return 0;
}

/* Adds a name, its end as a pointer to where that stands already (RFC 1035, 4.1.4). */
static void put_name(struct writer *w, const uint8_t *name, bool compress)
{
	unsigned int known = w->name_count;

	for (; *name; name += 1 + *name) {
		uint16_t offset = compress ? find_name(w, name) : 0;

		if (offset) {
			put_u16(w, 0xc000 | offset);
			return;
		}
		if (known < WRITER_NAMES_MAX && w->used <= POINTER_MAX)
			w->names[known++] = (uint16_t)w->used;
		put_bytes(w, name, 1 + (size_t)*name);
	}
	put_bytes(w, "", 1);
	if (!w->full)
		w->name_count = known; /* not before its end stands there */
}

void writer_start(struct writer *w, uint8_t *out, size_t limit, const struct query *query)
{
	*w = (struct writer){.out = out, .used = HEADER_BYTES, .limit = limit - (query->edns ? OPT_BYTES : 0)};
	if (!query->has_question)
		return;
	put_name(w, query->name, true);
	put_u16(w, query->type);
	put_u16(w, query->class);
}

/* Adds a record's data; names within it are compressed where the type allows that. */
static void put_data(struct writer *w, const struct record *record)
{
	const char *fields = rdata_fields(record->type);
	const uint8_t *at = record->data, *end = at + record->bytes;

	for (; fields && *fields && at < end; fields++) {
		size_t bytes;

		switch (*fields) {
		case 'n':
		case 'N':
			put_name(w, at, *fields == 'n');
			at += name_bytes(at);
			continue;
		case 'h': bytes = 2; break;
		case 'w':
		case 't': bytes = 4; break;
		default: bytes = (size_t)(end - at); break;
		}
		put_bytes(w, at, bytes);
		at += bytes;
	}
	put_bytes(w, at, (size_t)(end - at));
}

void writer_record(
	struct writer *w, enum section section, const uint8_t *owner, uint32_t ttl, const struct record *record)
{
	size_t data;

	put_name(w, owner, true);
	put_u16(w, record->type);
	put_u16(w, CLASS_IN);
	put_u32(w, ttl);
	put_u16(w, 0);
	data = w->used;
	put_data(w, record);
	if (w->full)
		return;
	set_u16(w->out + data - 2, w->used - data);
	w->counts[section]++;
}

size_t writer_finish(struct writer *w, const struct query *query, uint16_t flags, unsigned int rcode)
{
	flags |= FLAG_QR | (query->flags & (FLAGS_OPCODE | FLAG_RD)) | (rcode & 0xf);
	if (query->edns) {
		w->limit += OPT_BYTES;
		w->full = false;
		put_bytes(w, "", 1);
		put_u16(w, TYPE_OPT);
		put_u16(w, UDP_EDNS_BYTES);
		put_u16(w, (uint16_t)(rcode >> 4 << 8));
		put_u16(w, query->dnssec_ok ? 0x8000 : 0);
		put_u16(w, 0);
		w->counts[SECTION_ADDITIONAL]++;
	}
	set_u16(w->out, query->id);
	set_u16(w->out + 2, flags);
	set_u16(w->out + 4, query->has_question);
	for (unsigned int i = 0; i < SECTION_COUNT; i++)
		set_u16(w->out + 6 + 2 * i, w->counts[i]);
	return w->used;
}
