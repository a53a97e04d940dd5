// SPDX-License-Identifier: Apache-2.0
/* The web example's reading of requests, ranges and dates, on any bytes. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path never leaves the root, starts at it or has an empty part. */
static void check_path(const char *path)
{
	struct slice rest = {path, strlen(path)}, part;

	if (rest.length >= PATH_MAX_BYTES || (rest.length && path[rest.length - 1] == '/'))
		abort();
	while (slice_cut(&rest, '/', &part))
		if (!part.length || slice_is(part, ".") || slice_is(part, ".."))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t head = request_head_bytes((const char *)data, size);
	struct request request;
	uint64_t start, length;
	char out[64];
	struct text text = {.out = out, .size = sizeof(out)};
	time_t time;

	if (!head)
		return 0;
	if (head > size)
		abort();
	if (request_read(&request, (const char *)data, head) != STATUS_OK) {
		if (request.keep)
			abort();
		return 0;
	}
	check_path(request.path);
	if (request.range.at && range_read(request.range, 1000, &start, &length) == STATUS_PARTIAL &&
		(!length || length > 1000 || start > 1000 - length))
		abort();
	if (request.if_modified_since.at && date_read(request.if_modified_since, &time))
		text_date(&text, time);
	if (text.full)
		abort();
	return 0;
}
