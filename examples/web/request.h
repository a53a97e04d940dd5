// SPDX-License-Identifier: Apache-2.0
/* Requests of HTTP/1.0 and 1.1 (RFC 9112). */
#ifndef WEB_REQUEST_H
#define WEB_REQUEST_H

#include "text.h"

enum { HEAD_MAX_BYTES = 4096, PATH_MAX_BYTES = 1024 };

enum status {
	STATUS_OK = 200,
	STATUS_PARTIAL = 206,
	STATUS_MOVED = 301,
	STATUS_NOT_MODIFIED = 304,
	STATUS_BAD_REQUEST = 400,
	STATUS_FORBIDDEN = 403,
	STATUS_NOT_FOUND = 404,
	STATUS_NOT_ALLOWED = 405,
	STATUS_TOO_LARGE = 413,
	STATUS_URI_TOO_LONG = 414,
	STATUS_BAD_RANGE = 416,
	STATUS_HEADER_TOO_LARGE = 431,
	STATUS_ERROR = 500,
	STATUS_UNAVAILABLE = 503,
	STATUS_VERSION = 505,
};

/* Slices point into the buffer that was read; those of missing fields have a NULL address. */
struct request {
	bool head_only;      /* HEAD: as GET, without the body */
	bool keep;           /* the connection stays */
	uint64_t body_bytes; /* what follows the head and is to be ignored */
	struct slice query;  /* with its question mark */
	struct slice range, if_range, if_none_match, if_modified_since;
	char path[PATH_MAX_BYTES]; /* decoded, relative to the root, without "." and ".."; "" is the root itself */
	bool is_folder;            /* it ended with a slash */
};

/* Returns how many octets at the start are a request's head, 0 when its end has not come yet. */
size_t request_head_bytes(const char *data, size_t bytes);

/* Reads a whole head. Returns STATUS_OK or what to refuse it with; then request->keep is false. */
enum status request_read(struct request *request, const char *head, size_t bytes);

/* Reads one range (RFC 9110, 14.1.2). Returns STATUS_OK when the whole file is to be sent, as for forms that are
 * unknown; STATUS_PARTIAL with where it starts and its length; or STATUS_BAD_RANGE. */
enum status range_read(struct slice field, uint64_t size, uint64_t *start, uint64_t *length);

/* Reads a date as text_date() writes it; returns false for any other form. */
bool date_read(struct slice field, time_t *time);

#endif
