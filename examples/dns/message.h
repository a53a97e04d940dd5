// SPDX-License-Identifier: Apache-2.0
/* Messages (RFC 1035, 4; EDNS: RFC 6891): reading questions, writing answers. */
#ifndef DNS_MESSAGE_H
#define DNS_MESSAGE_H

#include "dns.h"
#include "zone.h"

struct query {
	uint16_t id;
	uint16_t flags; /* the header's second word */
	bool has_question;
	uint8_t name[NAME_MAX_BYTES];
	uint16_t type, class;
	bool edns, dnssec_ok;
	uint16_t udp_bytes; /* what the client takes over UDP */
};

/* The header's second word. */
enum {
	FLAG_QR = 0x8000,
	FLAGS_OPCODE = 0x7800,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
};

/* Reads a query. Returns a dns_rcode, or -1 when the packet gets no answer at all: too short, or an answer itself. */
int query_read(struct query *query, const uint8_t *packet, size_t bytes);

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL, SECTION_COUNT };

enum { WRITER_NAMES_MAX = 64 };

/* A message that is being written, never longer than the limit. */
struct writer {
	uint8_t *out;
	size_t used, limit;
	bool full; /* something did not fit */
	uint16_t counts[SECTION_COUNT];
	unsigned int name_count;
	uint16_t names[WRITER_NAMES_MAX]; /* where names are that others may point to */
};

/* Begins with the header's room and the question, if there is one. The limit leaves room for both, and for EDNS. */
void writer_start(struct writer *w, uint8_t *out, size_t limit, const struct query *query);

/* Adds a record with the given owner; w->full is set when it doesn't fit. */
void writer_record(
	struct writer *w, enum section section, const uint8_t *owner, uint32_t ttl, const struct record *record);

/* Fills in the header and adds the OPT record, if the query had one; returns the message's octets. */
size_t writer_finish(struct writer *w, const struct query *query, uint16_t flags, unsigned int rcode);

#endif
