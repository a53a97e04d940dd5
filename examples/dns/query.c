// SPDX-License-Identifier: Apache-2.0
/* Reads queries: every octet comes from anyone at all. */
#include "message.h"

#include <string.h>

struct reader {
	const uint8_t *at, *end;
};

static size_t left(const struct reader *r)
{
	return (size_t)(r->end - r->at);
}

static uint16_t get_u16(struct reader *r)
{
	uint16_t value = (uint16_t)(r->at[0] << 8 | r->at[1]);

	r->at += 2;
	return value;
}

/* Reads a name without pointers: a question has nothing before it to point to. */
static bool read_name(struct reader *r, uint8_t name[NAME_MAX_BYTES])
{
	size_t used = 0;

	for (;;) {
		size_t label;

		if (!left(r) || *r->at > LABEL_MAX_BYTES)
			return false;
		label = 1 + (size_t)*r->at;
		if (label > left(r) || used + label > NAME_MAX_BYTES)
			return false;
		memcpy(name + used, r->at, label);
		r->at += label;
		used += label;
		if (label == 1)
			return true;
	}
}

/* Steps over a name that may end in a pointer. */
static bool skip_name(struct reader *r)
{
	while (left(r)) {
		size_t label = *r->at;
		size_t bytes = label >= 0xc0 ? 2 : 1 + label;

		if ((label > LABEL_MAX_BYTES && label < 0xc0) || bytes > left(r))
			return false;
		r->at += bytes;
		if (!label || label >= 0xc0)
			return true;
	}
	return false;
}

/* Reads what an OPT record says (RFC 6891, 6.1); the reader stands at its class. */
static int read_opt(struct query *query, struct reader *r, bool root_owner)
{
	uint8_t version;

	if (query->edns || !root_owner)
		return RCODE_FORMERR;
	query->edns = true;
	query->udp_bytes = get_u16(r);
	version = r->at[1];
	query->dnssec_ok = r->at[2] & 0x80;
	r->at += 4;
	return version ? RCODE_BADVERS : RCODE_NOERROR;
}

/* Walks over the records behind the question; only an OPT record in the last section matters. */
static int read_records(struct query *query, struct reader *r, unsigned int count, unsigned int additional)
{
	int rcode = RCODE_NOERROR;

	for (unsigned int i = 0; i < count + additional; i++) {
		bool root_owner = left(r) && !*r->at;
		uint16_t type, bytes;

		if (!skip_name(r) || left(r) < 10)
			return RCODE_FORMERR;
		type = get_u16(r);
		if (type == TYPE_OPT) {
			int opt = i < count ? RCODE_FORMERR : read_opt(query, r, root_owner);

			if (opt == RCODE_FORMERR)
				return opt;
			rcode = opt;
		} else {
			r->at += 6;
		}
		bytes = get_u16(r);
		if (bytes > left(r))
			return RCODE_FORMERR;
		r->at += bytes;
	}
	return left(r) ? RCODE_FORMERR : rcode;
}

int query_read(struct query *query, const uint8_t *packet, size_t bytes)
{
	struct reader r = {.at = packet, .end = packet + bytes};
	unsigned int questions, records, additional;

	query->has_question = query->edns = query->dnssec_ok = false;
	query->udp_bytes = UDP_PLAIN_BYTES;
	if (bytes < HEADER_BYTES)
		return -1;
	query->id = get_u16(&r);
	query->flags = get_u16(&r);
	questions = get_u16(&r);
	records = get_u16(&r);
	records += get_u16(&r);
	additional = get_u16(&r);
	if (query->flags & FLAG_QR)
		return -1;
	if (query->flags & FLAGS_OPCODE)
		return RCODE_NOTIMP;
	if (questions != 1 || !read_name(&r, query->name) || left(&r) < 4) /* one: RFC 9619 */
		return RCODE_FORMERR;
	query->type = get_u16(&r);
	query->class = get_u16(&r);
	query->has_question = true;
	return read_records(query, &r, records, additional);
}
