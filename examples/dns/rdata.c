// SPDX-License-Identifier: Apache-2.0
#include "rdata.h"

#include <arpa/inet.h>
#include <string.h>

static const struct {
	char name[6];
	uint16_t type;
	char fields[8];
} types[] = {
	{"A", TYPE_A, "4"},
	{"NS", TYPE_NS, "n"},
	{"CNAME", TYPE_CNAME, "n"},
	{"SOA", TYPE_SOA, "nnwtttt"},
	{"PTR", TYPE_PTR, "n"},
	{"HINFO", TYPE_HINFO, "ss"},
	{"MX", TYPE_MX, "hn"},
	{"TXT", TYPE_TXT, "S"},
	{"AAAA", TYPE_AAAA, "6"},
	{"SRV", TYPE_SRV, "hhhN"},
	{"CAA", TYPE_CAA, "bgr"},
};

enum { TYPE_COUNT = sizeof(types) / sizeof(types[0]) };

const char *rdata_fields(uint16_t type)
{
	for (unsigned int i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type)
			return types[i].fields;
	return NULL;
}

uint16_t rdata_type(const struct token *token)
{
	struct token word, digits;
	uint32_t number;

	for (unsigned int i = 0; i < TYPE_COUNT; i++)
		if (token_is(token, types[i].name))
			return types[i].type;
	if (token->length < 5 || token->quoted)
		return 0;
	word = (struct token){.text = token->text, .length = 4};
	digits = (struct token){.text = token->text + 4, .length = token->length - 4};
	if (!token_is(&word, "TYPE") || !token_number(&digits, 0xffff, &number))
		return 0;
	/* OPT and the types of questions only (RFC 6895, 3.1) are never in a zone. */
	return number == TYPE_OPT || (number >= 128 && number <= 255) ? 0 : (uint16_t)number;
}

bool token_number(const struct token *token, uint32_t max, uint32_t *value)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < token->length; i++) {
		if (token->text[i] < '0' || token->text[i] > '9')
			return false;
		sum = sum * 10 + (uint64_t)(token->text[i] - '0');
		if (sum > max)
			return false;
	}
	*value = (uint32_t)sum;
	return token->length > 0;
}

bool token_seconds(const struct token *token, uint32_t *seconds)
{
	static const uint32_t scale[] = {1, 60, 3600, 86400, 7 * 86400};
	static const char letters[] = "smhdw";
	struct token part = {.text = token->text};
	uint64_t sum = 0;

	for (size_t i = 0; i < token->length; i++) {
		const char *unit = memchr(letters, token->text[i] | 0x20, sizeof(letters) - 1);
		uint32_t value;

		if (token->text[i] >= '0' && token->text[i] <= '9' && ++part.length)
			continue;
		if (!unit || !token_number(&part, TTL_MAX_S, &value))
			return false;
		sum += (uint64_t)value * scale[unit - letters];
		if (sum > TTL_MAX_S)
			return false;
		part = (struct token){.text = token->text + i + 1};
	}
	if (part.length) {
		if (!token_number(&part, TTL_MAX_S, seconds))
			return false;
		sum += *seconds;
	}
	*seconds = (uint32_t)sum;
	return token->length > 0 && sum <= TTL_MAX_S;
}

/* Adds a number in network byte order. */
static size_t put_number(uint8_t *at, uint32_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * (bytes - 1 - i)));
	return bytes;
}

/* Returns the octets of a text with its escapes resolved, -1 if it is wrong or takes more than the maximum. */
static int text_bytes(const struct token *token, uint8_t *out, int max)
{
	const char *at = token->text, *end = at + token->length;
	int used = 0;

	while (at < end) {
		int octet = text_octet(&at, end);

		if (octet < 0 || used == max)
			return -1;
		out[used++] = (uint8_t)octet;
	}
	return used;
}

