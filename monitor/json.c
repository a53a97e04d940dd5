// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct cursor {
	const char *at, *end;
};

static void skip_space(struct cursor *cursor)
{
	while (cursor->at < cursor->end && memchr(" \t\r\n", *cursor->at, 4))
		cursor->at++;
}

/* Consume the character if it comes next. */
static bool next_is(struct cursor *cursor, char character)
{
	skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != character)
		return false;
	cursor->at++;
	return true;
}

/* Behind a backslash. Only what stands for an ASCII character other than zero; -1 for anything else. */
static int parse_escape(struct cursor *cursor)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	unsigned int value = 0;

	if (cursor->at == cursor->end || !*cursor->at)
		return -1;
	char letter = *cursor->at++;
	const char *found = strchr(letters, letter);
	if (found)
		return meanings[found - letters];
	if (letter != 'u' || cursor->end - cursor->at < 4)
		return -1;
	for (int i = 0; i < 4; i++, cursor->at++) {
		static const char digits[] = "0123456789abcdef";
		char digit = *cursor->at >= 'A' && *cursor->at <= 'F' ? (char)(*cursor->at + 'a' - 'A') : *cursor->at;
		const char *place = digit ? strchr(digits, digit) : NULL;

		if (!place)
			return -1;
		value = value << 4 | (unsigned int)(place - digits);
	}
	return value && value < 0x80 ? (int)value : -1;
}

static bool parse_text(struct cursor *cursor, char text[KL_JSON_TEXT_MAX])
{
	size_t used = 0;

	if (!next_is(cursor, '"'))
		return false;
	while (cursor->at < cursor->end && used < KL_JSON_TEXT_MAX) {
		int character = (unsigned char)*cursor->at++;

		if (character == '"') {
			text[used] = 0;
			return true;
		}
		if (character < 0x20 || character >= 0x80)
			return false;
		if (character == '\\')
			character = parse_escape(cursor);
		if (character < 0)
			return false;
		text[used++] = (char)character;
	}
	return false;
}

static bool parse_number(struct cursor *cursor, uint64_t *number)
{
	const char *start = cursor->at;

	*number = 0;
	while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
		unsigned int digit = (unsigned int)(*cursor->at++ - '0');

		if (*number > (UINT64_MAX - digit) / 10)
			return false;
		*number = *number * 10 + digit;
	}
	return cursor->at > start && (*start != '0' || cursor->at == start + 1);
}

static bool parse_field(struct cursor *cursor, struct kl_json_field *field)
{
	if (!parse_text(cursor, field->name) || !next_is(cursor, ':'))
		return false;
	skip_space(cursor);
	field->is_number = cursor->at < cursor->end && *cursor->at != '"';
	return field->is_number ? parse_number(cursor, &field->number) : parse_text(cursor, field->text);
}

static const struct kl_json_field *find(const struct kl_json_object *object, const char *name)
{
	for (unsigned int i = 0; i < object->count; i++) {
		if (!strcmp(object->fields[i].name, name))
			return &object->fields[i];
	}
	return NULL;
}

int kl_json_parse(struct kl_json_object *object, const char *text, size_t bytes)
{
	struct cursor cursor = {.at = text, .end = text + bytes};

	memset(object, 0, sizeof(*object));
	if (!next_is(&cursor, '{'))
		return -EINVAL;
	if (!next_is(&cursor, '}')) {
		do {
			struct kl_json_field field = {0};

			if (object->count == KL_JSON_FIELDS_MAX || !parse_field(&cursor, &field) ||
				find(object, field.name))
				return -EINVAL;
			object->fields[object->count++] = field;
		} while (next_is(&cursor, ','));
		if (!next_is(&cursor, '}'))
			return -EINVAL;
	}
	skip_space(&cursor);
	return cursor.at == cursor.end ? 0 : -EINVAL;
}

const char *kl_json_text(const struct kl_json_object *object, const char *name)
{
	const struct kl_json_field *field = find(object, name);

	return field && !field->is_number ? field->text : NULL;
}

bool kl_json_number(const struct kl_json_object *object, const char *name, uint64_t *number)
{
	const struct kl_json_field *field = find(object, name);

	if (!field || !field->is_number)
		return false;
	*number = field->number;
	return true;
}

void kl_json_add(struct kl_json_out *out, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	int bytes = vsnprintf(out->text + out->used, out->room - out->used, format, arguments);
	va_end(arguments);
	if (bytes < 0 || (size_t)bytes >= out->room - out->used)
		out->overflow = true;
	else
		out->used += (size_t)bytes;
}
