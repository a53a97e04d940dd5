// SPDX-License-Identifier: Apache-2.0
/*
 * Words of the protocol (RFC 1035, 6891) and domain names in wire form: labels with a length octet each, the root's
 * empty label last, never compressed, at most NAME_MAX_BYTES in all. Letters keep their case and compare without it.
 */
#ifndef DNS_H
#define DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	NAME_MAX_BYTES = 255,
	LABEL_MAX_BYTES = 63,
	LABELS_MAX = 128,
	HEADER_BYTES = 12,
	UDP_PLAIN_BYTES = 512, /* without EDNS */
	UDP_EDNS_BYTES = 1232, /* no fragments on any link with IPv6's smallest MTU */
};

enum dns_type {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_PTR = 12,
	TYPE_HINFO = 13,
	TYPE_MX = 15,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_OPT = 41,
	TYPE_DS = 43,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_ANY = 255,
	TYPE_CAA = 257,
};

enum { CLASS_IN = 1, CLASS_ANY = 255 };

enum dns_rcode {
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_BADVERS = 16,
};

static inline uint8_t dns_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Returns the octets that a name takes, the root's label included. */
size_t name_bytes(const uint8_t *name);

/* Returns whether two names are the same but for case. */
bool name_equal(const uint8_t *a, const uint8_t *b);

/* Stores where each label but the root's starts; returns their number. */
unsigned int name_labels(const uint8_t *name, uint8_t starts[LABELS_MAX]);

/*
 * Reads a name as a zone file writes it (RFC 1035, 5.1), with \DDD and \X; a relative one gets the origin appended,
 * which may be NULL if there is none. Returns its octets, 0 if it isn't a name.
 */
size_t name_from_text(uint8_t name[NAME_MAX_BYTES], const char *text, size_t length, const uint8_t *origin);

/* Reads one character of a zone file, an escape or a plain one, and moves on; returns -1 for a bad escape. */
int text_octet(const char **at, const char *end);

#endif
