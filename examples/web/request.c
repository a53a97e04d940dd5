// SPDX-License-Identifier: Apache-2.0
#include "request.h"

#include <string.h>

enum { BODY_MAX_BYTES = 64 * 1024 };

/* What a head says besides what the request keeps. */
struct framing {
	unsigned int hosts;
	bool has_length, has_encoding, expects;
};

size_t request_head_bytes(const char *data, size_t bytes)
{
	const char *at = data, *end = data + bytes;

	while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
		at++;
		if (at < end && *at == '\n')
			return (size_t)(at - data) + 1;
		if (end - at >= 2 && at[0] == '\r' && at[1] == '\n')
			return (size_t)(at - data) + 2;
	}
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes %XX; returns -1 for what is wrong or a NUL. */
static int next_octet(struct slice *rest)
{
	int octet = (unsigned char)*rest->at;
	size_t used = 1;

	if (octet == '%') {
		int high = rest->length > 2 ? hex_digit(rest->at[1]) : -1;
		int low = rest->length > 2 ? hex_digit(rest->at[2]) : -1;

		if (high < 0 || low < 0)
			return -1;
		octet = high * 16 + low;
		used = 3;
	}
	rest->at += used;
	rest->length -= used;
	return octet ? octet : -1;
}

/* Decodes and tidies a path. A ".." is refused, even where it would not leave the root: no honest client sends it. */
static enum status read_path(struct request *request, struct slice rest)
{
	size_t used = 0, start = 0; /* what is written; where the part began */

	request->is_folder = true;
	while (rest.length) {
		int octet = next_octet(&rest);
		size_t part;

		if (octet < 0)
			return STATUS_BAD_REQUEST;
		if (used >= PATH_MAX_BYTES - 1)
			return STATUS_URI_TOO_LONG;
		if (octet != '/')
			request->path[used++] = (char)octet;
		part = used - start;
		if (octet != '/' && rest.length)
			continue;
		/* A part has ended. */
		if (part == 2 && !memcmp(request->path + start, "..", 2))
			return STATUS_BAD_REQUEST;
		request->is_folder = octet == '/' || (part == 1 && request->path[start] == '.');
		if (part == 1 && request->path[start] == '.')
			used = start;
		else if (part && octet == '/' && rest.length)
			request->path[used++] = '/';
		start = used;
	}
	while (used && request->path[used - 1] == '/')
		used--;
	request->path[used] = 0;
	return STATUS_OK;
}

/* Reads "/path?query" or "http://host/path?query". */
static enum status read_target(struct request *request, struct slice target)
{
	const char *mark;

	if (target.length > 7 && slice_is((struct slice){target.at, 7}, "http://")) {
		const char *path = memchr(target.at + 7, '/', target.length - 7);

		if (!path)
			target = (struct slice){"/", 1};
		else
			target = (struct slice){path, target.length - (size_t)(path - target.at)};
	}
	if (!target.length || *target.at != '/')
		return STATUS_BAD_REQUEST;
	mark = memchr(target.at, '?', target.length);
	if (mark) {
		request->query = (struct slice){mark, target.length - (size_t)(mark - target.at)};
		target.length = (size_t)(mark - target.at);
	}
	return read_path(request, target);
}

/* Reads the request line. */
static enum status read_first(struct request *request, struct slice line)
{
	struct slice method, target, version = {0};

	if (!slice_cut(&line, ' ', &method) || !slice_cut(&line, ' ', &target))
		return STATUS_BAD_REQUEST;
	version = line;
	if (version.length != 8 || memcmp(version.at, "HTTP/", 5) || version.at[6] != '.' || version.at[5] < '0' ||
		version.at[5] > '9' || version.at[7] < '0' || version.at[7] > '9')
		return STATUS_BAD_REQUEST;
	if (version.at[5] != '1')
		return STATUS_VERSION;
	request->keep = version.at[7] != '0';
	request->head_only = method.length == 4 && !memcmp(method.at, "HEAD", 4);
	if (!request->head_only && (method.length != 3 || memcmp(method.at, "GET", 3)))
		return STATUS_NOT_ALLOWED;
	return read_target(request, target);
}

static void read_connection(struct request *request, struct slice value)
{
	struct slice part;

	while (slice_cut(&value, ',', &part)) {
		part = slice_trim(part);
		if (slice_is(part, "close"))
			request->keep = false;
		else if (slice_is(part, "keep-alive"))
			request->keep = true;
	}
}

static enum status read_field(struct request *request, struct framing *framing, struct slice line)
{
	struct slice name, value = line;

