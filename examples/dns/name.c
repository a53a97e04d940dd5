// SPDX-License-Identifier: Apache-2.0
#include "dns.h"

#include <string.h>

size_t name_bytes(const uint8_t *name)
{
	const uint8_t *at = name;

	while (*at)
		at += 1 + *at;
	return (size_t)(at - name) + 1;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
	size_t bytes = name_bytes(a);

	if (bytes != name_bytes(b))
		return false;
	/* Length octets are below 'A': they may be treated as letters. */
	for (size_t i = 0; i < bytes; i++)
		if (dns_lower(a[i]) != dns_lower(b[i]))
			return false;
	return true;
}

unsigned int name_labels(const uint8_t *name, uint8_t starts[LABELS_MAX])
{
	unsigned int count = 0;

	for (const uint8_t *at = name; *at; at += 1 + *at)
		starts[count++] = (uint8_t)(at - name);
	return count;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int text_octet(const char **at, const char *end)
{
	const char *p = *at;
	int value;

	if (*p != '\\') {
		*at = p + 1;
		return (uint8_t)*p;
	}
	if (++p == end)
		return -1;
	if (!is_digit(*p)) {
		*at = p + 1;
		return (uint8_t)*p;
	}
	if (end - p < 3 || !is_digit(p[1]) || !is_digit(p[2]))
		return -1;
	value = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');
	*at = p + 3;
	return value < 256 ? value : -1;
}

static size_t append_origin(uint8_t *name, size_t used, const uint8_t *origin)
{
	size_t bytes = origin ? name_bytes(origin) : 0;

	if (!bytes || used + bytes > NAME_MAX_BYTES)
		return 0;
	memcpy(name + used, origin, bytes);
	return used + bytes;
}

size_t name_from_text(uint8_t name[NAME_MAX_BYTES], const char *text, size_t length, const uint8_t *origin)
{
	const char *end = text + length;
	size_t label = 0, used = 1; /* where the label's length stands; what is used, that octet included */

	if (length == 1 && *text == '@')
		return append_origin(name, 0, origin);
	if (length == 1 && *text == '.') {
		name[0] = 0;
		return 1;
	}
	while (text < end) {
		bool plain = *text != '\\';
		int octet = text_octet(&text, end);

		if (octet < 0)
			return 0;
		if (plain && octet == '.') {
			if (used == label + 1)
				return 0;
			name[label] = (uint8_t)(used - label - 1);
			label = used++;
		} else {
			/* The root's label must fit behind. */
			if (used - label - 1 == LABEL_MAX_BYTES || used >= NAME_MAX_BYTES - 1)
				return 0;
			name[used++] = (uint8_t)octet;
		}
	}
	if (used == label + 1) { /* ended with a dot */
		if (!label)
			return 0;
		name[label] = 0;
		return used;
	}
	name[label] = (uint8_t)(used - label - 1);
	return append_origin(name, used, origin);
}
