/* SPDX-License-Identifier: Apache-2.0 */
/* As much JSON (RFC 8259) as the control socket needs: flat objects in, bounded text out. */
#ifndef KL_MONITOR_JSON_H
#define KL_MONITOR_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KL_JSON_FIELDS_MAX 8
#define KL_JSON_TEXT_MAX 64

struct kl_json_field {
	char name[KL_JSON_TEXT_MAX];
	bool is_number;
	uint64_t number;             /* is_number: a whole number, 0 to 2^64 - 1 */
	char text[KL_JSON_TEXT_MAX]; /* otherwise: a string, zero-terminated, ASCII */
};

struct kl_json_object {
	unsigned int count;
	struct kl_json_field fields[KL_JSON_FIELDS_MAX];
};

/* Parse bytes of text, which is one object of strings and whole numbers and nothing else. 0 or -EINVAL. */
int kl_json_parse(struct kl_json_object *object, const char *text, size_t bytes);

/* A field's text, or NULL where it is missing or a number. */
const char *kl_json_text(const struct kl_json_object *object, const char *name);
/* A field's number, or false. */
bool kl_json_number(const struct kl_json_object *object, const char *name, uint64_t *number);

/* Text that grows in a buffer of the caller; overflow is remembered, and then the text is incomplete. */
struct kl_json_out {
	char *text;
	size_t used, room;
	bool overflow;
};

void kl_json_add(struct kl_json_out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