	/* No blank before the colon, no line that continues another (RFC 9112, 5.1, 5.2). */
	if (!memchr(line.at, ':', line.length) || !slice_cut(&value, ':', &name) || !name.length ||
		memchr(name.at, ' ', name.length) || memchr(name.at, '\t', name.length))
		return STATUS_BAD_REQUEST;
	value = slice_trim(value);
	if (slice_is(name, "host")) {
		framing->hosts++;
	} else if (slice_is(name, "connection")) {
		read_connection(request, value);
	} else if (slice_is(name, "content-length")) {
		if (framing->has_length || !slice_number(value, &request->body_bytes))
			return STATUS_BAD_REQUEST;
		framing->has_length = true;
	} else if (slice_is(name, "transfer-encoding")) {
		framing->has_encoding = true;
	} else if (slice_is(name, "expect")) {
		framing->expects = true;
	} else if (slice_is(name, "range")) {
		request->range = value;
	} else if (slice_is(name, "if-range")) {
		request->if_range = value;
	} else if (slice_is(name, "if-none-match")) {
		request->if_none_match = value;
	} else if (slice_is(name, "if-modified-since")) {
		request->if_modified_since = value;
	}
	return STATUS_OK;
}

static enum status read_head(struct request *request, struct slice rest)
{
	struct framing framing = {0};
	enum status status = STATUS_OK;
	bool first = true, is_1_1 = false;
	struct slice line;

	while (slice_cut(&rest, '\n', &line)) {
		enum status found;

		if (line.length && line.at[line.length - 1] == '\r')
			line.length--;
		if (memchr(line.at, 0, line.length) || memchr(line.at, '\r', line.length))
			return STATUS_BAD_REQUEST;
		if (!line.length)
			continue; /* before the first line it may be (RFC 9112, 2.2); else it is the last */
		found = first ? read_first(request, line) : read_field(request, &framing, line);
		if (first)
			is_1_1 = request->keep;
		first = false;
		if (status == STATUS_OK)
			status = found;
	}
	if (first || (framing.has_encoding && framing.has_length) || framing.hosts > 1 || (is_1_1 && !framing.hosts))
		return STATUS_BAD_REQUEST;
	if (status == STATUS_OK && (framing.has_encoding || request->body_bytes > BODY_MAX_BYTES))
		return STATUS_TOO_LARGE;
	if (framing.expects)
		request->keep = false; /* whether the body comes is open */
	return status;
}

enum status request_read(struct request *request, const char *head, size_t bytes)
{
	enum status status;

	memset(request, 0, sizeof(*request));
	status = read_head(request, (struct slice){head, bytes});
	if (status != STATUS_OK)
		request->keep = false;
	return status;
}

enum status range_read(struct slice field, uint64_t size, uint64_t *start, uint64_t *length)
{
	struct slice first, last;
	uint64_t from, to;
	const char *dash;

	if (field.length < 6 || !slice_is((struct slice){field.at, 6}, "bytes="))
		return STATUS_OK;
	field = slice_trim((struct slice){field.at + 6, field.length - 6});
	dash = field.length ? memchr(field.at, '-', field.length) : NULL;
	if (!dash)
		return STATUS_OK;
	first = (struct slice){field.at, (size_t)(dash - field.at)};
	last = (struct slice){dash + 1, field.length - first.length - 1};
	if (!first.length) {
		if (!slice_number(last, &to))
			return STATUS_OK;
		from = to < size ? size - to : 0;
		if (!to || !size)
			return STATUS_BAD_RANGE;
		to = size - 1;
	} else {
		to = INT64_MAX;
		if (!slice_number(first, &from) || (last.length && !slice_number(last, &to)) || to < from)
			return STATUS_OK;
		if (from >= size)
			return STATUS_BAD_RANGE;
		if (to >= size)
			to = size - 1;
	}
	*start = from;
	*length = to - from + 1;
	return STATUS_PARTIAL;
}

bool date_read(struct slice field, time_t *time)
{
	static const char form[] = "Ddd, 00 Mmm 0000 00:00:00 GMT";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = {0};
	const char *at = field.at;
	const char *month = months;

	if (field.length != sizeof(form) - 1)
		return false;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0' ? at[i] < '0' || at[i] > '9' : form[i] < 'A' && at[i] != form[i])
			return false;
	while (*month && memcmp(month, at + 8, 3))
		month += 3;
	if (!*month)
		return false;
	tm.tm_mday = (at[5] - '0') * 10 + at[6] - '0';
	tm.tm_mon = (int)(month - months) / 3;
	tm.tm_year = (at[12] - '0') * 1000 + (at[13] - '0') * 100 + (at[14] - '0') * 10 + at[15] - '0' - 1900;
	tm.tm_hour = (at[17] - '0') * 10 + at[18] - '0';
	tm.tm_min = (at[20] - '0') * 10 + at[21] - '0';
	tm.tm_sec = (at[23] - '0') * 10 + at[24] - '0';
	*time = timegm(&tm);
	return true;
}
