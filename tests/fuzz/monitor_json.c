// SPDX-License-Identifier: Apache-2.0
/* The parser of the control socket's lines on any bytes. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kl_json_object object;
	struct kl_json_out out;
	char text[100];
	uint64_t number;

	if (kl_json_parse(&object, (const char *)data, size))
		return 0;
	if (object.count > KL_JSON_FIELDS_MAX)
		abort();
	out = (struct kl_json_out){.text = text, .room = sizeof(text)};
	for (unsigned int i = 0; i < object.count; i++) {
		const struct kl_json_field *field = &object.fields[i];
		bool has_number = kl_json_number(&object, field->name, &number);
		const char *value = kl_json_text(&object, field->name);

		if (strlen(field->name) >= KL_JSON_TEXT_MAX || has_number == (value != NULL) ||
			has_number != field->is_number)
			abort();
		kl_json_add(&out, "%s=%s", field->name, value ? value : "");
		if (out.used >= sizeof(text) || (value && strlen(value) >= KL_JSON_TEXT_MAX))
			abort();
	}
	return 0;
}
