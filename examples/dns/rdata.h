// SPDX-License-Identifier: Apache-2.0
/* What records of each type hold, and how a zone file writes it. */
#ifndef DNS_RDATA_H
#define DNS_RDATA_H

#include "dns.h"
#include "scan.h"

enum { RDATA_MAX_BYTES = 8192, TTL_MAX_S = 0x7fffffff };

/*
 * Returns a type's fields, one letter each, NULL for a type that is only known by number:
 * n name, in messages compressed; N name, never compressed (RFC 3597, 4); h number of 16 bits; w of 32 bits;
 * t time in seconds; 4, 6 address; s text of up to 255 octets; S one or more of these to the end;
 * b number of 8 bits; g tag of letters and digits; r the rest as text.
 */
const char *rdata_fields(uint16_t type);

/* Returns the type with a name such as "MX" or "TYPE99", 0 if there is none that a zone may hold. */
uint16_t rdata_type(const struct token *token);

/* Reads a decimal number of at most max; returns false if it isn't one. */
bool token_number(const struct token *token, uint32_t max, uint32_t *value);

/* Reads a time such as "3600" or "1h30m"; returns false if it isn't one. */
bool token_seconds(const struct token *token, uint32_t *seconds);

/* Turns a record's words into wire form. Returns NULL, or what is wrong: a constant text. */
const char *rdata_from_text(uint16_t type, const struct token *tokens, unsigned int count, const uint8_t *origin,
	uint8_t data[RDATA_MAX_BYTES], size_t *bytes);

#endif
