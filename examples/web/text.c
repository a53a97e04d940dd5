// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <string.h>

void text_slice(struct text *text, struct slice slice)
{
	if (text->full || slice.length > text->size - text->used) {
		text->full = true;
		return;
	}
	memcpy(text->out + text->used, slice.at, slice.length);
	text->used += slice.length;
}

void text_add(struct text *text, const char *string)
{
	text_slice(text, (struct slice){string, strlen(string)});
}

void text_number(struct text *text, uint64_t number, unsigned int base)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	text_slice(text, (struct slice){at, (size_t)(digits + sizeof(digits) - at)});
}

static void add_two(struct text *text, int number)
{
	text_slice(text, (struct slice){(char[]){(char)('0' + number / 10), (char)('0' + number % 10)}, 2});
}

void text_date(struct text *text, time_t time)
{
	static const char days[] = "Sun, Mon, Tue, Wed, Thu, Fri, Sat, ";
	static const char months[] = " Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
	struct tm tm;

	if (!gmtime_r(&time, &tm) || tm.tm_year < 0 || tm.tm_year > 9999 - 1900)
		gmtime_r(&(time_t){0}, &tm);
	text_slice(text, (struct slice){days + 5 * (size_t)tm.tm_wday, 5});
	add_two(text, tm.tm_mday);
	text_slice(text, (struct slice){months + 5 * (size_t)tm.tm_mon, 5});
	add_two(text, (tm.tm_year + 1900) / 100);
	add_two(text, tm.tm_year % 100);
	text_add(text, " ");
	add_two(text, tm.tm_hour);
	text_add(text, ":");
	add_two(text, tm.tm_min);
	text_add(text, ":");
	add_two(text, tm.tm_sec);
	text_add(text, " GMT");
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool slice_is(struct slice slice, const char *string)
{
	for (size_t i = 0; i < slice.length; i++)
		if (!string[i] || lower(slice.at[i]) != lower(string[i]))
			return false;
	return !string[slice.length];
}

bool slice_number(struct slice slice, uint64_t *number)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < slice.length; i++) {
		if (slice.at[i] < '0' || slice.at[i] > '9' || sum > (INT64_MAX - 9) / 10)
			return false;
		sum = sum * 10 + (uint64_t)(slice.at[i] - '0');
	}
	*number = sum;
	return slice.length > 0;
}

struct slice slice_trim(struct slice slice)
{
	while (slice.length && (*slice.at == ' ' || *slice.at == '\t')) {
		slice.at++;
		slice.length--;
	}
	while (slice.length && (slice.at[slice.length - 1] == ' ' || slice.at[slice.length - 1] == '\t'))
		slice.length--;
	return slice;
}

bool slice_cut(struct slice *rest, char separator, struct slice *part)
{
	const char *found = rest->length ? memchr(rest->at, separator, rest->length) : NULL;
	size_t length = found ? (size_t)(found - rest->at) : rest->length;

	if (!rest->length)
		return false;
	*part = (struct slice){rest->at, length};
	rest->at += length + (found != NULL);
	rest->length -= length + (found != NULL);
	return true;
}
