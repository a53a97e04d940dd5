// SPDX-License-Identifier: Apache-2.0
/* Text that is put together in a buffer of fixed size, and the dates of HTTP. */
#ifndef WEB_TEXT_H
#define WEB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct text {
	char *out;
	size_t used, size;
	bool full; /* something did not fit */
};

/* A piece of somebody else's text. */
struct slice {
	const char *at;
	size_t length;
};

void text_add(struct text *text, const char *string);
void text_slice(struct text *text, struct slice slice);
void text_number(struct text *text, uint64_t number, unsigned int base);

/* Adds "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7). */
void text_date(struct text *text, time_t time);

/* Returns whether two texts are the same but for case. */
bool slice_is(struct slice slice, const char *string);

/* Reads a whole decimal number below 2^63; returns false if it isn't one. */
bool slice_number(struct slice slice, uint64_t *number);

/* Takes off blanks and tabs at both ends. */
struct slice slice_trim(struct slice slice);

/* Cuts off what stands before the separator, or all; false when nothing is left. */
bool slice_cut(struct slice *rest, char separator, struct slice *part);

#endif