/* Returns the octets of a text with its length in front, 0 if it is wrong. */
static size_t put_string(uint8_t *at, const struct token *token)
{
	int bytes = text_bytes(token, at + 1, 255);

	if (bytes < 0)
		return 0;
	at[0] = (uint8_t)bytes;
	return (size_t)bytes + 1;
}

static size_t put_tag(uint8_t *at, const struct token *token)
{
	for (size_t i = 0; i < token->length; i++) {
		char c = token->text[i];

		if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')))
			return 0;
	}
	return token->length ? put_string(at, token) : 0;
}

/* Returns the octets of an address, 0 if the word isn't one. */
static size_t put_address(int family, uint8_t *at, const struct token *token)
{
	char copy[INET6_ADDRSTRLEN];

	if (token->length >= sizeof(copy) || memchr(token->text, 0, token->length))
		return 0;
	memcpy(copy, token->text, token->length);
	copy[token->length] = 0;
	if (inet_pton(family, copy, at) != 1)
		return 0;
	return family == AF_INET ? 4 : 16;
}

/* Returns the octets that a field takes, 0 if the word is wrong; none takes more than 1024. */
static size_t put_field(char kind, uint8_t *at, const struct token *token, const uint8_t *origin)
{
	uint32_t value;
	int bytes;

	switch (kind) {
	case 'n':
	case 'N': return token->quoted ? 0 : name_from_text(at, token->text, token->length, origin);
	case 'b': return token_number(token, 0xff, &value) ? put_number(at, value, 1) : 0;
	case 'h': return token_number(token, 0xffff, &value) ? put_number(at, value, 2) : 0;
	case 'w': return token_number(token, 0xffffffff, &value) ? put_number(at, value, 4) : 0;
	case 't': return token_seconds(token, &value) ? put_number(at, value, 4) : 0;
	case '4': return put_address(AF_INET, at, token);
	case '6': return put_address(AF_INET6, at, token);
	case 'g': return put_tag(at, token);
	case 'r': bytes = text_bytes(token, at, 1024); return bytes < 0 ? 0 : (size_t)bytes;
	default: return put_string(at, token);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads "\# LENGTH HEX..." (RFC 3597, 5). */
static const char *generic_from_text(
	const struct token *tokens, unsigned int count, uint8_t data[RDATA_MAX_BYTES], size_t *bytes)
{
	static const char wrong[] = "data of this type is written \\# LENGTH HEX";
	uint32_t length;
	size_t used = 0;

	if (count < 2 || tokens[0].quoted || tokens[0].length != 2 || memcmp(tokens[0].text, "\\#", 2) ||
		!token_number(&tokens[1], RDATA_MAX_BYTES, &length))
		return wrong;
	for (unsigned int i = 2; i < count; i++) {
		for (size_t j = 0; j < tokens[i].length; j++, used++) {
			int digit = hex_digit(tokens[i].text[j]);

			if (digit < 0 || used == 2 * (size_t)length)
				return wrong;
			data[used / 2] = (uint8_t)(used % 2 ? data[used / 2] | digit : digit << 4);
		}
	}
	*bytes = length;
	return used == 2 * (size_t)length ? NULL : wrong;
}

const char *rdata_from_text(uint16_t type, const struct token *tokens, unsigned int count, const uint8_t *origin,
	uint8_t data[RDATA_MAX_BYTES], size_t *bytes)
{
	const char *fields = rdata_fields(type);
	size_t used = 0;

	if (!fields)
		return generic_from_text(tokens, count, data, bytes);
	for (unsigned int i = 0; i < count; i++) {
		size_t field;

		if (!*fields)
			return "the record has too many words";
		if (used > RDATA_MAX_BYTES - 1025)
			return "the record is too long";
		/* Only the rest of a CAA record may be empty. */
		field = put_field(*fields, data + used, &tokens[i], origin);
		if (!field && (*fields != 'r' || tokens[i].length))
			return "a word of the record is wrong";
		used += field;
		if (*fields != 'S' || i + 1 == count)
			fields++;
	}
	*bytes = used;
	return *fields ? "the record has too few words" : NULL;
}
